// Sequences: numbers that are given out once. Those of one reservation follow each other; a number
// is used up when SEQNEXT is answered, also when the client never sees the answer.
#include <string>

#include "base/check.h"
#include "base/numbers.h"
#include "commands/handlers.h"
#include "engine/context.h"

namespace holdfast::commands {
namespace {

using data::ObjectType;
using data::SequenceValue;
using engine::ExecContext;
using engine::Expiry;
using engine::Key;

constexpr std::string_view kExhausted = "ERR sequence is exhausted";

bool IsSequenceOrMissing(ExecContext& ctx, const Key& key) {
  if (!key || key.Is(ObjectType::kSequence)) return true;
  ctx.Error(engine::kWrongType);
  return false;
}

SequenceValue SequenceOf(const Key& key) {
  SequenceValue sequence;
  CHECK(data::DecodeSequence(key.object->value(), &sequence));
  return sequence;
}

bool ParseSeqcreate(ExecContext& ctx, SequenceValue* sequence) {
  for (size_t i = 2; i < ctx.args.size(); i += 2) {
    int64_t* target = nullptr;
    if (EqualsIgnoreCase(ctx.args[i], "START")) target = &sequence->next;
    if (EqualsIgnoreCase(ctx.args[i], "INCREMENT")) target = &sequence->increment;
    if (EqualsIgnoreCase(ctx.args[i], "MAX")) target = &sequence->max;
    if (target == nullptr || i + 1 >= ctx.args.size()) {
      ctx.Error(engine::kSyntaxError);
      return false;
    }
    if (!ctx.ParseInt(i + 1, target)) return false;
  }
  if (sequence->increment <= 0) {
    ctx.Error("ERR INCREMENT must be positive");
    return false;
  }
  if (sequence->next > sequence->max) {
    ctx.Error("ERR START is above MAX");
    return false;
  }
  return true;
}

// Takes `count` numbers; false when there are not so many left. The number behind the last one must
// exist as well, since it is what the sequence remembers: the very last numbers below 2^63 are
// never given out.
bool Take(SequenceValue* sequence, int64_t count, int64_t* last) {
  int64_t span;
  int64_t next;
  if (__builtin_mul_overflow(count - 1, sequence->increment, &span) ||
      __builtin_add_overflow(sequence->next, span, last) || *last > sequence->max ||
      __builtin_add_overflow(*last, sequence->increment, &next)) {
    return false;
  }
  sequence->next = next;
  return true;
}

}  // namespace

void Seqcreate(ExecContext& ctx) {
  SequenceValue sequence;
  if (!ParseSeqcreate(ctx, &sequence)) return;
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!IsSequenceOrMissing(ctx, key)) return;
  if (key) {
    ctx.Error("ERR sequence already exists");
    return;
  }
  ctx.Put(&key, ObjectType::kSequence, data::EncodeSequence(sequence), Expiry::Clear());
  ctx.Notify(key, engine::kGenericEvents, "seqcreate");
  ctx.reply.Ok();
}

void Seqnext(ExecContext& ctx) {
  int64_t count = 1;
  const bool reserves = ctx.args.size() != 2;
  if (reserves) {
    if (ctx.args.size() != 4 || !EqualsIgnoreCase(ctx.args[2], "COUNT")) {
      ctx.Error(engine::kSyntaxError);
      return;
    }
    if (!ctx.ParseInt(3, &count)) return;
    if (count < 1) {
      ctx.Error("ERR COUNT must be positive");
      return;
    }
  }
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!IsSequenceOrMissing(ctx, key)) return;
  SequenceValue sequence;
  if (key) sequence = SequenceOf(key);
  const int64_t first = sequence.next;
  int64_t last;
  if (!Take(&sequence, count, &last)) {
    ctx.Error(kExhausted);
    return;
  }
  ctx.Put(&key, ObjectType::kSequence, data::EncodeSequence(sequence), Expiry::Keep());
  ctx.Notify(key, engine::kGenericEvents, "seqnext");
  if (!reserves) {
    ctx.reply.Integer(first);
    return;
  }
  ctx.reply.Array(2);
  ctx.reply.Integer(first);
  ctx.reply.Integer(last);
}

void Seqinfo(ExecContext& ctx) {
  const Key key = ctx.Peek(ctx.args[1]);
  if (!IsSequenceOrMissing(ctx, key)) return;
  if (!key) {
    ctx.reply.NullArray();
    return;
  }
  const SequenceValue sequence = SequenceOf(key);
  ctx.reply.Map(3);
  ctx.reply.Bulk("next");
  ctx.reply.Integer(sequence.next);
  ctx.reply.Bulk("increment");
  ctx.reply.Integer(sequence.increment);
  ctx.reply.Bulk("max");
  ctx.reply.Integer(sequence.max);
}

}  // namespace holdfast::commands
