// What commands that wait for a value in one of several keys have in common: BLPOP, BZPOPMIN and
// their like. Loop thread of the core that owns the partition.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/context.h"

namespace holdfast::commands {

// Reads args[i], seconds with a fraction, as milliseconds, rounded up; 0 = for ever. False, with
// the error replied, when it is none or too long.
[[nodiscard]] bool ParseTimeoutSeconds(engine::ExecContext& ctx, size_t i, int64_t* timeout_ms);

struct FirstKey {
  enum class Found : uint8_t { kYes, kNo, kReplied };
  Found found = Found::kNo;
  engine::Key key;               // kYes
  size_t at = 0;                 // kYes: its argument
  bool others_may_take = false;  // kNo: a key holds what isn't of this type
};

// The first of the keys args[first], … args[end - 1] that there is. kReplied, with WRONGTYPE, when
// one before it is of another type; for a request that has waited such a key is as good as missing.
FirstKey FindFirst(engine::ExecContext& ctx, size_t first, size_t end, data::ObjectType type);

// Waits for these keys, in turn, or, where nothing may wait, replies null as the command does then.
// REQUIRES: FindFirst gave kNo for them.
void WaitForKeys(engine::ExecContext& ctx, size_t first, size_t end, int64_t timeout_ms,
                 const FirstKey& none);

// "numkeys key [key ...] <end> [COUNT count]" of LMPOP, ZMPOP and those that wait.
struct PopFromKeys {
  size_t first = 0;  // keys are args[first], … args[end_at - 1]
  size_t end_at = 0;
  bool from_back = false;
  uint64_t count = 1;
};

// Reads args[at] on; the names of the ends are `front` and `back`. False with the error replied.
[[nodiscard]] bool ParsePopFromKeys(engine::ExecContext& ctx, size_t at, std::string_view front,
                                    std::string_view back, PopFromKeys* options);

}  // namespace holdfast::commands
