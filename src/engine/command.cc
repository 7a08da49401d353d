#include "engine/command.h"

#include <initializer_list>

#include "base/check.h"
#include "base/numbers.h"

namespace holdfast::engine {
namespace {

// Where the keys of XREAD or XREADGROUP begin; 0 when they don't. The handler skips what comes
// before in the same way.
int BehindStreams(Args args) {
  for (size_t i = 1; i + 1 < args.size(); ++i) {
    if (EqualsIgnoreCase(args[i], "STREAMS")) return static_cast<int>(i) + 1;
    if (EqualsIgnoreCase(args[i], "BLOCK") || EqualsIgnoreCase(args[i], "COUNT")) {
      ++i;
    } else if (EqualsIgnoreCase(args[i], "GROUP")) {
      i += 2;
    } else if (!EqualsIgnoreCase(args[i], "NOACK")) {
      return 0;
    }
  }
  return 0;
}

// The argument behind the last STORE of SORT, whose options begin at `first`; 0 when there is none.
// What belongs to other options is skipped.
int BehindSortStore(Args args, size_t first) {
  int found = 0;
  for (size_t i = first; i < args.size(); ++i) {
    if (EqualsIgnoreCase(args[i], "LIMIT")) {
      i += 2;
    } else if (EqualsIgnoreCase(args[i], "BY") || EqualsIgnoreCase(args[i], "GET")) {
      ++i;
    } else if (EqualsIgnoreCase(args[i], "STORE") && i + 1 < args.size()) {
      found = static_cast<int>(++i);
    }
  }
  return found;
}

// What SET and BITFIELD do to their key depends on their options.
uint32_t SettledFlags(const Command& command, Args args, uint32_t flags) {
  if ((flags & kKeyVariable) == 0) return flags;
  const auto has_behind = [args](size_t first, std::initializer_list<std::string_view> options) {
    for (size_t i = first; i < args.size(); ++i) {
      for (const std::string_view option : options) {
        if (EqualsIgnoreCase(args[i], option)) return true;
      }
    }
    return false;
  };
  constexpr uint32_t kReadAndWrite = kKeyRw | kKeyAccess | kKeyUpdate;
  if (command.name == "set") {
    // Whoever asks for a value by a condition learns something of it, too.
    const bool reads = has_behind(3, {"GET", "IFEQ", "IFNE", "IFDEQ", "IFDNE"});
    return reads ? kReadAndWrite : kKeyOw | kKeyUpdate;
  }
  CHECK(command.name == "bitfield");
  return has_behind(2, {"SET", "INCRBY"}) ? kReadAndWrite : kKeyRo | kKeyAccess;
}

bool AppendKeys(const KeySpec& spec, bool mandatory, Args args, std::vector<int>* positions) {
  const int argc = static_cast<int>(args.size());
  switch (spec.kind) {
    case KeySpec::Kind::kNone:
      return true;
    case KeySpec::Kind::kRange: {
      const int last = spec.last < 0 ? argc + spec.last : spec.last;
      if (spec.first >= argc || last >= argc) return false;
      // A key whose value is missing (MSET k v k): what comes with a key is read with it.
      if (spec.last < 0 && (last - spec.first + 1) % spec.step != 0) return false;
      for (int i = spec.first; i <= last; i += spec.step) positions->push_back(i);
      return true;
    }
    case KeySpec::Kind::kNumKeys: {
      int64_t count;
      if (spec.first >= argc || !ParseInt64(args[static_cast<size_t>(spec.first)], &count)) {
        return false;
      }
      if (count < (mandatory ? 1 : 0) || count > (argc - spec.first - 1) / spec.step) return false;
      for (int64_t i = 0; i < count; ++i) {
        positions->push_back(spec.first + 1 + static_cast<int>(i) * spec.step);
      }
      return true;
    }
    case KeySpec::Kind::kKeyword:
      for (int i = spec.first; i + 1 < argc; ++i) {
        if (!EqualsIgnoreCase(args[static_cast<size_t>(i)], spec.keyword)) continue;
        positions->push_back(i + 1);
      }
      return true;
    case KeySpec::Kind::kSortStore:
      if (const int at = BehindSortStore(args, static_cast<size_t>(spec.first)); at != 0) {
        positions->push_back(at);
      }
      return true;
    case KeySpec::Kind::kStreams: {
      const int begin = BehindStreams(args);
      if (begin == 0 || (argc - begin) % 2 != 0) return false;
      for (int i = begin; i < begin + (argc - begin) / 2; ++i) positions->push_back(i);
      return true;
    }
  }
  return false;
}

}  // namespace

std::string FullName(const Command& command) {
  std::string name(command.parent);
  if (!name.empty()) name += '|';
  name += command.name;
  return name;
}

bool FindKeys(const Command& command, Args args, std::vector<int>* positions) {
  const bool mandatory = !command.has(kNoMandatoryKeys);
  return AppendKeys(command.keys, mandatory, args, positions) &&
         AppendKeys(command.more_keys, mandatory, args, positions) &&
         AppendKeys(command.last_keys, mandatory, args, positions);
}

bool FindKeyUses(const Command& command, Args args, std::vector<KeyUse>* keys) {
  const bool mandatory = !command.has(kNoMandatoryKeys);
  std::vector<int> positions;
  for (const KeySpec* spec : {&command.keys, &command.more_keys, &command.last_keys}) {
    if (spec->kind == KeySpec::Kind::kNone) continue;
    positions.clear();
    const bool fits = AppendKeys(*spec, mandatory, args, &positions);
    const uint32_t flags = SettledFlags(command, args, spec->flags);
    for (const int position : positions) keys->push_back({position, flags});
    if (!fits) return false;
  }
  return true;
}

}  // namespace holdfast::engine
