#include "engine/config.h"

#include <algorithm>
#include <bitset>
#include <cctype>
#include <cstdio>
#include <type_traits>

#include "base/glob.h"
#include "base/numbers.h"
#include "engine/config_values.h"

namespace holdfast::engine {
namespace {

constexpr size_t kLineWidth = 100;
constexpr std::string_view kImmutable = "can't set immutable config";

Status ParseInteger(const Option& option, std::string_view text, int64_t* value) {
  if (!ParseInt64(text, value)) {
    return Status::InvalidArgument("argument couldn't be parsed into an integer");
  }
  if (*value < option.min || *value > option.max) {
    return Status::InvalidArgument("argument must be between " + std::to_string(option.min) +
                                   " and " + std::to_string(option.max) + " inclusive");
  }
  return Status::Ok();
}

Status ParseMemory(const Option& option, std::string_view text, uint64_t* value) {
  if (!ParseMemorySize(text, value)) {
    return Status::InvalidArgument("argument must be a memory value");
  }
  if (*value < static_cast<uint64_t>(option.min) || *value > static_cast<uint64_t>(option.max)) {
    return Status::InvalidArgument("argument must be between " + std::to_string(option.min) +
                                   " and " + std::to_string(option.max) + " inclusive");
  }
  return Status::Ok();
}

// Bytes as they are, percent as a negative number.
Status ParseMemoryOrPercent(const Option& option, std::string_view text, int64_t* value) {
  uint64_t bytes;
  if (ParseMemorySize(text, &bytes)) {
    if (bytes > static_cast<uint64_t>(option.max)) {
      return Status::InvalidArgument("argument must be between 0 and " +
                                     std::to_string(option.max) + " inclusive");
    }
    *value = static_cast<int64_t>(bytes);
    return Status::Ok();
  }
  int64_t percent;
  if (!text.ends_with('%') || !ParseInt64(text.substr(0, text.size() - 1), &percent) ||
      percent < 0) {
    return Status::InvalidArgument("argument must be a memory or percent value");
  }
  if (-percent < option.min) {
    return Status::InvalidArgument("percentage argument must be less or equal to " +
                                   std::to_string(-option.min));
  }
  *value = -percent;
  return Status::Ok();
}

Status ParseBool(std::string_view text, bool* value) {
  if (!EqualsIgnoreCase(text, "yes") && !EqualsIgnoreCase(text, "no")) {
    return Status::InvalidArgument("argument must be 'yes' or 'no'");
  }
  *value = EqualsIgnoreCase(text, "yes");
  return Status::Ok();
}

template <typename Enum>
Status ParseEnum(const Option& option, std::string_view text, Enum* value) {
  std::string names;
  for (size_t i = 0; i < option.choices.size(); i++) {
    if (EqualsIgnoreCase(text, option.choices[i])) {
      *value = static_cast<Enum>(i);
      return Status::Ok();
    }
    names += (i == 0 ? "" : ", ");
    names += option.choices[i];
  }
  return Status::InvalidArgument("argument(s) must be one of the following: " + names);
}

std::string WithUnit(uint64_t bytes) {
  constexpr std::pair<int, const char*> kUnits[] = {{30, "gb"}, {20, "mb"}, {10, "kb"}};
  for (const auto& [shift, unit] : kUnits) {
    if (bytes != 0 && bytes % (1ULL << shift) == 0) return std::to_string(bytes >> shift) + unit;
  }
  return std::to_string(bytes);
}

// `text` in lines of at most kLineWidth characters, each behind `prefix`.
std::string Wrap(std::string_view text, std::string_view prefix) {
  std::string out;
  std::string line(prefix);
  for (std::string_view word : SplitWords(text)) {
    if (line.size() > prefix.size() && line.size() + 1 + word.size() > kLineWidth) {
      out += line + '\n';
      line = prefix;
    }
    if (line.size() > prefix.size()) line += ' ';
    line += word;
  }
  return out + line + '\n';
}

// The meaning and, in parentheses, what else the table knows: unit, bounds, CONFIG SET.
std::string Explanation(const Option& option) {
  std::string facts(option.unit);
  const auto add = [&facts](const std::string& fact) {
    facts += (facts.empty() ? "" : "; ") + fact;
  };
  if (option.type == OptionType::kInteger && option.max < INT32_MAX) {
    add(std::to_string(option.min) + " to " + std::to_string(option.max));
  }
  if (option.type == OptionType::kMemory && option.max != INT64_MAX) {
    add(WithUnit(static_cast<uint64_t>(option.min)) + " to " +
        WithUnit(static_cast<uint64_t>(option.max)));
  }
  if (option.flags & kRuntime) {
    add(option.flags & kShared ? "CONFIG SET, for the whole cluster" : "CONFIG SET");
  }
  return std::string(option.meaning) + (facts.empty() ? "" : " (" + facts + ")");
}

// Whether a pattern of CONFIG GET has to be compared with every name.
bool IsPattern(std::string_view text) {
  return text.find_first_of("[*?") != std::string_view::npos;
}

bool Matches(std::span<const std::string_view> patterns, const Option& option,
             std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(), [&](std::string_view pattern) {
    if (!IsPattern(pattern)) return EqualsIgnoreCase(pattern, name);
    return (option.flags & kHidden) == 0 && GlobMatch(pattern, name, /*ignore_case=*/true);
  });
}

}  // namespace

std::vector<std::string_view> SplitWords(std::string_view text) {
  std::vector<std::string_view> words;
  size_t at = 0;
  while ((at = text.find_first_not_of(" \t", at)) != std::string_view::npos) {
    const size_t end = std::min(text.find_first_of(" \t", at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

uint64_t OutputLimit::HardBytes() const {
  return hard_bytes == 0 ? kOutputBufferCeiling : std::min(hard_bytes, kOutputBufferCeiling);
}

Config::Config() {
  for (const Option& option : Options()) {
    const Status status = SetOption(this, option, option.default_value);
    CHECK_MSG(status.ok(), "the table of options has a default that its own row refuses");
  }
}

uint64_t Config::MaxmemoryClientsBytes() const {
  if (maxmemory_clients >= 0) return static_cast<uint64_t>(maxmemory_clients);
  // The percentage is at most 100, so dividing first only rounds, where multiplying could overflow.
  return maxmemory_bytes / 100 * static_cast<uint64_t>(-maxmemory_clients);
}

const Option* FindOption(std::string_view name) {
  if (name.empty()) return nullptr;
  for (const Option& option : Options()) {
    if (EqualsIgnoreCase(name, option.name) || EqualsIgnoreCase(name, option.alias)) return &option;
  }
  return nullptr;
}

Status SetOption(Config* config, const Option& option, std::string_view value) {
  return std::visit(
      [&](const auto& field) -> Status {
        using Field = std::decay_t<decltype(field)>;
        if constexpr (std::is_same_v<Field, SpecialField>) {
          if (field.set != nullptr) return field.set(config, value);
          if (EqualsIgnoreCase(value, field.get(*config))) return Status::Ok();
          return Status::InvalidArgument(std::string(kImmutable));
        } else if constexpr (std::is_same_v<Field, std::string Config::*>) {
          config->*field = value;
          return Status::Ok();
        } else {
          auto parsed = config->*field;
          using Value = decltype(parsed);
          if constexpr (std::is_same_v<Value, bool>) {
            RETURN_IF_ERROR(ParseBool(value, &parsed));
          } else if constexpr (std::is_same_v<Value, uint64_t>) {
            RETURN_IF_ERROR(ParseMemory(option, value, &parsed));
          } else if constexpr (std::is_same_v<Value, int64_t>) {
            RETURN_IF_ERROR(option.type == OptionType::kMemoryOrPercent
                                ? ParseMemoryOrPercent(option, value, &parsed)
                                : ParseInteger(option, value, &parsed));
          } else {
            RETURN_IF_ERROR(ParseEnum(option, value, &parsed));
          }
          config->*field = parsed;
          return Status::Ok();
        }
      },
      option.field);
}

std::string GetOption(const Config& config, const Option& option) {
  return std::visit(
      [&](const auto& field) -> std::string {
        using Field = std::decay_t<decltype(field)>;
        if constexpr (std::is_same_v<Field, SpecialField>) {
          return field.get(config);
        } else if constexpr (std::is_same_v<Field, std::string Config::*>) {
          return config.*field;
        } else if constexpr (std::is_same_v<Field, bool Config::*>) {
          return config.*field ? "yes" : "no";
        } else if constexpr (std::is_same_v<Field, uint64_t Config::*>) {
          return std::to_string(config.*field);
        } else if constexpr (std::is_same_v<Field, int64_t Config::*>) {
          const int64_t value = config.*field;
          if (option.type != OptionType::kMemoryOrPercent || value >= 0) {
            return std::to_string(value);
          }
          return std::to_string(-value) + "%";
        } else {
          return std::string(option.choices[static_cast<size_t>(config.*field)]);
        }
      },
      option.field);
}

std::string FileValue(const Config& config, const Option& option) {
  std::string value = GetOption(config, option);
  uint64_t bytes;
  const bool memory =
      option.type == OptionType::kMemory || option.type == OptionType::kMemoryOrPercent;
  return memory && ParseMemorySize(value, &bytes) ? WithUnit(bytes) : value;
}

std::vector<std::pair<std::string, std::string>> MatchOptions(
    const Config& config, std::span<const std::string_view> patterns) {
  std::vector<std::pair<std::string, std::string>> found;
  for (const Option& option : Options()) {
    for (std::string_view name : {option.name, option.alias}) {
      if (name.empty() || !Matches(patterns, option, name)) continue;
      found.emplace_back(name, GetOption(config, option));
    }
  }
  return found;
}

Result<Config> ChangeOptions(const Config& now, std::span<const std::string_view> arguments) {
  CHECK(arguments.size() % 2 == 0);
  // As in Redis, an unknown name anywhere is reported before any other fault.
  std::vector<const Option*> options;
  for (size_t i = 0; i < arguments.size(); i += 2) {
    const Option* option = FindOption(arguments[i]);
    if (option == nullptr) {
      return Status::InvalidArgument(
          "ERR Unknown option or number of arguments for CONFIG SET - '" +
          std::string(arguments[i]) + "'");
    }
    options.push_back(option);
  }
  Config changed = now;
  for (size_t i = 0; i < options.size(); i++) {
    const Option& option = *options[i];
    const std::string_view name = arguments[2 * i];
    if (std::find(options.begin(), options.begin() + static_cast<ptrdiff_t>(i), &option) !=
        options.begin() + static_cast<ptrdiff_t>(i)) {
      return Status::InvalidArgument(ConfigSetFailed(name, "duplicate parameter"));
    }
    // Only a new value is refused, so that what CONFIG GET * answered can be set back as a whole.
    if ((option.flags & kRuntime) == 0) {
      Config scratch = now;
      if (!SetOption(&scratch, option, arguments[2 * i + 1]).ok() ||
          GetOption(scratch, option) != GetOption(now, option)) {
        return Status::InvalidArgument(ConfigSetFailed(name, kImmutable));
      }
    }
  }
  for (size_t i = 0; i < options.size(); i++) {
    const Status status = SetOption(&changed, *options[i], arguments[2 * i + 1]);
    if (!status.ok()) {
      return Status::InvalidArgument(ConfigSetFailed(options[i]->name, status.message()));
    }
  }
  return changed;
}

bool SameTlsOptions(const Config& a, const Config& b) {
  const auto options = Options();
  return std::all_of(options.begin(), options.end(), [&](const Option& option) {
    return (option.flags & kTls) == 0 || GetOption(a, option) == GetOption(b, option);
  });
}

std::string ConfigSetFailed(std::string_view name, std::string_view reason) {
  return "ERR CONFIG SET failed (possibly related to argument '" + std::string(name) + "') - " +
         std::string(reason);
}

std::string VariableName(std::string_view option_name) {
  std::string name = "HOLDFAST_" + ToUpper(option_name);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::string YamlScalar(std::string_view value) {
  const auto plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '/' || c == '_' ||
           c == '-' || c == '%' || c == ' ';
  };
  const bool safe_ends = !value.empty() && value.front() != ' ' && value.back() != ' ' &&
                         value.front() != '%' && (value.front() != '-' || value.size() > 1) &&
                         !value.starts_with("- ") && !value.starts_with("--") &&
                         !EqualsIgnoreCase(value, "null");
  if (safe_ends && std::all_of(value.begin(), value.end(), plain)) return std::string(value);
  std::string out = "\"";
  for (char c : value) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\x%02x", static_cast<unsigned char>(c));
      out += escape;
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string DocumentedFile(const Config& config) {
  std::string out =
      "# Holdfast: every option with its default.\n"
      "#\n"
      "# Each can also be given as a variable (log-level: HOLDFAST_LOG_LEVEL) or as a flag\n"
      "# (--log-level notice); flags win over variables, variables over this file. Sizes are "
      "bytes\n"
      "# and take kb, mb, gb (powers of 1024) or k, m, g (powers of 1000). \"CONFIG SET\" marks "
      "what\n"
      "# may be changed while the server runs.\n";
  std::string_view section;
  for (const Option& option : Options()) {
    if (option.flags & kRedisOnly) continue;
    if (option.section != section) {
      section = option.section;
      out += "\n# --- " + std::string(section) + " ---\n";
    }
    out += "\n" + Wrap(Explanation(option), "# ");
    out += std::string(option.name) + ": " + YamlScalar(FileValue(config, option)) + "\n";
  }
  return out;
}

std::string HelpText() {
  std::string out;
  std::string_view section;
  for (const Option& option : Options()) {
    if (option.flags & kRedisOnly) continue;
    if (option.section != section) {
      section = option.section;
      out += "\n" + std::string(section) + ":\n";
    }
    out += "  --" + std::string(option.name) + " " +
           (option.default_value.empty() ? "\"\"" : std::string(option.default_value)) + "\n";
    out += Wrap(Explanation(option), "      ");
  }
  return out;
}

}  // namespace holdfast::engine
