// BITFIELD: numbers of any width inside a string.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/numbers.h"
#include "commands/bits.h"
#include "commands/handlers.h"
#include "commands/options.h"
#include "engine/config.h"
#include "engine/context.h"

namespace holdfast::commands {
namespace {

using engine::ExecContext;
using engine::Key;

struct Operation {
  enum class Kind : uint8_t { kGet, kSet, kIncrby };
  Kind kind = Kind::kGet;
  Overflow overflow = Overflow::kWrap;
  FieldType type;
  uint64_t offset = 0;  // in bits
  int64_t number = 0;

  bool writes() const { return kind != Kind::kGet; }
  uint64_t last_byte() const { return (offset + static_cast<uint64_t>(type.bits) - 1) >> 3; }
};

// A bit offset, or #n: the n-th field of this type.
bool ParseFieldOffset(ExecContext& ctx, std::string_view text, FieldType type, uint64_t* offset) {
  const bool counts_fields = !text.empty() && text[0] == '#';
  int64_t value;
  if (!ParseInt64(counts_fields ? text.substr(1) : text, &value) ||
      (counts_fields && __builtin_mul_overflow(value, int64_t{type.bits}, &value)) || value < 0 ||
      static_cast<uint64_t>(value) >> 3 >= ctx.config().max_bulk_bytes) {
    ctx.Error("ERR bit offset is not an integer or out of range");
    return false;
  }
  *offset = static_cast<uint64_t>(value);
  return true;
}

bool ParseOverflow(ExecContext& ctx, std::string_view name, Overflow* overflow) {
  if (EqualsIgnoreCase(name, "WRAP")) {
    *overflow = Overflow::kWrap;
  } else if (EqualsIgnoreCase(name, "SAT")) {
    *overflow = Overflow::kSaturate;
  } else if (EqualsIgnoreCase(name, "FAIL")) {
    *overflow = Overflow::kFail;
  } else {
    ctx.Error("ERR Invalid OVERFLOW type specified");
    return false;
  }
  return true;
}

// The operation at args[*i], whose last argument *i is afterwards.
bool ParseOperation(ExecContext& ctx, size_t* i, Operation* operation) {
  const std::string_view name = ctx.args[*i];
  const size_t rest = ctx.args.size() - *i - 1;
  if (EqualsIgnoreCase(name, "GET") && rest >= 2) {
    operation->kind = Operation::Kind::kGet;
  } else if (EqualsIgnoreCase(name, "SET") && rest >= 3) {
    operation->kind = Operation::Kind::kSet;
  } else if (EqualsIgnoreCase(name, "INCRBY") && rest >= 3) {
    operation->kind = Operation::Kind::kIncrby;
  } else {
    ctx.Error(engine::kSyntaxError);
    return false;
  }
  if (!ParseFieldType(ctx.args[*i + 1], &operation->type)) {
    ctx.Error(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but "
        "i64 is.");
    return false;
  }
  if (!ParseFieldOffset(ctx, ctx.args[*i + 2], operation->type, &operation->offset)) return false;
  *i += 2;
  return !operation->writes() || ctx.ParseInt(++*i, &operation->number);
}

bool ParseOperations(ExecContext& ctx, std::vector<Operation>* operations) {
  Overflow overflow = Overflow::kWrap;
  for (size_t i = 2; i < ctx.args.size(); ++i) {
    if (EqualsIgnoreCase(ctx.args[i], "OVERFLOW") && i + 1 < ctx.args.size()) {
      if (!ParseOverflow(ctx, ctx.args[++i], &overflow)) return false;
      continue;
    }
    Operation operation;
    operation.overflow = overflow;
    if (!ParseOperation(ctx, &i, &operation)) return false;
    operations->push_back(operation);
  }
  return true;
}

// A string with the bytes that the operations so far have changed, so that a request is one change
// of the key however many numbers it writes.
class Overlay {
 public:
  explicit Overlay(std::string_view value) : value_(value) {}

  void Read(uint64_t at, unsigned char (&window)[kFieldWindow]) const {
    for (size_t i = 0; i < kFieldWindow; ++i) {
      window[i] = at + i < value_.size() ? static_cast<unsigned char>(value_[at + i]) : 0;
    }
    for (auto it = bytes_.lower_bound(at); it != bytes_.end() && it->first < at + kFieldWindow;
         ++it) {
      window[it->first - at] = it->second;
    }
  }

  // Takes over the bytes at..last that differ.
  void Write(uint64_t at, uint64_t last, const unsigned char (&window)[kFieldWindow]) {
    unsigned char now[kFieldWindow];
    Read(at, now);
    for (uint64_t i = at; i <= last; ++i) {
      if (window[i - at] != now[i - at]) bytes_[i] = window[i - at];
    }
  }

  bool changed() const { return !bytes_.empty(); }

  // Writes the changed bytes into the string, which is `new_size` long then. Bytes near each other
  // go together, with what is between them.
  void Store(ExecContext& ctx, Key* key, size_t new_size) const {
    // The value is overwritten meanwhile: everything is read from it first.
    std::vector<std::pair<uint64_t, std::string>> runs;
    for (const auto& [at, byte] : bytes_) {
      if (runs.empty() || at - (runs.back().first + runs.back().second.size()) > kMaxGap) {
        runs.emplace_back(at, std::string());
      }
      auto& [start, run] = runs.back();
      for (uint64_t i = start + run.size(); i < at; ++i) {
        run.push_back(i < value_.size() ? value_[i] : '\0');
      }
      run.push_back(static_cast<char>(byte));
    }
    if (runs.empty()) runs.emplace_back(new_size, std::string());  // it only grows
    for (const auto& [start, run] : runs) WriteBytes(ctx, key, start, run, new_size);
  }

 private:
  // More than this between two changed bytes costs more in the log than a second patch.
  static constexpr uint64_t kMaxGap = 32;

  std::string_view value_;
  std::map<uint64_t, unsigned char> bytes_;
};

// Runs one operation and replies. True when it wrote.
bool RunOperation(ExecContext& ctx, const Operation& operation, Overlay* overlay) {
  const uint64_t at = operation.offset >> 3;
  const auto shift = static_cast<unsigned>(operation.offset & 7);
  unsigned char window[kFieldWindow];
  overlay->Read(at, window);
  const int64_t old = ReadField(window, shift, operation.type);
  if (operation.kind == Operation::Kind::kGet) {
    ctx.reply.Integer(old);
    return false;
  }
  const bool adds = operation.kind == Operation::Kind::kIncrby;
  int64_t fresh = 0;
  const bool fits =
      adds ? AddToField(operation.type, operation.overflow, old, operation.number, &fresh)
           : FitField(operation.type, operation.overflow, operation.number, &fresh);
  if (!fits) {
    ctx.reply.Null();
    return false;
  }
  WriteField(window, shift, operation.type, fresh);
  overlay->Write(at, operation.last_byte(), window);
  ctx.reply.Integer(adds ? fresh : old);
  return true;
}

void RunBitfield(ExecContext& ctx, bool read_only) {
  std::vector<Operation> operations;
  if (!ParseOperations(ctx, &operations)) return;
  const bool writes = std::any_of(operations.begin(), operations.end(),
                                  [](const Operation& operation) { return operation.writes(); });
  if (writes && read_only) {
    ctx.Error("ERR BITFIELD_RO only supports the GET subcommand");
    return;
  }
  Key key = writes ? ctx.FindForWrite(ctx.args[1]) : ctx.FindForRead(ctx.args[1]);
  if (!ctx.IsStringOrMissing(key)) return;
  const size_t old_size = key ? key.object->value_size() : 0;
  size_t new_size = old_size;
  Overlay overlay(key ? key.object->value() : std::string_view());
  ctx.reply.Array(operations.size());
  for (const Operation& operation : operations) {
    // A number that didn't fit leaves the string as long as it was.
    if (RunOperation(ctx, operation, &overlay)) {
      new_size = std::max<size_t>(new_size, operation.last_byte() + 1);
    }
  }
  if (overlay.changed() || new_size > old_size) {
    overlay.Store(ctx, &key, new_size);
    ctx.Notify(key, engine::kStringEvents, "setbit");
  }
}

}  // namespace

void Bitfield(ExecContext& ctx) { RunBitfield(ctx, false); }
void BitfieldRo(ExecContext& ctx) { RunBitfield(ctx, true); }

}  // namespace holdfast::commands
