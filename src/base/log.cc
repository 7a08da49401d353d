#include "base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

namespace holdfast {
namespace {

// Never destroyed: threads may log until the very end of the process.
std::shared_ptr<spdlog::logger>& Logger() {
  static auto* logger = new std::shared_ptr<spdlog::logger>(std::make_shared<spdlog::logger>(
      "holdfast", std::make_shared<spdlog::sinks::stderr_sink_mt>()));
  return *logger;
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::trace;
    case LogLevel::kVerbose:
      return spdlog::level::debug;
    case LogLevel::kNotice:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kNothing:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

}  // namespace

Status OpenLog(LogLevel level, const std::string& file) {
  if (!file.empty()) {
    // spdlog reports an unusable file by an exception; it stops here.
    try {
      Logger() = std::make_shared<spdlog::logger>(
          "holdfast", std::make_shared<spdlog::sinks::basic_file_sink_mt>(file));
    } catch (const spdlog::spdlog_ex& e) {
      return Status::IoError("log-file: " + std::string(e.what()));
    }
  } else {
    Logger() = std::make_shared<spdlog::logger>("holdfast",
                                                std::make_shared<spdlog::sinks::stdout_sink_mt>());
  }
  Logger()->set_pattern("%Y-%m-%dT%H:%M:%S.%e %P %L %v");
  Logger()->flush_on(spdlog::level::info);
  SetLogLevel(level);
  return Status::Ok();
}

void SetLogLevel(LogLevel level) { Logger()->set_level(ToSpdlog(level)); }

void FlushLog() { Logger()->flush(); }

namespace log_internal {

bool Enabled(LogLevel level) { return Logger()->should_log(ToSpdlog(level)); }

void Write(LogLevel level, fmt::string_view format, fmt::format_args args) {
  Logger()->log(ToSpdlog(level), fmt::vformat(format, args));
}

}  // namespace log_internal

void Fatal(std::string_view why) {
  LogWarning("{}", why);
  FlushLog();
  _exit(1);
}

}  // namespace holdfast
