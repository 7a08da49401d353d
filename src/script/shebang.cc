#include "script/shebang.h"

#include <algorithm>
#include <iterator>

#include "base/numbers.h"

namespace holdfast::script {
namespace {

constexpr std::string_view kFlagsOption = "flags=";

constexpr NamedFlag kNamedFlags[] = {{"no-writes", kNoWrites},
                                     {"allow-oom", kAllowOom},
                                     {"allow-stale", kAllowStale},
                                     {"no-cluster", kNoCluster},
                                     {"allow-cross-slot-keys", kAllowCrossSlotKeys}};

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
    // In this case only, unlike those of functions.
    const auto named = [name](const NamedFlag& known) { return known.name == name; };
    const auto* known = std::find_if(std::begin(kNamedFlags), std::end(kNamedFlags), named);
    if (known == std::end(kNamedFlags))
      return "Unexpected flag in script shebang: " + std::string(name);
    *flags |= known->flag;
  }
  return {};
}

}  // namespace

std::span<const NamedFlag> NamedFlags() { return kNamedFlags; }

uint32_t FlagByName(std::string_view name) {
  for (const NamedFlag& known : kNamedFlags) {
    if (EqualsIgnoreCase(known.name, name)) return known.flag;
  }
  return 0;
}

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

bool MayWrite(std::string_view body) {
  Shebang shebang;
  return !ParseShebang(body, &shebang).empty() || (shebang.flags & kNoWrites) == 0;
}

}  // namespace holdfast::script
