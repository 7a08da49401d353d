// The server's own log: one line an event, to standard output or a file. Any thread.
#pragma once

#include <spdlog/fmt/fmt.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace holdfast {

enum class LogLevel { kDebug, kVerbose, kNotice, kWarning, kNothing };

// Opens the log. `file` empty: standard output. The file is appended to.
Status OpenLog(LogLevel level, const std::string& file);
void SetLogLevel(LogLevel level);
// Writes what is buffered; call before the process ends.
void FlushLog();

namespace log_internal {
bool Enabled(LogLevel level);
void Write(LogLevel level, fmt::string_view format, fmt::format_args args);
}  // namespace log_internal

// LogNotice("partition {} loaded {} keys", id, n): the arguments are formatted by fmt, and only
// when the level is enabled.
template <typename... Args>
void Log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  if (log_internal::Enabled(level)) {
    log_internal::Write(level, format, fmt::make_format_args(args...));
  }
}
template <typename... Args>
void LogDebug(fmt::format_string<Args...> format, Args&&... args) {
  Log(LogLevel::kDebug, format, std::forward<Args>(args)...);
}
template <typename... Args>
void LogVerbose(fmt::format_string<Args...> format, Args&&... args) {
  Log(LogLevel::kVerbose, format, std::forward<Args>(args)...);
}
template <typename... Args>
void LogNotice(fmt::format_string<Args...> format, Args&&... args) {
  Log(LogLevel::kNotice, format, std::forward<Args>(args)...);
}
template <typename... Args>
void LogWarning(fmt::format_string<Args...> format, Args&&... args) {
  Log(LogLevel::kWarning, format, std::forward<Args>(args)...);
}

// Logs `why` as a warning, flushes and ends the process with exit code 1, without running
// destructors: for failures after which going on could lose data (PITFALLS P40, P52).
[[noreturn]] void Fatal(std::string_view why);

}  // namespace holdfast
