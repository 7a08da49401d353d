// RESP between nodes, through hiredis's reader and formatter.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

struct redisReader;

namespace holdfast::replica {

// What travels between nodes: a command of two words, or one of the answers of the handshake.
struct WireItem {
  enum class Type { kCommand, kStatus, kError, kBulk };
  Type type = Type::kCommand;
  std::string_view name;  // of a command
  std::string_view body;  // its argument, or the answer
};

// `*2 $name $body`, in the formatter's memory.
class Command {
 public:
  Command(std::string_view name, std::string_view body);
  std::string_view bytes() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char, void (*)(void*)> bytes_;
  size_t size_ = 0;
};

// Finds the items in a stream of bytes. Takes nothing but what WireItem describes.
class CommandReader {
 public:
  CommandReader();
  ~CommandReader();
  CommandReader(const CommandReader&) = delete;
  CommandReader& operator=(const CommandReader&) = delete;

  // Adds bytes of the stream and shows every item that is complete, until `item` returns false;
  // nothing more may be fed after that. An item's views are valid during the call only, which may
  // not destroy the reader. Corruption when the bytes are not such a stream, NoSpace when an item
  // takes more than `max_bytes`; the reader is then of no more use.
  Status Feed(std::string_view bytes, size_t max_bytes,
              absl::FunctionRef<bool(const WireItem& item)> item);

  // Bytes of an item that is not complete.
  size_t pending_bytes() const;

 private:
  struct Callbacks;  // what hiredis calls

  std::unique_ptr<redisReader, void (*)(redisReader*)> reader_;
  std::string name_;  // of the command that is being read
  const absl::FunctionRef<bool(const WireItem&)>* item_ = nullptr;  // during Feed
  bool stopped_ = false;                                            // `item` returned false
};

}  // namespace holdfast::replica
