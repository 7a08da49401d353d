// Ranges of sorted sets. Each range, by rank, score or member, becomes one of ranks.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/numbers.h"
#include "commands/handlers.h"
#include "commands/options.h"
#include "commands/sorted_sets.h"

namespace holdfast::commands {
namespace {

using data::ObjectType;
using data::SortedSetObject;
using engine::ExecContext;
using engine::Key;

enum class RangeBy : uint8_t { kRank, kScore, kLex };

// An end of a range.
struct ScoreEnd {
  double score = 0;
  bool excluded = false;
};
struct LexEnd {
  enum class Kind : uint8_t { kBeforeAll, kMember, kAfterAll };
  Kind kind = Kind::kMember;
  std::string_view member;
  bool excluded = false;

  // As strings compare: below, at, or above the end.
  int Compare(std::string_view other) const {
    if (kind != Kind::kMember) return kind == Kind::kBeforeAll ? 1 : -1;
    return other.compare(member);
  }
};

// A range as a client gives it. For a range by score or member the lower end is `min`, whatever
// the order in which the command takes them.
struct Range {
  RangeBy by = RangeBy::kRank;
  int64_t start = 0;
  int64_t stop = 0;
  ScoreEnd min_score;
  ScoreEnd max_score;
  LexEnd min_lex;
  LexEnd max_lex;
};

// The ranks [first, end).
struct Ranks {
  uint64_t first = 0;
  uint64_t end = 0;

  uint64_t size() const { return end - first; }
};

// "1.5", "(1.5", "-inf", … as strtod reads it.
bool ParseScoreEnd(std::string_view text, ScoreEnd* end) {
  end->excluded = text.substr(0, 1) == "(";
  const std::string number(text.substr(end->excluded ? 1 : 0));
  char* rest = nullptr;
  end->score = std::strtod(number.c_str(), &rest);
  return *rest == '\0' && !std::isnan(end->score);
}

// "[member", "(member", "-" or "+".
bool ParseLexEnd(std::string_view text, LexEnd* end) {
  if (text == "-" || text == "+") {
    end->kind = text == "-" ? LexEnd::Kind::kBeforeAll : LexEnd::Kind::kAfterAll;
    return true;
  }
  if (text.empty() || (text[0] != '(' && text[0] != '[')) return false;
  end->kind = LexEnd::Kind::kMember;
  end->excluded = text[0] == '(';
  end->member = text.substr(1);
  return true;
}

// Reads the ends args[min] and args[max] of a range of kind `range->by`; false, with the error
// replied, when they are none.
bool ParseRange(ExecContext& ctx, size_t min, size_t max, Range* range) {
  switch (range->by) {
    case RangeBy::kRank:
      return ctx.ParseInt(min, &range->start) && ctx.ParseInt(max, &range->stop);
    case RangeBy::kScore:
      if (ParseScoreEnd(ctx.args[min], &range->min_score) &&
          ParseScoreEnd(ctx.args[max], &range->max_score)) {
        return true;
      }
      ctx.Error("ERR min or max is not a float");
      return false;
    case RangeBy::kLex:
      if (ParseLexEnd(ctx.args[min], &range->min_lex) &&
          ParseLexEnd(ctx.args[max], &range->max_lex)) {
        return true;
      }
      ctx.Error("ERR min or max not valid string range item");
      return false;
  }
  return false;
}

// The ranks that two indexes mean, which count from the end when negative; `reverse`: index 0 is
// the last member.
Ranks RanksOfIndexes(int64_t start, int64_t stop, uint64_t set_size, bool reverse) {
  const auto size = static_cast<int64_t>(set_size);
  if (start < 0) start = std::max<int64_t>(start + size, 0);
  if (stop < 0) stop += size;
  stop = std::min(stop, size - 1);
  if (start > stop) return {};
  if (reverse) {
    std::swap(start, stop);
    start = size - 1 - start;
    stop = size - 1 - stop;
  }
  return {static_cast<uint64_t>(start), static_cast<uint64_t>(stop) + 1};
}

// The ranks of a range's members. Members that a range by member is applied to should have one
// score; when not, it is what a search finds.
Ranks RanksOf(const SortedSetObject& set, const Range& range, bool reverse) {
  using Member = SortedSetObject::Member;
  Ranks ranks;
  switch (range.by) {
    case RangeBy::kRank:
      return RanksOfIndexes(range.start, range.stop, set.size(), reverse);
    case RangeBy::kScore: {
      const auto [min, min_excluded] = range.min_score;
      const auto [max, max_excluded] = range.max_score;
      ranks.first = set.CountBefore([min = min, ex = min_excluded](const Member& member) {
        return ex ? member.score <= min : member.score < min;
      });
      ranks.end = set.CountBefore([max = max, ex = max_excluded](const Member& member) {
        return ex ? member.score < max : member.score <= max;
      });
      break;
    }
    case RangeBy::kLex:
      ranks.first = set.CountBefore([&end = range.min_lex](const Member& member) {
        const int order = end.Compare(member.name);
        return end.excluded ? order <= 0 : order < 0;
      });
      ranks.end = set.CountBefore([&end = range.max_lex](const Member& member) {
        const int order = end.Compare(member.name);
        return end.excluded ? order < 0 : order <= 0;
      });
      break;
  }
  ranks.end = std::max(ranks.first, ranks.end);
  return ranks;
}

struct RangeOptions {
  std::optional<RangeBy> by;
  std::optional<bool> reverse;
  bool with_scores = false;
  int64_t offset = 0;
  int64_t limit = -1;
};

// Reads args[first] on. What the command's name has fixed, or an option before, is no option.
bool ParseRangeOptions(ExecContext& ctx, size_t first, bool store, RangeOptions* options) {
  for (size_t i = first; i < ctx.args.size(); ++i) {
    const std::string_view word = ctx.args[i];
    if (!store && EqualsIgnoreCase(word, "WITHSCORES")) {
      options->with_scores = true;
    } else if (EqualsIgnoreCase(word, "LIMIT") && i + 2 < ctx.args.size()) {
      if (!ctx.ParseInt(i + 1, &options->offset) || !ctx.ParseInt(i + 2, &options->limit)) {
        return false;
      }
      i += 2;
    } else if (!options->reverse.has_value() && EqualsIgnoreCase(word, "REV")) {
      options->reverse = true;
    } else if (!options->by.has_value() && EqualsIgnoreCase(word, "BYLEX")) {
      options->by = RangeBy::kLex;
    } else if (!options->by.has_value() && EqualsIgnoreCase(word, "BYSCORE")) {
      options->by = RangeBy::kScore;
    } else {
      ctx.Error(engine::kSyntaxError);
      return false;
    }
  }
  if (!options->by.has_value()) options->by = RangeBy::kRank;
  if (!options->reverse.has_value()) options->reverse = false;
  if (options->limit != -1 && *options->by == RangeBy::kRank) {
    ctx.Error(
        "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
    return false;
  }
  if (options->with_scores && *options->by == RangeBy::kLex) {
    ctx.Error("ERR syntax error, WITHSCORES not supported in combination with BYLEX");
    return false;
  }
  return true;
}

// What LIMIT leaves of the ranks, which are walked from their end when `reverse`.
Ranks Limited(Ranks ranks, const RangeOptions& options) {
  if (*options.by == RangeBy::kRank) return ranks;
  // As in Redis a negative offset skips everything, and a negative count is no limit.
  const uint64_t skip =
      options.offset < 0 ? ranks.size()
                         : std::min<uint64_t>(ranks.size(), static_cast<uint64_t>(options.offset));
  const uint64_t left = ranks.size() - skip;
  const uint64_t take =
      options.limit < 0 ? left : std::min<uint64_t>(left, static_cast<uint64_t>(options.limit));
  if (*options.reverse) return {ranks.end - skip - take, ranks.end - skip};
  return {ranks.first + skip, ranks.first + skip + take};
}

// Visits the members of these ranks.
void WalkRanks(const SortedSetObject& set, const Ranks& ranks, bool reverse,
               absl::FunctionRef<void(const SortedSetObject::Member& member)> visit) {
  uint64_t left = ranks.size();
  if (left == 0) return;
  set.Walk(reverse ? ranks.end - 1 : ranks.first, reverse,
           [&](const SortedSetObject::Member& member) {
             visit(member);
             return --left > 0;
           });
}

// The commands that read a range: its set is args[source], its ends follow. `target`: the argument
// that names the key where the members are stored; 0: they are replied.
void RangeCommand(ExecContext& ctx, size_t source, size_t target, RangeOptions options) {
  const bool store = target != 0;
  if (!ParseRangeOptions(ctx, source + 3, store, &options)) return;
  Range range;
  range.by = *options.by;
  const bool swapped = *options.reverse && range.by != RangeBy::kRank;
  if (!ParseRange(ctx, source + (swapped ? 2 : 1), source + (swapped ? 1 : 2), &range)) return;
  const SortedSetObject* set;
  if (!FindSortedSet(ctx, ctx.args[source], &set)) return;
  Ranks ranks;
  if (set != nullptr) ranks = Limited(RanksOf(*set, range, *options.reverse), options);
  if (store) {
    std::vector<ScoredMember> members;
    members.reserve(ranks.size());
    if (set != nullptr) {
      WalkRanks(*set, ranks, *options.reverse, [&](const SortedSetObject::Member& member) {
        members.emplace_back(member.name, member.score);
      });
    }
    if (!StoreSortedSet(ctx, ctx.args[target], members, "zrangestore")) return;
    ctx.reply.Integer(static_cast<int64_t>(members.size()));
    return;
  }
  ReplyScoredHeader(ctx, ranks.size(), options.with_scores);
  if (set == nullptr) return;
  WalkRanks(*set, ranks, *options.reverse, [&](const SortedSetObject::Member& member) {
    ReplyScored(ctx, member.name, member.score, options.with_scores);
  });
}

void CountCommand(ExecContext& ctx, RangeBy by) {
  Range range;
  range.by = by;
  if (!ParseRange(ctx, 2, 3, &range)) return;
  const SortedSetObject* set;
  if (!FindSortedSet(ctx, ctx.args[1], &set)) return;
  ctx.reply.Integer(set != nullptr ? static_cast<int64_t>(RanksOf(*set, range, false).size()) : 0);
}

void RemoveRange(ExecContext& ctx, RangeBy by, std::string_view event) {
  Range range;
  range.by = by;
  if (!ParseRange(ctx, 2, 3, &range)) return;
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!ctx.IsOrMissing(key, ObjectType::kSortedSet)) return;
  uint64_t removed = 0;
  if (key) {
    const SortedSetObject& set = *SortedSetAt(key);
    const Ranks ranks = RanksOf(set, range, false);
    removed = ranks.size();
    if (removed == set.size()) {
      ctx.Notify(key, engine::kSortedSetEvents, event);
      DeleteKey(ctx, &key);
    } else if (removed > 0) {
      data::ElementChanges changes;
      WalkRanks(set, ranks, false,
                [&changes](const SortedSetObject::Member& member) { changes.Delete(member.name); });
      ctx.Change(&key, ObjectType::kSortedSet, changes, data::EncodeCount(set.size() - removed));
      ctx.Notify(key, engine::kSortedSetEvents, event);
    }
  }
  ctx.reply.Integer(static_cast<int64_t>(removed));
}

}  // namespace

void Zrange(ExecContext& ctx) { RangeCommand(ctx, 1, 0, {}); }
void Zrangestore(ExecContext& ctx) { RangeCommand(ctx, 2, 1, {}); }
void Zrevrange(ExecContext& ctx) {
  RangeCommand(ctx, 1, 0, {.by = RangeBy::kRank, .reverse = true});
}
void Zrangebyscore(ExecContext& ctx) {
  RangeCommand(ctx, 1, 0, {.by = RangeBy::kScore, .reverse = false});
}
void Zrevrangebyscore(ExecContext& ctx) {
  RangeCommand(ctx, 1, 0, {.by = RangeBy::kScore, .reverse = true});
}
void Zrangebylex(ExecContext& ctx) {
  RangeCommand(ctx, 1, 0, {.by = RangeBy::kLex, .reverse = false});
}
void Zrevrangebylex(ExecContext& ctx) {
  RangeCommand(ctx, 1, 0, {.by = RangeBy::kLex, .reverse = true});
}

void Zcount(ExecContext& ctx) { CountCommand(ctx, RangeBy::kScore); }
void Zlexcount(ExecContext& ctx) { CountCommand(ctx, RangeBy::kLex); }

void Zremrangebyrank(ExecContext& ctx) { RemoveRange(ctx, RangeBy::kRank, "zremrangebyrank"); }
void Zremrangebyscore(ExecContext& ctx) { RemoveRange(ctx, RangeBy::kScore, "zremrangebyscore"); }
void Zremrangebylex(ExecContext& ctx) { RemoveRange(ctx, RangeBy::kLex, "zremrangebylex"); }

}  // namespace holdfast::commands
