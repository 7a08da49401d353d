#include "script/library.h"

#include <algorithm>
#include <span>

#include "base/bytes.h"
#include "base/check.h"
#include "base/numbers.h"
#include "data/dump.h"
#include "resp/request_parser.h"

namespace holdfast::script {
namespace {

constexpr uint8_t kFormat = 1;
constexpr uint32_t kAllFlags =
    kNoWrites | kAllowOom | kAllowStale | kNoCluster | kAllowCrossSlotKeys;
constexpr std::string_view kNameOption = "name=";
constexpr auto kDumpFunction = static_cast<char>(245);

Status Damaged() { return Status::Corruption("a library record of the meta group is damaged"); }

bool ReadFunction(ByteReader* in, Function* function) {
  std::string_view bytes;
  uint64_t flags;
  uint8_t described;
  if (!in->ReadLengthPrefixed(&bytes) || !IsFunctionName(bytes)) return false;
  function->name = bytes;
  if (!in->ReadVarint(&flags) || (flags & ~uint64_t{kAllFlags}) != 0) return false;
  function->flags = static_cast<uint32_t>(flags);
  if (!in->ReadByte(&described) || described > 1) return false;
  if (described == 0) return true;
  if (!in->ReadLengthPrefixed(&bytes)) return false;
  function->description = bytes;
  return true;
}

}  // namespace

bool IsFunctionName(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && std::all_of(name.begin(), name.end(), fits);
}

std::string ParseLibraryName(std::string_view code, std::string* name) {
  constexpr const char* kInvalid = "Invalid library metadata";
  if (!code.starts_with("#!")) return "Missing library metadata";
  const size_t end = code.find('\n');
  if (end == std::string_view::npos || code.substr(0, end).find('\0') != std::string_view::npos) {
    return kInvalid;
  }
  // Words are parted and quoted as in an inline request.
  const std::string line = std::string(code.substr(0, end)) + "\r\n";
  resp::RequestParser parser;
  resp::ParserLimits limits;
  limits.max_inline_bytes = line.size() + 32;
  if (parser.Next(line, limits) != resp::ParseOutcome::kRequest || parser.args().empty()) {
    return kInvalid;
  }
  bool named = false;
  for (const std::string_view word : parser.args().subspan(1)) {
    if (!EqualsIgnoreCase(word.substr(0, kNameOption.size()), kNameOption)) {
      return "Invalid metadata value given: " + std::string(word);
    }
    if (named) return "Invalid metadata value, name argument was given multiple times";
    named = true;
    *name = word.substr(kNameOption.size());
  }
  if (!named) return "Library name was not given";
  if (!IsFunctionName(*name)) return kBadFunctionName;
  const std::string_view engine = parser.args()[0].substr(2);
  if (!EqualsIgnoreCase(engine, "lua")) return "Engine '" + std::string(engine) + "' not found";
  return {};
}

std::string LibraryKey(std::string_view name) {
  return std::string(kLibraryPrefix) + std::string(name);
}

std::string EncodeLibrary(const Library& library) {
  std::string value;
  value.reserve(library.code.size() + 64 * library.functions.size() + 8);
  value.push_back(static_cast<char>(kFormat));
  AppendVarint(&value, library.functions.size());
  for (const Function& function : library.functions) {
    CHECK(IsFunctionName(function.name) && (function.flags & ~kAllFlags) == 0);
    AppendLengthPrefixed(&value, function.name);
    AppendVarint(&value, function.flags);
    value.push_back(function.description.has_value() ? '\1' : '\0');
    if (function.description.has_value()) AppendLengthPrefixed(&value, *function.description);
  }
  value += library.code;
  return value;
}

Status DecodeLibrary(std::string_view key, std::string_view value, Library* library) {
  ByteReader in(value);
  uint8_t format;
  uint64_t count;
  if (!key.starts_with(kLibraryPrefix) || !in.ReadByte(&format)) return Damaged();
  if (format != kFormat) return Status::Unsupported("a library record of a newer format");
  if (!in.ReadVarint(&count) || count == 0 || count > in.rest().size()) return Damaged();
  library->functions.clear();
  for (; count > 0; --count) {
    if (!ReadFunction(&in, &library->functions.emplace_back())) return Damaged();
  }
  library->code = in.rest();
  library->name = key.substr(kLibraryPrefix.size());
  std::string name;
  if (!ParseLibraryName(library->code, &name).empty() || name != library->name) return Damaged();
  return Status::Ok();
}

std::string DumpLibraries(const std::vector<const Library*>& libraries) {
  std::string out;
  for (const Library* library : libraries) {
    out.push_back(kDumpFunction);
    data::AppendDumpString(&out, library->code);
  }
  data::AppendDumpFooter(&out);
  return out;
}

std::string ReadLibraries(std::string_view payload, std::vector<std::string>* codes) {
  std::string_view body;
  const Status status = data::CheckDumpFooter(payload, &body);
  if (!status.ok()) return status.message();
  while (!body.empty()) {
    // Not 246, either: that is what release candidates of Redis 7.0 wrote.
    if (body.front() != kDumpFunction) return "given type is not a function";
    body.remove_prefix(1);
    if (!data::TakeDumpString(&body, &codes->emplace_back())) {
      return "Failed loading library payload";
    }
  }
  return {};
}

}  // namespace holdfast::script
