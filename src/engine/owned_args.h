// Arguments that outlive the read buffer they came from: for MULTI queues, other cores and blocked
// clients.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/command.h"

namespace holdfast::engine {

class OwnedArgs {
 public:
  OwnedArgs() = default;
  explicit OwnedArgs(Args args) {
    size_t bytes = 0;
    for (const std::string_view arg : args) bytes += arg.size();
    bytes_ = std::make_unique<char[]>(bytes);
    size_ = bytes;
    views_.reserve(args.size());
    char* to = bytes_.get();
    for (const std::string_view arg : args) {
      arg.copy(to, arg.size());
      views_.emplace_back(to, arg.size());
      to += arg.size();
    }
  }

  Args args() const { return views_; }
  // Memory held, roughly.
  size_t MemoryBytes() const { return size_ + views_.size() * sizeof(std::string_view); }

 private:
  std::unique_ptr<char[]> bytes_;
  size_t size_ = 0;
  std::vector<std::string_view> views_;
};

}  // namespace holdfast::engine
