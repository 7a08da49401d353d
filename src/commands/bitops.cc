// Strings as bitmaps.
#include <algorithm>
#include <string>

#include "base/numbers.h"
#include "commands/bits.h"
#include "commands/handlers.h"
#include "commands/options.h"
#include "engine/config.h"
#include "engine/context.h"

namespace holdfast::commands {
namespace {

using data::ObjectType;
using engine::ExecContext;
using engine::Expiry;
using engine::Key;

// SETBIT's and GETBIT's offset, in bits.
bool ParseBitOffset(ExecContext& ctx, size_t i, uint64_t* offset) {
  static constexpr std::string_view kError = "ERR bit offset is not an integer or out of range";
  int64_t value;
  if (!ctx.ParseInt(i, &value, kError)) return false;
  *offset = static_cast<uint64_t>(value);
  if (value >= 0 && *offset >> 3 < ctx.config().max_bulk_bytes) return true;
  ctx.Error(kError);
  return false;
}

bool BitAt(std::string_view value, uint64_t offset) {
  const uint64_t byte = offset >> 3;
  return byte < value.size() && ((value[byte] >> (7 - (offset & 7))) & 1) != 0;
}

// The bits that BITCOUNT and BITPOS look at.
struct BitRange {
  bool empty = true;
  uint64_t first = 0;
  uint64_t last = 0;
};

// BYTE or BIT at args[i], if it is there. False, with the error replied, for another word.
bool ParseUnit(ExecContext& ctx, size_t i, bool* in_bits) {
  *in_bits = false;
  if (i >= ctx.args.size()) return true;
  *in_bits = EqualsIgnoreCase(ctx.args[i], "BIT");
  if (*in_bits || EqualsIgnoreCase(ctx.args[i], "BYTE")) return true;
  ctx.Error(engine::kSyntaxError);
  return false;
}

// `start` and `end` count units, from the end of the string where they are negative.
BitRange MakeRange(size_t value_size, bool in_bits, int64_t start, int64_t end) {
  const auto size = static_cast<int64_t>(value_size) * (in_bits ? 8 : 1);
  if (start < 0) start = std::max<int64_t>(size + start, 0);
  if (end < 0) end = std::max<int64_t>(size + end, 0);
  end = std::min(end, size - 1);
  if (start > end) return {};
  const auto first = static_cast<uint64_t>(start);
  const auto last = static_cast<uint64_t>(end);
  if (in_bits) return {false, first, last};
  return {false, first * 8, last * 8 + 7};
}

bool ParseOperation(std::string_view name, BitOperation* operation) {
  static constexpr std::pair<std::string_view, BitOperation> kOperations[] = {
      {"AND", BitOperation::kAnd},
      {"OR", BitOperation::kOr},
      {"XOR", BitOperation::kXor},
      {"NOT", BitOperation::kNot},
  };
  for (const auto& [word, value] : kOperations) {
    if (!EqualsIgnoreCase(word, name)) continue;
    *operation = value;
    return true;
  }
  return false;
}

}  // namespace

void Setbit(ExecContext& ctx) {
  static constexpr std::string_view kBitError = "ERR bit is not an integer or out of range";
  uint64_t offset;
  int64_t bit;
  if (!ParseBitOffset(ctx, 2, &offset) || !ctx.ParseInt(3, &bit, kBitError)) return;
  if (bit != 0 && bit != 1) {
    ctx.Error(kBitError);
    return;
  }
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsStringOrMissing(key)) return;
  const uint64_t at = offset >> 3;
  const size_t old_size = key ? key.object->value_size() : 0;
  const std::string_view value = key ? key.object->value() : std::string_view();
  const bool old_bit = BitAt(value, offset);
  const int mask = 1 << (7 - (offset & 7));
  const int old_byte = at < old_size ? value[at] : 0;
  // A bit that is set already is no change, unless the string grows.
  if (at >= old_size || old_bit != (bit == 1)) {
    const char byte = static_cast<char>(bit == 1 ? old_byte | mask : old_byte & ~mask);
    WriteBytes(ctx, &key, at, {&byte, 1}, std::max<size_t>(old_size, at + 1));
    ctx.Notify(key, engine::kStringEvents, "setbit");
  }
  ctx.reply.Integer(old_bit ? 1 : 0);
}

void Getbit(ExecContext& ctx) {
  uint64_t offset;
  if (!ParseBitOffset(ctx, 2, &offset)) return;
  const Key key = ctx.FindForRead(ctx.args[1]);
  if (!ctx.IsStringOrMissing(key)) return;
  ctx.reply.Integer(key && BitAt(key.object->value(), offset) ? 1 : 0);
}

void Bitcount(ExecContext& ctx) {
  const size_t argc = ctx.args.size();
  const Key key = ctx.FindForRead(ctx.args[1]);
  if (!ctx.IsStringOrMissing(key)) return;
  if (!key) {
    ctx.reply.Integer(0);
    return;
  }
  const std::string_view value = key.object->value();
  int64_t start = 0;
  int64_t end = -1;
  bool in_bits = false;
  if (argc == 3 || argc > 5) {
    ctx.Error(engine::kSyntaxError);
    return;
  }
  if (argc > 2 && (!ctx.ParseInt(2, &start) || !ctx.ParseInt(3, &end))) return;
  // Redis looks at the unit only after this.
  const bool backwards = start < 0 && end < 0 && start > end;
  if (!backwards && !ParseUnit(ctx, 4, &in_bits)) return;
  const BitRange range = MakeRange(value.size(), in_bits, start, end);
  const bool none = backwards || range.empty;
  ctx.reply.Integer(none ? 0 : CountOnes(value, range.first, range.last));
}

void Bitpos(ExecContext& ctx) {
  const size_t argc = ctx.args.size();
  int64_t bit;
  if (!ctx.ParseInt(2, &bit)) return;
  if (bit != 0 && bit != 1) {
    ctx.Error("ERR The bit argument must be 1 or 0.");
    return;
  }
  const Key key = ctx.FindForRead(ctx.args[1]);
  if (!ctx.IsStringOrMissing(key)) return;
  if (!key) {
    // A missing key is zeros without end.
    ctx.reply.Integer(bit == 1 ? -1 : 0);
    return;
  }
  if (argc > 6) {
    ctx.Error(engine::kSyntaxError);
    return;
  }
  const std::string_view value = key.object->value();
  int64_t start = 0;
  int64_t end = -1;
  bool in_bits;
  if (argc > 3 && !ctx.ParseInt(3, &start)) return;
  if (!ParseUnit(ctx, 5, &in_bits)) return;
  if (argc > 4 && !ctx.ParseInt(4, &end)) return;
  const BitRange range = MakeRange(value.size(), in_bits, start, end);
  if (range.empty) {
    ctx.reply.Integer(-1);
    return;
  }
  const int64_t found = FindBit(value, bit == 1, range.first, range.last);
  // Without an end the string counts as followed by zeros.
  const bool open_end = found < 0 && bit == 0 && argc <= 4;
  ctx.reply.Integer(open_end ? static_cast<int64_t>(value.size()) * 8 : found);
}

void Bitop(ExecContext& ctx) {
  BitOperation operation;
  if (!ParseOperation(ctx.args[1], &operation)) {
    ctx.Error(engine::kSyntaxError);
    return;
  }
  if (operation == BitOperation::kNot && ctx.args.size() != 4) {
    ctx.Error("ERR BITOP NOT must be called with a single source key.");
    return;
  }
  std::string result;
  for (size_t i = 3; i < ctx.args.size(); ++i) {
    const Key source = ctx.FindForRead(ctx.args[i]);
    if (!ctx.IsStringOrMissing(source)) return;
    const std::string_view value = source ? source.object->value() : std::string_view();
    if (i == 3) result = value;
    if (i > 3 || operation == BitOperation::kNot) CombineBits(operation, value, &result);
  }
  Key target = ctx.FindForWrite(ctx.args[2]);
  if (!MayBeReplaced(ctx, target)) return;
  if (!result.empty()) {
    ctx.Put(&target, ObjectType::kString, result, Expiry::Clear(), true);
    ctx.Notify(target, engine::kStringEvents, "set");
  } else if (target) {
    DeleteKey(ctx, &target);
  }
  ctx.reply.Integer(static_cast<int64_t>(result.size()));
}

}  // namespace holdfast::commands
