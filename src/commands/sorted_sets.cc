// Sorted sets: members and scores one by one. Ranges are in sorted_set_ranges.cc, unions and their
// like in sorted_set_algebra.cc, pops in sorted_set_pops.cc.
#include "commands/sorted_sets.h"

#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <cmath>

#include "base/numbers.h"
#include "commands/handlers.h"
#include "commands/options.h"
#include "engine/partition.h"

namespace holdfast::commands {

using data::ObjectType;
using data::SortedSetObject;
using engine::ExecContext;
using engine::Key;

namespace {

// As it is stored: without minus zero, as Redis's small sets have it.
std::string StoredScore(double score) {
  return SortedSetObject::EncodeScore(score == 0 ? 0 : score);
}

}  // namespace

bool FindSortedSet(ExecContext& ctx, std::string_view name, const SortedSetObject** set) {
  const Key key = ctx.FindForRead(name);
  if (!ctx.IsOrMissing(key, ObjectType::kSortedSet)) return false;
  *set = SortedSetAt(key);
  return true;
}

SortedSetChange::SortedSetChange(ExecContext& ctx, Key* key)
    : ctx_(ctx), key_(key), size_(*key ? SortedSetAt(*key)->size() : 0) {}

std::optional<double> SortedSetChange::Score(std::string_view member) const {
  if (!changed_.empty()) {
    const auto it = changed_.find(member);
    if (it != changed_.end()) return it->second;
  }
  return *key_ ? SortedSetAt(*key_)->Score(member) : std::nullopt;
}

void SortedSetChange::Put(std::string_view member, double score, bool is_new) {
  size_ += is_new ? 1 : 0;
  changed_[member] = score;
  changes_.Put(member, StoredScore(score));
}

void SortedSetChange::Delete(std::string_view member) {
  --size_;
  changed_[member] = std::nullopt;
  changes_.Delete(member);
}

void SortedSetChange::Emit(std::string_view event) {
  if (changes_.empty() || (size_ == 0 && !*key_)) return;
  if (size_ > 0) {
    ctx_.Change(key_, ObjectType::kSortedSet, changes_, data::EncodeCount(size_));
    ctx_.Notify(*key_, engine::kSortedSetEvents, event);
  } else {
    ctx_.Notify(*key_, engine::kSortedSetEvents, event);
    DeleteKey(ctx_, key_);
  }
}

bool StoreSortedSet(ExecContext& ctx, std::string_view name,
                    const std::vector<ScoredMember>& members, std::string_view event) {
  Key target = ctx.FindForWrite(name);
  if (!MayBeReplaced(ctx, target)) return false;
  if (members.empty()) {
    if (target) DeleteKey(ctx, &target);
    return true;
  }
  if (target) ctx.Delete(&target);
  data::ElementChanges changes;
  for (const auto& [member, score] : members) {
    changes.Put(member, StoredScore(score));
  }
  ctx.Change(&target, ObjectType::kSortedSet, changes, data::EncodeCount(members.size()));
  ctx.Notify(target, engine::kSortedSetEvents, event);
  return true;
}

void ReplyScoredHeader(ExecContext& ctx, uint64_t n, bool with_scores) {
  ctx.reply.Array(with_scores && !ctx.reply.resp3() ? n * 2 : n);
}

void ReplyScored(ExecContext& ctx, std::string_view member, double score, bool with_scores) {
  if (with_scores && ctx.reply.resp3()) ctx.reply.Array(2);
  ctx.reply.Bulk(member);
  if (with_scores) ctx.reply.Double(score);
}

namespace {

// Reads ZADD's options; `*first` becomes the argument that is the first score. False, with the
// error replied, when options clash or no pairs of score and member follow.
bool ParseZaddOptions(ExecContext& ctx, AddOptions* options, size_t* first) {
  const struct {
    std::string_view word;
    bool* set;
  } words[] = {{"NX", &options->nx}, {"XX", &options->xx}, {"CH", &options->ch},
               {"GT", &options->gt}, {"LT", &options->lt}, {"INCR", &options->incr}};
  for (*first = 2; *first < ctx.args.size(); ++*first) {
    const auto* found = std::find_if(std::begin(words), std::end(words), [&](const auto& word) {
      return EqualsIgnoreCase(word.word, ctx.args[*first]);
    });
    if (found == std::end(words)) break;
    *found->set = true;
  }
  const size_t left = ctx.args.size() - *first;
  if (left == 0 || left % 2 != 0) {
    ctx.Error(engine::kSyntaxError);
  } else if (options->nx && options->xx) {
    ctx.Error("ERR XX and NX options at the same time are not compatible");
  } else if (int{options->nx} + int{options->gt} + int{options->lt} > 1) {
    ctx.Error("ERR GT, LT, and/or NX options at the same time are not compatible");
  } else if (options->incr && left > 2) {
    ctx.Error("ERR INCR option supports a single increment-element pair");
  } else {
    return true;
  }
  return false;
}

void ZaddCommand(ExecContext& ctx, AddOptions options) {
  size_t first;
  if (!ParseZaddOptions(ctx, &options, &first)) return;
  std::vector<std::pair<std::string_view, double>> members;
  members.reserve((ctx.args.size() - first) / 2);
  for (size_t i = first; i < ctx.args.size(); i += 2) {
    double score;
    if (!ParseDouble(ctx.args[i], &score)) {
      ctx.Error(engine::kNotFloat);
      return;
    }
    members.emplace_back(ctx.args[i + 1], score);
  }
  AddMembers(ctx, options, members);
}

struct AddOutcome {
  int64_t added = 0;
  int64_t updated = 0;
  bool held_back = true;  // the last pair, by an option
  double score = 0;       // of the last pair, when not
};

// One pair. False when the sum is not a number.
bool AddMember(const AddOptions& options, double score, std::string_view member,
               SortedSetChange* change, AddOutcome* outcome) {
  const std::optional<double> old = change->Score(member);
  outcome->held_back = true;
  if (old.has_value() ? options.nx : options.xx) return true;
  if (old.has_value()) {
    if (options.incr) score += *old;
    if (std::isnan(score)) return false;
    if ((options.lt && score >= *old) || (options.gt && score <= *old)) return true;
  }
  outcome->held_back = false;
  outcome->score = score;
  if (old.has_value() && score == *old) return true;
  change->Put(member, score, !old.has_value());
  ++(old.has_value() ? outcome->updated : outcome->added);
  return true;
}

void ReplyScore(ExecContext& ctx, const SortedSetObject* set, std::string_view member) {
  const std::optional<double> score = set != nullptr ? set->Score(member) : std::nullopt;
  if (score.has_value()) {
    ctx.reply.Double(*score);
  } else {
    ctx.reply.Null();
  }
}

void ReplyRank(ExecContext& ctx, bool from_the_end) {
  const SortedSetObject* set;
  if (!FindSortedSet(ctx, ctx.args[1], &set)) return;
  const std::optional<uint64_t> rank = set != nullptr ? set->Rank(ctx.args[2]) : std::nullopt;
  if (!rank.has_value()) {
    ctx.reply.Null();
    return;
  }
  ctx.reply.Integer(static_cast<int64_t>(from_the_end ? set->size() - 1 - *rank : *rank));
}

// `count` different members, in any order.
std::vector<SortedSetObject::Member> PickScored(Rng* rng, const SortedSetObject& set,
                                                uint64_t count) {
  std::vector<SortedSetObject::Member> picked;
  if (count < set.size() / 3) {
    absl::flat_hash_set<std::string_view> names;
    while (picked.size() < count) {
      const SortedSetObject::Member member = set.Random(rng);
      if (names.insert(member.name).second) picked.push_back(member);
    }
    return picked;
  }
  picked.reserve(set.size());
  set.Walk(0, false, [&picked](const SortedSetObject::Member& member) {
    picked.push_back(member);
    return true;
  });
  if (count >= picked.size()) return picked;
  for (uint64_t i = 0; i < count; ++i) {
    std::swap(picked[i], picked[i + rng->Below(picked.size() - i)]);
  }
  picked.resize(count);
  return picked;
}

void ReplyRandomMembers(ExecContext& ctx, const SortedSetObject& set, int64_t count,
                        bool with_scores) {
  Rng* rng = ctx.partition().rng();
  if (count >= 0) {
    const auto picked = PickScored(rng, set, static_cast<uint64_t>(count));
    ReplyScoredHeader(ctx, picked.size(), with_scores);
    for (const auto& member : picked) ReplyScored(ctx, member.name, member.score, with_scores);
    return;
  }
  ReplyScoredHeader(ctx, static_cast<uint64_t>(-count), with_scores);
  for (; count < 0 && !ctx.ReplyTooLong(); ++count) {
    const SortedSetObject::Member member = set.Random(rng);
    ReplyScored(ctx, member.name, member.score, with_scores);
  }
}

}  // namespace

void AddMembers(ExecContext& ctx, const AddOptions& options,
                const std::vector<std::pair<std::string_view, double>>& members) {
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kSortedSet)) return;
  SortedSetChange change(ctx, &key);
  AddOutcome outcome;
  for (const auto& [member, score] : members) {
    if (!AddMember(options, score, member, &change, &outcome)) {
      ctx.Error("ERR resulting score is not a number (NaN)");
      return;
    }
  }
  change.Emit(options.incr ? "zincr" : "zadd");
  if (!options.incr) {
    ctx.reply.Integer(outcome.added + (options.ch ? outcome.updated : 0));
  } else if (outcome.held_back) {
    ctx.reply.Null();
  } else {
    ctx.reply.Double(outcome.score);
  }
}

void Zadd(ExecContext& ctx) { ZaddCommand(ctx, {}); }
void Zincrby(ExecContext& ctx) { ZaddCommand(ctx, {.incr = true}); }

void Zrem(ExecContext& ctx) {
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kSortedSet)) return;
  SortedSetChange change(ctx, &key);
  int64_t removed = 0;
  for (size_t i = 2; i < ctx.args.size(); ++i) {
    if (!change.Score(ctx.args[i]).has_value()) continue;
    change.Delete(ctx.args[i]);
    ++removed;
  }
  change.Emit("zrem");
  ctx.reply.Integer(removed);
}

void Zcard(ExecContext& ctx) {
  const SortedSetObject* set;
  if (!FindSortedSet(ctx, ctx.args[1], &set)) return;
  ctx.reply.Integer(set != nullptr ? static_cast<int64_t>(set->size()) : 0);
}

void Zscore(ExecContext& ctx) {
  const SortedSetObject* set;
  if (FindSortedSet(ctx, ctx.args[1], &set)) ReplyScore(ctx, set, ctx.args[2]);
}

void Zmscore(ExecContext& ctx) {
  const SortedSetObject* set;
  if (!FindSortedSet(ctx, ctx.args[1], &set)) return;
  ctx.reply.Array(ctx.args.size() - 2);
  for (size_t i = 2; i < ctx.args.size(); ++i) ReplyScore(ctx, set, ctx.args[i]);
}

void Zrank(ExecContext& ctx) { ReplyRank(ctx, false); }
void Zrevrank(ExecContext& ctx) { ReplyRank(ctx, true); }

void Zscan(ExecContext& ctx) {
  uint64_t cursor;
  if (!ParseCursor(ctx, 2, &cursor)) return;
  const SortedSetObject* set;
  if (!FindSortedSet(ctx, ctx.args[1], &set)) return;
  ScanOptions options;
  if (set != nullptr && !ParseScanOptions(ctx, 3, /*has_type=*/false, &options)) return;
  std::vector<SortedSetObject::Member> found;
  cursor = set == nullptr ? 0
                          : set->Scan(cursor, static_cast<size_t>(options.count),
                                      [&](const SortedSetObject::Member& member) {
                                        if (Matches(options.pattern, member.name)) {
                                          found.push_back(member);
                                        }
                                      });
  ctx.reply.Array(2);
  ctx.reply.Bulk(std::to_string(cursor));
  ctx.reply.Array(found.size() * 2);
  for (const SortedSetObject::Member& member : found) {
    ctx.reply.Bulk(member.name);
    // Of a small one Redis shows all digits of an integer, which it is kept as.
    const double score = member.score;
    const bool as_integer =
        set->encoding() == "listpack" && std::trunc(score) == score && std::fabs(score) < 9.2e18;
    ctx.reply.Bulk(as_integer ? std::to_string(static_cast<int64_t>(score)) : FormatDouble(score));
  }
}

void Zrandmember(ExecContext& ctx) {
  const SortedSetObject* set;
  if (ctx.args.size() == 2) {
    if (!FindSortedSet(ctx, ctx.args[1], &set)) return;
    if (set == nullptr) {
      ctx.reply.Null();
    } else {
      ctx.reply.Bulk(set->Random(ctx.partition().rng()).name);
    }
    return;
  }
  int64_t count;
  if (!ParseRandomCount(ctx, &count)) return;
  const bool with_scores = ctx.args.size() == 4 && EqualsIgnoreCase(ctx.args[3], "WITHSCORES");
  if (ctx.args.size() > 4 || (ctx.args.size() == 4 && !with_scores)) {
    ctx.Error(engine::kSyntaxError);
    return;
  }
  if (with_scores && (count < -(INT64_MAX / 2) || count > INT64_MAX / 2)) {
    ctx.Error("ERR value is out of range");
    return;
  }
  if (!FindSortedSet(ctx, ctx.args[1], &set)) return;
  if (set == nullptr) {
    ctx.reply.Array(0);
  } else {
    ReplyRandomMembers(ctx, *set, count, with_scores);
  }
}

}  // namespace holdfast::commands
