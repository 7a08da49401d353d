#include "commands/options.h"

#include <charconv>

#include "base/glob.h"
#include "base/hash.h"
#include "base/numbers.h"
#include "commands/limits.h"
#include "engine/config.h"

namespace holdfast::commands {
namespace {

using engine::ExecContext;
using engine::Expiry;
using engine::Key;

constexpr size_t kDigestDigits = 16;
// A new string up to this length is logged as it is; a longer one is created empty and then grows,
// so that SETBIT at a far offset doesn't log hundreds of megabytes of zeros.
constexpr size_t kMaxWholeWrite = 4096;

struct ExpiryWord {
  std::string_view word;
  ExpiryOption::Kind kind;
};
constexpr ExpiryWord kExpiryWords[] = {
    {"EX", ExpiryOption::Kind::kEx},           {"PX", ExpiryOption::Kind::kPx},
    {"EXAT", ExpiryOption::Kind::kExat},       {"PXAT", ExpiryOption::Kind::kPxat},
    {"KEEPTTL", ExpiryOption::Kind::kKeepttl}, {"PERSIST", ExpiryOption::Kind::kPersist},
};

struct ConditionWord {
  std::string_view word;
  Condition::Kind kind;
};
constexpr ConditionWord kConditionWords[] = {
    {"NX", Condition::Kind::kNx},       {"XX", Condition::Kind::kXx},
    {"IFEQ", Condition::Kind::kIfeq},   {"IFNE", Condition::Kind::kIfne},
    {"IFDEQ", Condition::Kind::kIfdeq}, {"IFDNE", Condition::Kind::kIfdne},
    {"IFREV", Condition::Kind::kIfrev},
};

template <typename Kind, typename Words>
Kind KindOf(const Words& words, std::string_view text) {
  for (const auto& [word, kind] : words) {
    if (EqualsIgnoreCase(word, text)) return kind;
  }
  return Kind::kNone;
}

Parsed Refuse(ExecContext& ctx, std::string_view error) {
  ctx.Error(error);
  return Parsed::kError;
}

}  // namespace

Parsed TakeExpiry(ExecContext& ctx, ExpiryOption::Kind extra, size_t* i, ExpiryOption* option) {
  using Kind = ExpiryOption::Kind;
  const Kind kind = KindOf<Kind>(kExpiryWords, ctx.args[*i]);
  const bool has_amount = kind != Kind::kKeepttl && kind != Kind::kPersist;
  if (kind == Kind::kNone || (!has_amount && kind != extra)) return Parsed::kNo;
  if (option->kind != Kind::kNone && option->kind != kind) {
    return Refuse(ctx, engine::kSyntaxError);
  }
  option->kind = kind;
  if (!has_amount) return Parsed::kYes;
  if (*i + 1 >= ctx.args.size()) return Refuse(ctx, engine::kSyntaxError);
  option->amount = ctx.args[++*i];
  return Parsed::kYes;
}

void ErrorExpireTime(ExecContext& ctx) {
  ctx.Error("ERR invalid expire time in '" + engine::FullName(ctx.command) + "' command");
}

bool ResolveTime(ExecContext& ctx, std::string_view amount, bool seconds, bool relative,
                 int64_t* at_ms) {
  int64_t ms;
  if (!ParseInt64(amount, &ms)) {
    ctx.Error(engine::kNotInteger);
    return false;
  }
  if (ms <= 0 || (seconds && __builtin_mul_overflow(ms, int64_t{1000}, &ms)) ||
      (relative && __builtin_add_overflow(ms, ctx.now_ms(), &ms))) {
    ErrorExpireTime(ctx);
    return false;
  }
  *at_ms = ms;
  return true;
}

bool ResolveExpiry(ExecContext& ctx, const ExpiryOption& option, Expiry* expiry) {
  using Kind = ExpiryOption::Kind;
  switch (option.kind) {
    case Kind::kNone:
    case Kind::kPersist:
      *expiry = Expiry::Clear();
      return true;
    case Kind::kKeepttl:
      *expiry = Expiry::Keep();
      return true;
    case Kind::kEx:
    case Kind::kPx:
    case Kind::kExat:
    case Kind::kPxat:
      break;
  }
  int64_t at_ms;
  const bool seconds = option.kind == Kind::kEx || option.kind == Kind::kExat;
  if (!ResolveTime(ctx, option.amount, seconds, !option.is_absolute(), &at_ms)) return false;
  *expiry = Expiry::At(at_ms);
  return true;
}

Parsed TakeCondition(ExecContext& ctx, bool exists_too, size_t* i, Condition* condition) {
  using Kind = Condition::Kind;
  const Kind kind = KindOf<Kind>(kConditionWords, ctx.args[*i]);
  if (kind == Kind::kNone) return Parsed::kNo;
  if (kind == Kind::kNx || kind == Kind::kXx) {
    if (!exists_too) return Parsed::kNo;
    if (condition->kind != Kind::kNone && condition->kind != kind) {
      return Refuse(ctx, engine::kSyntaxError);
    }
    condition->kind = kind;
    return Parsed::kYes;
  }
  // Two values to compare with can't both be meant, not even of one kind.
  if (condition->kind != Kind::kNone || *i + 1 >= ctx.args.size()) {
    return Refuse(ctx, engine::kSyntaxError);
  }
  condition->kind = kind;
  condition->value = ctx.args[++*i];
  if (kind == Kind::kIfdeq || kind == Kind::kIfdne) {
    const std::optional<uint64_t> digest = ParseDigest(condition->value);
    if (!digest.has_value()) {
      return Refuse(ctx, "ERR digest must be exactly 16 hexadecimal characters");
    }
    condition->number = *digest;
  } else if (kind == Kind::kIfrev && !ParseUint64(condition->value, &condition->number)) {
    return Refuse(ctx, kBadRevision);
  }
  return Parsed::kYes;
}

bool Holds(const Condition& condition, const data::Object* object) {
  using Kind = Condition::Kind;
  switch (condition.kind) {
    case Kind::kNone:
      return true;
    case Kind::kNx:
      return object == nullptr;
    case Kind::kXx:
      return object != nullptr;
    case Kind::kIfeq:
      return object != nullptr && object->value() == condition.value;
    case Kind::kIfne:
      return object == nullptr || object->value() != condition.value;
    case Kind::kIfdeq:
      return object != nullptr && ValueDigest(object->value()) == condition.number;
    case Kind::kIfdne:
      return object == nullptr || ValueDigest(object->value()) != condition.number;
    case Kind::kIfrev:
      return condition.number == (object == nullptr ? 0 : object->revision());
  }
  return false;
}

uint64_t ValueDigest(std::string_view value) { return Hash64(value); }

std::string FormatDigest(uint64_t digest) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text(kDigestDigits, '0');
  for (size_t i = kDigestDigits; i-- > 0; digest >>= 4) text[i] = kHex[digest & 15];
  return text;
}

std::optional<uint64_t> ParseDigest(std::string_view text) {
  uint64_t digest;
  if (text.size() != kDigestDigits) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), digest, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return digest;
}

uint64_t StoreString(ExecContext& ctx, Key* key, std::string_view value, const Expiry& expiry,
                     uint64_t fence) {
  if (expiry.kind == Expiry::Kind::kAt && expiry.at_ms <= ctx.now_ms()) {
    return *key ? DeleteKey(ctx, key) : 0;
  }
  const uint64_t revision = ctx.Put(key, data::ObjectType::kString, value, expiry, false, fence);
  ctx.Notify(*key, engine::kStringEvents, "set");
  if (expiry.kind == Expiry::Kind::kAt) ctx.Notify(*key, engine::kGenericEvents, "expire");
  return revision;
}

uint64_t DeleteKey(ExecContext& ctx, Key* key) {
  const uint64_t revision = ctx.Delete(key);
  ctx.Notify(*key, engine::kGenericEvents, "del");
  return revision;
}

void WriteBytes(ExecContext& ctx, Key* key, size_t offset, std::string_view bytes,
                size_t new_size) {
  if (!*key && new_size <= kMaxWholeWrite) {
    std::string value(new_size, '\0');
    bytes.copy(value.data() + offset, bytes.size());
    ctx.Put(key, data::ObjectType::kString, value, Expiry::Clear(), true);
    return;
  }
  if (!*key) ctx.Put(key, data::ObjectType::kString, {}, Expiry::Clear(), true);
  ctx.Patch(key, offset, bytes, new_size);
}

bool CheckStringLength(ExecContext& ctx, uint64_t length) {
  if (length <= ctx.config().max_bulk_bytes) return true;
  ctx.Error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
  return false;
}

void ReplyValue(ExecContext& ctx, const Key& key) {
  if (key) {
    ctx.reply.Bulk(key.object->value());
  } else {
    ctx.reply.Null();
  }
}

bool IsNotLock(ExecContext& ctx, const Key& key) {
  if (!key.Is(data::ObjectType::kLock)) return true;
  ctx.Error(engine::kWrongType);
  return false;
}

bool MayBeReplaced(ExecContext& ctx, const Key& key) {
  return !key.Is(data::ObjectType::kSequence) ? IsNotLock(ctx, key)
                                              : ctx.IsOrMissing(key, data::ObjectType::kString);
}

bool ParseCursor(ExecContext& ctx, size_t i, uint64_t* cursor) {
  std::string_view text = ctx.args[i];
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  *cursor = 0;
  bool valid = !text.empty() || ctx.args[i].empty();
  for (const char c : text) {
    valid = valid && c >= '0' && c <= '9' && !__builtin_mul_overflow(*cursor, 10, cursor) &&
            !__builtin_add_overflow(*cursor, static_cast<uint64_t>(c - '0'), cursor);
  }
  if (negative) *cursor = -*cursor;
  if (!valid) ctx.Error("ERR invalid cursor");
  return valid;
}

bool ParseScanOptions(ExecContext& ctx, size_t first, bool has_type, ScanOptions* options) {
  for (size_t i = first; i < ctx.args.size(); i += 2) {
    const bool has_value = i + 1 < ctx.args.size();
    if (has_value && EqualsIgnoreCase(ctx.args[i], "COUNT")) {
      if (!ctx.ParseInt(i + 1, &options->count)) return false;
      if (options->count >= 1) continue;
    } else if (has_value && EqualsIgnoreCase(ctx.args[i], "MATCH")) {
      options->pattern = ctx.args[i + 1];
      continue;
    } else if (has_type && has_value && EqualsIgnoreCase(ctx.args[i], "TYPE")) {
      options->type = ctx.args[i + 1];
      continue;
    }
    ctx.Error(engine::kSyntaxError);
    return false;
  }
  return true;
}

bool Matches(std::string_view pattern, std::string_view name) {
  return pattern == "*" || GlobMatch(pattern, name);
}

bool ParseRandomCount(ExecContext& ctx, int64_t* count) {
  if (!ctx.ParseInt(2, count)) return false;
  if (*count != INT64_MIN) return true;
  ctx.Error(
      "ERR value is out of range, value must between -9223372036854775807 and "
      "9223372036854775807");
  return false;
}

}  // namespace holdfast::commands
