#include "replica/command_reader.h"

#include <hiredis/hiredis.h>

#include <cstdlib>
#include <utility>

#include "base/check.h"

namespace holdfast::replica {
namespace {

// The longest name of a command that may travel between nodes.
constexpr size_t kMaxNameBytes = 32;
// What RESP adds to the bytes of an item, at most.
constexpr size_t kRespBytes = 128;
// Memory that a reader keeps when it is empty: hiredis's own limit of 16 KiB would have it grown
// anew for every larger frame.
constexpr size_t kKeptInputBytes = size_t{1} << 20;

// hiredis wants an object for whatever it reads. Nothing is made of items here but a call.
char any_object;

}  // namespace

Command::Command(std::string_view name, std::string_view body) : bytes_(nullptr, std::free) {
  const char* const words[] = {name.data(), body.data()};
  const size_t sizes[] = {name.size(), body.size()};
  char* formatted = nullptr;
  const int size = redisFormatCommandArgv(&formatted, 2, const_cast<const char**>(words), sizes);
  CHECK_MSG(size > 0, "hiredis can't format a command");
  bytes_.reset(formatted);
  size_ = static_cast<size_t>(size);
}

struct CommandReader::Callbacks {
  static CommandReader* ReaderOf(const redisReadTask* task) {
    return static_cast<CommandReader*>(task->privdata);
  }

  // Null ends the reading with an error.
  static void* String(const redisReadTask* task, char* data, size_t size) {
    CommandReader* const reader = ReaderOf(task);
    const std::string_view bytes(data, size);
    WireItem item;
    if (task->parent != nullptr) {
      if (task->type != REDIS_REPLY_STRING) return nullptr;
      if (task->idx == 0) {
        if (size > kMaxNameBytes) return nullptr;
        // Until the argument is there, hiredis moves what it has.
        reader->name_ = bytes;
        return &any_object;
      }
      item = {WireItem::Type::kCommand, reader->name_, bytes};
    } else {
      item.type = task->type == REDIS_REPLY_STATUS  ? WireItem::Type::kStatus
                  : task->type == REDIS_REPLY_ERROR ? WireItem::Type::kError
                                                    : WireItem::Type::kBulk;
      item.body = bytes;
    }
    // Called here and not when hiredis hands the finished reply over, by when it may have moved the
    // bytes: so a frame is never copied.
    if ((*reader->item_)(item)) return &any_object;
    reader->stopped_ = true;
    return nullptr;
  }
  static void* Array(const redisReadTask* task, int elements) {
    return task->parent == nullptr && elements == 2 ? &any_object : nullptr;
  }
  static void* Integer(const redisReadTask*, long long) { return nullptr; }
  static void* Nil(const redisReadTask*) { return nullptr; }
  static void Free(void*) {}
};

CommandReader::CommandReader() : reader_(nullptr, redisReaderFree) {
  static redisReplyObjectFunctions functions = {
      Callbacks::String, Callbacks::Array, Callbacks::Integer, Callbacks::Nil, Callbacks::Free};
  reader_.reset(redisReaderCreateWithFunctions(&functions));
  CHECK(reader_ != nullptr);
  reader_->privdata = this;
  reader_->maxbuf = kKeptInputBytes;
}

CommandReader::~CommandReader() = default;

size_t CommandReader::pending_bytes() const { return reader_->len - reader_->pos; }

Status CommandReader::Feed(std::string_view bytes, size_t max_bytes,
                           absl::FunctionRef<bool(const WireItem& item)> item) {
  CHECK(!stopped_ && item_ == nullptr);
  item_ = &item;
  int error = redisReaderFeed(reader_.get(), bytes.data(), bytes.size());
  void* reply = &any_object;
  while (error == REDIS_OK && reply != nullptr) {
    reply = nullptr;
    error = redisReaderGetReply(reader_.get(), &reply);
  }
  item_ = nullptr;
  if (stopped_) return Status::Ok();
  if (error != REDIS_OK) return Status::Corruption("not what a Holdfast node sends its peers");
  if (pending_bytes() > max_bytes + kRespBytes) {
    return Status::NoSpace("more than " + std::to_string(max_bytes) + " bytes in one piece");
  }
  return Status::Ok();
}

}  // namespace holdfast::replica
