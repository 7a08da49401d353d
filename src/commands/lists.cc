// Lists.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/numbers.h"
#include "commands/blocking.h"
#include "commands/handlers.h"
#include "commands/lists.h"
#include "commands/options.h"
#include "data/list_object.h"
#include "engine/partition.h"

namespace holdfast::commands {
namespace {

using data::ListObject;
using data::ObjectType;
using engine::ExecContext;
using engine::Key;

constexpr std::string_view kMustBePositive = "ERR value is out of range, must be positive";

enum class End : uint8_t { kFront, kBack };

std::string_view PushEvent(End end) { return end == End::kFront ? "lpush" : "rpush"; }
std::string_view PopEvent(End end) { return end == End::kFront ? "lpop" : "rpop"; }

// REQUIRES: the key is a list, or missing: then there is none.
const ListObject* ListAt(const Key& key) {
  return key ? static_cast<const ListObject*>(key.object->collection()) : nullptr;
}

// The list that the command reads; false, with WRONGTYPE replied, when the key is something else.
bool FindList(ExecContext& ctx, const ListObject** list) {
  const Key key = ctx.FindForRead(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kList)) return false;
  *list = ListAt(key);
  return true;
}

// What one command changes in a list, as one modification. The list stays as it is until Emit.
class ListChange {
 public:
  ListChange(ExecContext& ctx, Key* key) : ctx_(ctx), key_(key) {
    const ListObject* list = ListAt(*key);
    if (list == nullptr) return;
    size_ = list->size();
    front_ = list->FirstPosition();
    back_ = list->LastPosition();
  }

  uint64_t size() const { return size_; }

  void Push(End end, std::string_view value) {
    if (size_ == 0) {
      front_ = back_ = 0;
    } else if (end == End::kFront) {
      // At a push in every microsecond the numbers last for years; a list that has been empty
      // begins with new ones.
      CHECK_MSG(front_ >= INT64_MIN + ListObject::kGap, "a list has no positions left");
      front_ -= ListObject::kGap;
    } else {
      CHECK_MSG(back_ <= INT64_MAX - ListObject::kGap, "a list has no positions left");
      back_ += ListObject::kGap;
    }
    ++size_;
    changes_.Put(ListObject::EncodePosition(end == End::kFront ? front_ : back_), value);
  }
  void Delete(int64_t position) {
    --size_;
    changes_.Delete(ListObject::EncodePosition(position));
  }
  void Set(int64_t position, std::string_view value) {
    changes_.Put(ListObject::EncodePosition(position), value);
  }
  // A new item between two neighbours. False when there is no room between them.
  bool InsertBetween(int64_t before, int64_t after, std::string_view value) {
    const int64_t middle = before + (after - before) / 2;
    if (middle == before) return false;
    ++size_;
    Set(middle, value);
    return true;
  }
  // Makes the changes one effect, of which clients hear as `event` (ExecContext::Notify); a list
  // that lost all its items is deleted.
  void Emit(std::string_view event) {
    if (changes_.empty()) return;
    if (size_ > 0) {
      ctx_.Change(key_, ObjectType::kList, changes_, data::EncodeCount(size_));
      ctx_.Notify(*key_, engine::kListEvents, event);
    } else {
      ctx_.Notify(*key_, engine::kListEvents, event);
      DeleteKey(ctx_, key_);
    }
  }

 private:
  ExecContext& ctx_;
  Key* const key_;
  uint64_t size_ = 0;
  int64_t front_ = 0;
  int64_t back_ = 0;
  data::ElementChanges changes_;
};

// Takes up to `count` items from an end. REQUIRES: the key is a list.
std::vector<std::string> Pop(ExecContext& ctx, Key* key, End end, uint64_t count) {
  std::vector<std::string> popped;
  ListChange change(ctx, key);
  const ListObject* list = ListAt(*key);
  count = std::min(count, list->size());
  if (count == 0) return popped;
  list->Walk(end == End::kFront ? 0 : list->size() - 1, end == End::kBack,
             [&](const ListObject::Item& item) {
               popped.emplace_back(item.value);
               change.Delete(item.position);
               return popped.size() < count;
             });
  change.Emit(PopEvent(end));
  return popped;
}

void ReplyItems(ExecContext& ctx, const std::vector<std::string>& items) {
  ctx.reply.Array(items.size());
  for (const std::string& item : items) ctx.reply.Bulk(item);
}

void PushCommand(ExecContext& ctx, End end, bool only_if_there) {
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kList)) return;
  if (only_if_there && !key) {
    ctx.reply.Integer(0);
    return;
  }
  ListChange change(ctx, &key);
  for (size_t i = 2; i < ctx.args.size(); ++i) change.Push(end, ctx.args[i]);
  change.Emit(PushEvent(end));
  ctx.reply.Integer(static_cast<int64_t>(change.size()));
}

void PopCommand(ExecContext& ctx, End end) {
  if (ctx.args.size() > 3) {
    ctx.ErrorArity();
    return;
  }
  int64_t count = 1;
  const bool has_count = ctx.args.size() == 3;
  if (has_count && (!ParseInt64(ctx.args[2], &count) || count < 0)) {
    ctx.Error(kMustBePositive);
    return;
  }
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kList)) return;
  if (!key) {
    has_count ? ctx.reply.NullArray() : ctx.reply.Null();
    return;
  }
  const std::vector<std::string> items = Pop(ctx, &key, end, static_cast<uint64_t>(count));
  if (has_count) {
    ReplyItems(ctx, items);
  } else {
    ctx.reply.Bulk(items[0]);
  }
}

// The part [first, end) of a list that two indexes of a client mean.
std::pair<uint64_t, uint64_t> PartOf(int64_t start, int64_t stop, uint64_t list_size) {
  const auto size = static_cast<int64_t>(list_size);
  if (start < 0) start = std::max<int64_t>(start + size, 0);
  if (stop < 0) stop += size;
  stop = std::min(stop, size - 1);
  if (start > stop) return {0, 0};
  return {static_cast<uint64_t>(start), static_cast<uint64_t>(stop) + 1};
}

// The item of an index of a client, which counts from the end when negative.
std::optional<ListObject::Item> ItemAt(const ListObject& list, int64_t index) {
  if (index < 0) index += static_cast<int64_t>(list.size());
  if (index < 0 || static_cast<uint64_t>(index) >= list.size()) return std::nullopt;
  return list.At(static_cast<uint64_t>(index));
}

bool ParseEnd(ExecContext& ctx, size_t i, End* end) {
  if (EqualsIgnoreCase(ctx.args[i], "LEFT")) {
    *end = End::kFront;
  } else if (EqualsIgnoreCase(ctx.args[i], "RIGHT")) {
    *end = End::kBack;
  } else {
    ctx.Error(engine::kSyntaxError);
    return false;
  }
  return true;
}

// REQUIRES: the source is a list.
void MoveItem(ExecContext& ctx, Key source, End from, End to) {
  const bool same = ctx.args[1] == ctx.args[2];
  Key target = same ? source : ctx.FindForWrite(ctx.args[2]);
  if (!ctx.IsOrMissing(target, ObjectType::kList)) return;
  const ListObject* list = ListAt(source);
  const ListObject::Item item = list->At(from == End::kFront ? 0 : list->size() - 1);
  const std::string value(item.value);
  if (same) {
    ListChange change(ctx, &source);
    // Pushed first: a list of one item must not end in between.
    const int64_t position = item.position;
    if (list->size() > 1 && from != to) {
      change.Push(to, value);
      change.Delete(position);
    } else {
      change.Set(position, value);
    }
    change.Emit(PushEvent(to));
    ctx.Notify(source, engine::kListEvents, PopEvent(from));
  } else {
    ListChange change(ctx, &target);
    change.Push(to, value);
    change.Emit(PushEvent(to));
    Pop(ctx, &source, from, 1);
  }
  ctx.reply.Bulk(value);
}

void MoveOrNull(ExecContext& ctx, End from, End to) {
  const Key source = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(source, ObjectType::kList)) return;
  if (source) {
    MoveItem(ctx, source, from, to);
  } else {
    ctx.reply.Null();
  }
}

void MoveOrWait(ExecContext& ctx, End from, End to, int64_t timeout_ms) {
  const FirstKey source = FindFirst(ctx, 1, 2, ObjectType::kList);
  if (source.found == FirstKey::Found::kYes) {
    MoveItem(ctx, source.key, from, to);
  } else if (source.found == FirstKey::Found::kNo && ctx.caller.in_transaction) {
    ctx.reply.Null();
  } else if (source.found == FirstKey::Found::kNo) {
    WaitForKeys(ctx, 1, 2, timeout_ms, source);
  }
}

// BLPOP and BRPOP.
void PopOrWait(ExecContext& ctx, End end) {
  const size_t end_at = ctx.args.size() - 1;
  int64_t timeout_ms;
  if (!ParseTimeoutSeconds(ctx, end_at, &timeout_ms)) return;
  FirstKey first = FindFirst(ctx, 1, end_at, ObjectType::kList);
  if (first.found == FirstKey::Found::kNo) WaitForKeys(ctx, 1, end_at, timeout_ms, first);
  if (first.found != FirstKey::Found::kYes) return;
  const std::vector<std::string> items = Pop(ctx, &first.key, end, 1);
  ctx.reply.Array(2);
  ctx.reply.Bulk(ctx.args[first.at]);
  ctx.reply.Bulk(items[0]);
}

// REQUIRES: first.found is kYes.
void PopMany(ExecContext& ctx, FirstKey* first, const PopFromKeys& options) {
  const End end = options.from_back ? End::kBack : End::kFront;
  const std::vector<std::string> items = Pop(ctx, &first->key, end, options.count);
  ctx.reply.Array(2);
  ctx.reply.Bulk(ctx.args[first->at]);
  ReplyItems(ctx, items);
}

// The items with another one before index `at`, all at new positions.
void RenumberWith(ExecContext& ctx, Key* key, uint64_t at, std::string_view value) {
  const ListObject* list = ListAt(*key);
  std::vector<std::string> items;
  data::ElementChanges changes;
  list->Walk(0, false, [&](const ListObject::Item& item) {
    items.emplace_back(item.value);
    changes.Delete(ListObject::EncodePosition(item.position));
    return true;
  });
  items.emplace(items.begin() + static_cast<ptrdiff_t>(at), value);
  int64_t position = 0;
  for (const std::string& item : items) {
    changes.Put(ListObject::EncodePosition(position), item);
    position += ListObject::kGap;
  }
  ctx.Change(key, ObjectType::kList, changes, data::EncodeCount(items.size()));
  ctx.Notify(*key, engine::kListEvents, "linsert");
}

struct LposOptions {
  int64_t rank = 1;
  int64_t count = -1;  // not given: one, and no array
  int64_t max_length = 0;
};

bool ParseLposOptions(ExecContext& ctx, LposOptions* options) {
  for (size_t i = 3; i < ctx.args.size(); i += 2) {
    const bool has_value = i + 1 < ctx.args.size();
    if (has_value && EqualsIgnoreCase(ctx.args[i], "RANK")) {
      if (!ctx.ParseInt(i + 1, &options->rank)) return false;
      if (options->rank == 0) {
        ctx.Error(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second "
            "... or use negative to start from the end of the list");
        return false;
      }
      if (options->rank == INT64_MIN) {
        ctx.Error("ERR value is out of range, must be greater than -9223372036854775808");
        return false;
      }
    } else if (has_value && EqualsIgnoreCase(ctx.args[i], "COUNT")) {
      if (!ParseInt64(ctx.args[i + 1], &options->count) || options->count < 0) {
        ctx.Error("ERR COUNT can't be negative");
        return false;
      }
    } else if (has_value && EqualsIgnoreCase(ctx.args[i], "MAXLEN")) {
      if (!ParseInt64(ctx.args[i + 1], &options->max_length) || options->max_length < 0) {
        ctx.Error("ERR MAXLEN can't be negative");
        return false;
      }
    } else {
      ctx.Error(engine::kSyntaxError);
      return false;
    }
  }
  return true;
}

}  // namespace

void StoreList(ExecContext& ctx, Key* key, std::span<const std::string_view> items,
               std::string_view event) {
  if (*key && items.empty()) {
    DeleteKey(ctx, key);
  } else if (*key) {
    ctx.Delete(key);
  }
  ListChange change(ctx, key);
  for (const std::string_view item : items) change.Push(End::kBack, item);
  change.Emit(event);
}

void Lpush(ExecContext& ctx) { PushCommand(ctx, End::kFront, false); }
void Rpush(ExecContext& ctx) { PushCommand(ctx, End::kBack, false); }
void Lpushx(ExecContext& ctx) { PushCommand(ctx, End::kFront, true); }
void Rpushx(ExecContext& ctx) { PushCommand(ctx, End::kBack, true); }
void Lpop(ExecContext& ctx) { PopCommand(ctx, End::kFront); }
void Rpop(ExecContext& ctx) { PopCommand(ctx, End::kBack); }

void Llen(ExecContext& ctx) {
  const ListObject* list;
  if (!FindList(ctx, &list)) return;
  ctx.reply.Integer(list != nullptr ? static_cast<int64_t>(list->size()) : 0);
}

void Lindex(ExecContext& ctx) {
  const ListObject* list;
  if (!FindList(ctx, &list)) return;
  int64_t index;
  if (list == nullptr) {
    ctx.reply.Null();
    return;
  }
  if (!ctx.ParseInt(2, &index)) return;
  const std::optional<ListObject::Item> item = ItemAt(*list, index);
  if (item.has_value()) {
    ctx.reply.Bulk(item->value);
  } else {
    ctx.reply.Null();
  }
}

void Lset(ExecContext& ctx) {
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!key) {
    ctx.Error(engine::kNoSuchKey);
    return;
  }
  if (!ctx.IsOrMissing(key, ObjectType::kList)) return;
  int64_t index;
  if (!ctx.ParseInt(2, &index)) return;
  const std::optional<ListObject::Item> item = ItemAt(*ListAt(key), index);
  if (!item.has_value()) {
    ctx.Error(engine::kOutOfRange);
    return;
  }
  ListChange change(ctx, &key);
  change.Set(item->position, ctx.args[3]);
  change.Emit("lset");
  ctx.reply.Ok();
}

void Lrange(ExecContext& ctx) {
  int64_t start;
  int64_t stop;
  if (!ctx.ParseInt(2, &start) || !ctx.ParseInt(3, &stop)) return;
  const ListObject* list;
  if (!FindList(ctx, &list)) return;
  const auto [first, end] = PartOf(start, stop, list != nullptr ? list->size() : 0);
  ctx.reply.Array(end - first);
  if (first == end) return;
  uint64_t left = end - first;
  list->Walk(first, false, [&ctx, &left](const ListObject::Item& item) {
    ctx.reply.Bulk(item.value);
    return --left > 0;
  });
}

void Ltrim(ExecContext& ctx) {
  int64_t start;
  int64_t stop;
  if (!ctx.ParseInt(2, &start) || !ctx.ParseInt(3, &stop)) return;
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kList)) return;
  if (key) {
    const ListObject* list = ListAt(key);
    const auto [first, end] = PartOf(start, stop, list->size());
    ListChange change(ctx, &key);
    const auto drop = [&](uint64_t begin, uint64_t count) {
      if (count == 0) return;
      list->Walk(begin, false, [&](const ListObject::Item& item) {
        change.Delete(item.position);
        return --count > 0;
      });
    };
    const uint64_t size = list->size();
    drop(0, first);
    drop(end, size - end);
    change.Emit("ltrim");
    // As in Redis, also when nothing went.
    if (first == 0 && end == size) ctx.Notify(key, engine::kListEvents, "ltrim");
  }
  ctx.reply.Ok();
}

void Lrem(ExecContext& ctx) {
  int64_t count;
  if (!ctx.ParseInt(2, &count)) return;
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kList)) return;
  int64_t removed = 0;
  if (key) {
    const ListObject* list = ListAt(key);
    ListChange change(ctx, &key);
    // INT64_MIN has no opposite.
    const int64_t most = count == 0 || count == INT64_MIN ? INT64_MAX : std::abs(count);
    list->Walk(count < 0 ? list->size() - 1 : 0, count < 0, [&](const ListObject::Item& item) {
      if (item.value == ctx.args[3]) {
        change.Delete(item.position);
        ++removed;
      }
      return removed < most;
    });
    change.Emit("lrem");
  }
  ctx.reply.Integer(removed);
}

void Linsert(ExecContext& ctx) {
  const bool before = EqualsIgnoreCase(ctx.args[2], "BEFORE");
  if (!before && !EqualsIgnoreCase(ctx.args[2], "AFTER")) {
    ctx.Error(engine::kSyntaxError);
    return;
  }
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kList)) return;
  if (!key) {
    ctx.reply.Integer(0);
    return;
  }
  const ListObject* list = ListAt(key);
  uint64_t pivot = 0;
  bool found = false;
  list->Walk(0, false, [&](const ListObject::Item& item) {
    found = item.value == ctx.args[3];
    if (!found) ++pivot;
    return !found;
  });
  if (!found) {
    ctx.reply.Integer(-1);
    return;
  }
  const uint64_t at = before ? pivot : pivot + 1;
  const auto size = static_cast<int64_t>(list->size()) + 1;
  ListChange change(ctx, &key);
  if (at == 0 || at == list->size()) {
    change.Push(at == 0 ? End::kFront : End::kBack, ctx.args[4]);
    change.Emit("linsert");
  } else if (change.InsertBetween(list->At(at - 1).position, list->At(at).position, ctx.args[4])) {
    change.Emit("linsert");
  } else {
    RenumberWith(ctx, &key, at, ctx.args[4]);
  }
  ctx.reply.Integer(size);
}

void Lpos(ExecContext& ctx) {
  LposOptions options;
  if (!ParseLposOptions(ctx, &options)) return;
  const ListObject* list;
  if (!FindList(ctx, &list)) return;
  std::vector<uint64_t> found;
  if (list != nullptr) {
    const bool backwards = options.rank < 0;
    const uint64_t most = options.count == 0  ? UINT64_MAX
                          : options.count < 0 ? 1
                                              : static_cast<uint64_t>(options.count);
    uint64_t skip = static_cast<uint64_t>(std::abs(options.rank)) - 1;
    uint64_t index = backwards ? list->size() - 1 : 0;
    int64_t looked_at = 0;
    list->Walk(index, backwards, [&](const ListObject::Item& item) {
      if (item.value == ctx.args[2] && skip-- == 0) {
        found.push_back(index);
        skip = 0;
      }
      index += backwards ? UINT64_MAX : 1;  // one back, or one on
      ++looked_at;
      return found.size() < most && (options.max_length == 0 || looked_at < options.max_length);
    });
  }
  if (options.count >= 0) {
    ctx.reply.Array(found.size());
  } else if (found.empty()) {
    ctx.reply.Null();
  }
  for (const uint64_t index : found) ctx.reply.Integer(static_cast<int64_t>(index));
}

void Lmove(ExecContext& ctx) {
  End from;
  End to;
  if (ParseEnd(ctx, 3, &from) && ParseEnd(ctx, 4, &to)) MoveOrNull(ctx, from, to);
}

void Rpoplpush(ExecContext& ctx) { MoveOrNull(ctx, End::kBack, End::kFront); }

void Lmpop(ExecContext& ctx) {
  PopFromKeys options;
  if (!ParsePopFromKeys(ctx, 1, "LEFT", "RIGHT", &options)) return;
  FirstKey first = FindFirst(ctx, options.first, options.end_at, ObjectType::kList);
  if (first.found == FirstKey::Found::kYes) PopMany(ctx, &first, options);
  if (first.found == FirstKey::Found::kNo) ctx.reply.NullArray();
}

void Blpop(ExecContext& ctx) { PopOrWait(ctx, End::kFront); }
void Brpop(ExecContext& ctx) { PopOrWait(ctx, End::kBack); }

void Blmove(ExecContext& ctx) {
  End from;
  End to;
  int64_t timeout_ms;
  if (!ParseEnd(ctx, 3, &from) || !ParseEnd(ctx, 4, &to)) return;
  if (ParseTimeoutSeconds(ctx, 5, &timeout_ms)) MoveOrWait(ctx, from, to, timeout_ms);
}

void Brpoplpush(ExecContext& ctx) {
  int64_t timeout_ms;
  if (ParseTimeoutSeconds(ctx, 3, &timeout_ms)) {
    MoveOrWait(ctx, End::kBack, End::kFront, timeout_ms);
  }
}

void Blmpop(ExecContext& ctx) {
  int64_t timeout_ms;
  PopFromKeys options;
  if (!ParsePopFromKeys(ctx, 2, "LEFT", "RIGHT", &options) ||
      !ParseTimeoutSeconds(ctx, 1, &timeout_ms)) {
    return;
  }
  FirstKey first = FindFirst(ctx, options.first, options.end_at, ObjectType::kList);
  if (first.found == FirstKey::Found::kYes) PopMany(ctx, &first, options);
  if (first.found == FirstKey::Found::kNo) {
    WaitForKeys(ctx, options.first, options.end_at, timeout_ms, first);
  }
}

}  // namespace holdfast::commands
