#include "script/shebang.h"

namespace holdfast::script {
namespace {

constexpr std::string_view kFlagsOption = "flags=";

uint32_t FlagByName(std::string_view name) {
  if (name == "no-writes") return kNoWrites;
  if (name == "allow-oom") return kAllowOom;
  if (name == "allow-stale") return kAllowStale;
  if (name == "no-cluster") return kNoCluster;
  if (name == "allow-cross-slot-keys") return kAllowCrossSlotKeys;
  return 0;
}

// Takes the part before `separator` off the front.
std::string_view TakePart(std::string_view* text, char separator) {
  const size_t end = text->find(separator);
  const std::string_view part = text->substr(0, end);
  text->remove_prefix(end == std::string_view::npos ? text->size() : end + 1);
  return part;
}

std::string ParseFlags(std::string_view list, uint32_t* flags) {
  while (!list.empty()) {
    const std::string_view name = TakePart(&list, ',');
    const uint32_t flag = FlagByName(name);
    if (flag == 0) return "Unexpected flag in script shebang: " + std::string(name);
    *flags |= flag;
  }
  return {};
}

}  // namespace

std::string ParseShebang(std::string_view body, Shebang* shebang) {
  *shebang = Shebang();
  if (!body.starts_with("#!")) return {};
  const size_t end = body.find('\n');
  if (end == std::string_view::npos) return "Invalid script shebang";
  std::string_view line = body.substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  const std::string_view engine = TakePart(&line, ' ');
  if (engine != "#!lua") return "Unexpected engine in script shebang: " + std::string(engine);
  shebang->flags = 0;
  shebang->code = end;
  while (!line.empty()) {
    const std::string_view option = TakePart(&line, ' ');
    if (option.empty()) continue;
    if (!option.starts_with(kFlagsOption)) {
      return "Unknown lua shebang option: " + std::string(option);
    }
    std::string wrong = ParseFlags(option.substr(kFlagsOption.size()), &shebang->flags);
    if (!wrong.empty()) return wrong;
  }
  return {};
}

}  // namespace holdfast::script
