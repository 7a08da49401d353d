// Status and Result<T>: how a function says that it failed. Neither can be ignored silently.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace holdfast {

enum class Code {
  kOk,
  kInvalidArgument,  // the caller's input is wrong; nothing changed
  kNotFound,
  kIoError,      // the operating system refused; the outcome of a write is unknown
  kNoSpace,      // disk full or a stated limit reached
  kCorruption,   // stored bytes contradict their checksum or format
  kUnsupported,  // a newer format, another node's data, a missing feature
};

// The outcome of an operation: OK, or a code with one clear line of text.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {
    CHECK(code != Code::kOk);
  }

  static Status Ok() { return Status(); }
  static Status InvalidArgument(std::string m) { return {Code::kInvalidArgument, std::move(m)}; }
  static Status NotFound(std::string m) { return {Code::kNotFound, std::move(m)}; }
  static Status IoError(std::string m) { return {Code::kIoError, std::move(m)}; }
  static Status NoSpace(std::string m) { return {Code::kNoSpace, std::move(m)}; }
  static Status Corruption(std::string m) { return {Code::kCorruption, std::move(m)}; }
  static Status Unsupported(std::string m) { return {Code::kUnsupported, std::move(m)}; }

  // The failure of a system call: `what` names it, `error` is errno. ENOSPC and EDQUOT become
  // kNoSpace, ENOENT kNotFound, everything else kIoError.
  static Status FromErrno(std::string_view what, int error);

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

// A value, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}        // NOLINT: implicit on purpose
  Result(Status status) : state_(std::move(status)) {  // NOLINT: implicit on purpose
    CHECK(!std::get<Status>(state_).ok());
  }

  bool ok() const { return std::holds_alternative<T>(state_); }
  // REQUIRES: !ok() for a meaningful message; an OK result gives an OK status.
  Status status() const { return ok() ? Status::Ok() : std::get<Status>(state_); }
  // REQUIRES: ok()
  T& value() & {
    CHECK(ok());
    return std::get<T>(state_);
  }
  const T& value() const& {
    CHECK(ok());
    return std::get<T>(state_);
  }
  T&& value() && {
    CHECK(ok());
    return std::get<T>(std::move(state_));
  }

 private:
  std::variant<T, Status> state_;
};

}  // namespace holdfast

#define RETURN_IF_ERROR(expression)                      \
  do {                                                   \
    ::holdfast::Status return_if_error_ = (expression);  \
    if (!return_if_error_.ok()) return return_if_error_; \
  } while (false)
