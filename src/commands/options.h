// Parts of requests that several commands share: expiry options, write conditions, and the way a
// string is written. Loop thread of the core that owns the partition.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/context.h"

namespace holdfast::commands {

// What a look at one argument found.
enum class Parsed : uint8_t {
  kNo,     // something else
  kYes,    // taken; the position is at its last argument
  kError,  // it clashes with what was taken before, or is damaged: the error is replied
};

// EX seconds, PX milliseconds, EXAT unix-time, PXAT unix-time, KEEPTTL or PERSIST.
struct ExpiryOption {
  enum class Kind : uint8_t { kNone, kEx, kPx, kExat, kPxat, kKeepttl, kPersist };
  Kind kind = Kind::kNone;
  std::string_view amount;

  // kExat, kPxat: may lie in the past.
  bool is_absolute() const { return kind == Kind::kExat || kind == Kind::kPxat; }
};

// Looks at args[*i]. The four times are options of every caller; `extra` is the fifth, kKeepttl or
// kPersist. As in Redis the same option may be repeated, the last one counts.
Parsed TakeExpiry(engine::ExecContext& ctx, ExpiryOption::Kind extra, size_t* i,
                  ExpiryOption* option);

// What the option means for the key: Clear without one. False, with the error replied, when the
// amount is not an integer or not a time after 1970.
[[nodiscard]] bool ResolveExpiry(engine::ExecContext& ctx, const ExpiryOption& option,
                                 engine::Expiry* expiry);

// A unix time in milliseconds from an amount in the option's unit. As ResolveExpiry.
[[nodiscard]] bool ResolveTime(engine::ExecContext& ctx, std::string_view amount, bool seconds,
                               bool relative, int64_t* at_ms);

// Replies "invalid expire time" with the command's name.
void ErrorExpireTime(engine::ExecContext& ctx);

// Under which condition a write or deletion happens. At most one is given.
struct Condition {
  enum class Kind : uint8_t { kNone, kNx, kXx, kIfeq, kIfne, kIfdeq, kIfdne, kIfrev };
  Kind kind = Kind::kNone;
  std::string_view value;  // kIfeq, kIfne
  uint64_t number = 0;     // kIfdeq, kIfdne: digest; kIfrev: revision, 0 = the key must not exist

  // Looks at the value's bytes, so that only a string can be compared.
  bool compares_value() const {
    return kind == Kind::kIfeq || kind == Kind::kIfne || kind == Kind::kIfdeq ||
           kind == Kind::kIfdne;
  }
};

// Looks at args[*i]. `exists_too`: NX and XX are options as well.
Parsed TakeCondition(engine::ExecContext& ctx, bool exists_too, size_t* i, Condition* condition);

// Whether it holds for the key's object, nullptr when the key is missing. IFEQ and IFDEQ never hold
// for a missing key, IFNE and IFDNE always do.
[[nodiscard]] bool Holds(const Condition& condition, const data::Object* object);

// XXH3-64 of a value, which DIGEST answers and IFDEQ and IFDNE compare.
uint64_t ValueDigest(std::string_view value);
// 16 hex digits, lower case, and back; any case is read.
std::string FormatDigest(uint64_t digest);
[[nodiscard]] std::optional<uint64_t> ParseDigest(std::string_view text);

// False, with WRONGTYPE replied, when the key holds what a SET must not end: a lock, or a sequence,
// which would give out its numbers again.
[[nodiscard]] bool MayBeReplaced(engine::ExecContext& ctx, const engine::Key& key);

// MATCH pattern, COUNT n and TYPE name of SCAN and its like.
struct ScanOptions {
  int64_t count = 10;
  std::string_view pattern = "*";
  std::optional<std::string_view> type;
};

// The cursor at args[i], as strtoul reads one: with a sign, and nothing for 0. False, with the
// error replied, when it is none.
[[nodiscard]] bool ParseCursor(engine::ExecContext& ctx, size_t i, uint64_t* cursor);
// Reads args[first] on; TYPE only with `has_type`. False, with the error replied, when they are
// wrong.
[[nodiscard]] bool ParseScanOptions(engine::ExecContext& ctx, size_t first, bool has_type,
                                    ScanOptions* options);
// Whether a glob pattern of a client fits the name.
[[nodiscard]] bool Matches(std::string_view pattern, std::string_view name);

// Makes the key the string `value`. A time that has passed deletes it, as in Redis, where it is
// written and expires at once. Returns the revision of the change, 0 when there was nothing to do.
uint64_t StoreString(engine::ExecContext& ctx, engine::Key* key, std::string_view value,
                     const engine::Expiry& expiry, uint64_t fence = 0);

// Deletes an existing key, of which clients hear as "del". Returns the revision of the change.
uint64_t DeleteKey(engine::ExecContext& ctx, engine::Key* key);

// The count of SRANDMEMBER, HRANDFIELD and ZRANDMEMBER, args[2]; negative: members may repeat.
[[nodiscard]] bool ParseRandomCount(engine::ExecContext& ctx, int64_t* count);

// Writes `bytes` into a string at `offset`; it is `new_size` bytes long then, zero where nothing
// was written. A missing key is created. Only what is written goes into the log, however long the
// string is. REQUIRES: offset + bytes.size() <= new_size, which is within the limit.
void WriteBytes(engine::ExecContext& ctx, engine::Key* key, size_t offset, std::string_view bytes,
                size_t new_size);

// Whether a string may become this long; replies the error when not.
[[nodiscard]] bool CheckStringLength(engine::ExecContext& ctx, uint64_t length);

// Replies the value of a string key, or null.
void ReplyValue(engine::ExecContext& ctx, const engine::Key& key);

// False, with WRONGTYPE replied, when the key is a lock. A lock can't be renamed, copied or
// written over: its fencing token would be void while its owner believes to hold it.
[[nodiscard]] bool IsNotLock(engine::ExecContext& ctx, const engine::Key& key);

}  // namespace holdfast::commands
