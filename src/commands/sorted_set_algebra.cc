// Unions, intersections and differences of sorted sets, and of sets, whose members count as 1.
#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <cmath>

#include "base/numbers.h"
#include "commands/handlers.h"
#include "commands/sorted_sets.h"
#include "data/set_object.h"

namespace holdfast::commands {
namespace {

using data::ObjectType;
using data::SetObject;
using data::SortedSetObject;
using engine::ExecContext;
using engine::Key;

enum class ZOperation : uint8_t { kUnion, kIntersection, kDifference };
enum class Aggregate : uint8_t { kSum, kMin, kMax };

// One of the sources: a sorted set, a set, or nothing.
class Source {
 public:
  explicit Source(const Key& key) {
    if (key.Is(ObjectType::kSortedSet)) sorted_ = SortedSetAt(key);
    if (key.Is(ObjectType::kSet)) set_ = static_cast<const SetObject*>(key.object->collection());
  }

  uint64_t size() const {
    return sorted_ != nullptr ? sorted_->size() : set_ != nullptr ? set_->size() : 0;
  }
  std::optional<double> Score(std::string_view member) const {
    if (sorted_ != nullptr) return sorted_->Score(member);
    if (set_ != nullptr && set_->Contains(member)) return 1;
    return std::nullopt;
  }
  // Visits members until `visit` returns false. The names are valid during the visit only.
  void ForEach(absl::FunctionRef<bool(std::string_view member, double score)> visit) const {
    if (sorted_ != nullptr) {
      sorted_->Walk(0, false, [&](const SortedSetObject::Member& member) {
        return visit(member.name, member.score);
      });
    } else if (set_ != nullptr) {
      bool more = true;
      set_->ForEach(
          [&](std::string_view member, std::string_view) { more = more && visit(member, 1); });
    }
  }

  double weight = 1;

 private:
  const SortedSetObject* sorted_ = nullptr;
  const SetObject* set_ = nullptr;
};

struct AlgebraOptions {
  ZOperation operation = ZOperation::kUnion;
  bool store = false;
  bool count_only = false;
  Aggregate aggregate = Aggregate::kSum;
  bool with_scores = false;
  int64_t limit = 0;  // 0: none
};

bool ParseAggregate(std::string_view word, Aggregate* aggregate) {
  if (EqualsIgnoreCase(word, "SUM")) {
    *aggregate = Aggregate::kSum;
  } else if (EqualsIgnoreCase(word, "MIN")) {
    *aggregate = Aggregate::kMin;
  } else if (EqualsIgnoreCase(word, "MAX")) {
    *aggregate = Aggregate::kMax;
  } else {
    return false;
  }
  return true;
}

// Reads args[i] on.
bool ParseAlgebraOptions(ExecContext& ctx, size_t i, AlgebraOptions* options,
                         std::vector<Source>* sources) {
  const bool combines = options->operation != ZOperation::kDifference && !options->count_only;
  while (i < ctx.args.size()) {
    const std::string_view word = ctx.args[i++];
    const size_t left = ctx.args.size() - i;
    if (combines && left >= sources->size() && EqualsIgnoreCase(word, "WEIGHTS")) {
      for (Source& source : *sources) {
        if (!ParseDouble(ctx.args[i++], &source.weight)) {
          ctx.Error("ERR weight value is not a float");
          return false;
        }
      }
    } else if (combines && left >= 1 && EqualsIgnoreCase(word, "AGGREGATE") &&
               ParseAggregate(ctx.args[i], &options->aggregate)) {
      ++i;
    } else if (!options->store && !options->count_only && EqualsIgnoreCase(word, "WITHSCORES")) {
      options->with_scores = true;
    } else if (options->count_only && left >= 1 && EqualsIgnoreCase(word, "LIMIT")) {
      if (!ParseInt64(ctx.args[i++], &options->limit) || options->limit < 0) {
        ctx.Error("ERR LIMIT can't be negative");
        return false;
      }
    } else {
      ctx.Error(engine::kSyntaxError);
      return false;
    }
  }
  return true;
}

// Reads "numkeys key … options" from args[at] on; false with the error replied.
bool ParseAlgebra(ExecContext& ctx, size_t at, AlgebraOptions* options,
                  std::vector<Source>* sources) {
  int64_t keys;
  if (!ctx.ParseInt(at, &keys)) return false;
  if (keys < 1) {
    ctx.Error("ERR at least 1 input key is needed for '" + engine::FullName(ctx.command) +
              "' command");
    return false;
  }
  if (static_cast<uint64_t>(keys) > ctx.args.size() - at - 1) {
    ctx.Error(engine::kSyntaxError);
    return false;
  }
  const size_t end = at + 1 + static_cast<size_t>(keys);
  for (size_t i = at + 1; i < end; ++i) {
    const Key key = ctx.FindForRead(ctx.args[i]);
    if (!key.Is(ObjectType::kSet) && !ctx.IsOrMissing(key, ObjectType::kSortedSet)) return false;
    sources->emplace_back(key);
  }
  return ParseAlgebraOptions(ctx, end, options, sources);
}

// inf * 0 counts as 0, and so does inf - inf.
double Weighted(double score, double weight) {
  const double product = score * weight;
  return std::isnan(product) ? 0 : product;
}

double Aggregated(double a, double b, Aggregate aggregate) {
  switch (aggregate) {
    case Aggregate::kSum:
      return std::isnan(a + b) ? 0 : a + b;
    case Aggregate::kMin:
      return b < a ? b : a;
    case Aggregate::kMax:
      return b > a ? b : a;
  }
  return a;
}

std::vector<ScoredMember> UniteSorted(const std::vector<Source>& sources, Aggregate aggregate) {
  absl::flat_hash_map<std::string, double> sums;
  for (const Source& source : sources) {
    source.ForEach([&](std::string_view member, double score) {
      const double weighted = Weighted(score, source.weight);
      const auto [it, is_new] = sums.try_emplace(std::string(member), weighted);
      if (!is_new) it->second = Aggregated(it->second, weighted, aggregate);
      return true;
    });
  }
  return {sums.begin(), sums.end()};
}

// Members of the first source that are in all of them.
void VisitCommon(const std::vector<Source>& sources, Aggregate aggregate,
                 absl::FunctionRef<bool(std::string_view member, double score)> visit) {
  sources[0].ForEach([&](std::string_view member, double first) {
    double sum = Weighted(first, sources[0].weight);
    for (size_t i = 1; i < sources.size(); ++i) {
      const std::optional<double> score = sources[i].Score(member);
      if (!score.has_value()) return true;
      sum = Aggregated(sum, *score * sources[i].weight, aggregate);
    }
    return visit(member, sum);
  });
}

std::vector<ScoredMember> SubtractSorted(const std::vector<Source>& sources) {
  std::vector<ScoredMember> found;
  sources[0].ForEach([&](std::string_view member, double score) {
    const bool elsewhere =
        std::any_of(sources.begin() + 1, sources.end(),
                    [&](const Source& source) { return source.Score(member).has_value(); });
    if (!elsewhere) found.emplace_back(member, score);
    return true;
  });
  return found;
}

// From the smallest source: what isn't there is in no intersection.
void SortBySize(std::vector<Source>* sources) {
  std::stable_sort(sources->begin(), sources->end(),
                   [](const Source& a, const Source& b) { return a.size() < b.size(); });
}

std::vector<ScoredMember> CombineSorted(const AlgebraOptions& options,
                                        std::vector<Source> sources) {
  std::vector<ScoredMember> members;
  switch (options.operation) {
    case ZOperation::kUnion:
      SortBySize(&sources);
      return UniteSorted(sources, options.aggregate);
    case ZOperation::kIntersection:
      SortBySize(&sources);
      VisitCommon(sources, options.aggregate, [&](std::string_view member, double score) {
        members.emplace_back(member, score);
        return true;
      });
      return members;
    case ZOperation::kDifference:
      return SubtractSorted(sources);
  }
  return members;
}

void CombineAndReply(ExecContext& ctx, ZOperation operation) {
  AlgebraOptions options{.operation = operation};
  std::vector<Source> sources;
  if (!ParseAlgebra(ctx, 1, &options, &sources)) return;
  std::vector<ScoredMember> members = CombineSorted(options, std::move(sources));
  std::sort(members.begin(), members.end(), [](const ScoredMember& a, const ScoredMember& b) {
    return a.second != b.second ? a.second < b.second : a.first < b.first;
  });
  ReplyScoredHeader(ctx, members.size(), options.with_scores);
  for (const auto& [member, score] : members) {
    ReplyScored(ctx, member, score, options.with_scores);
  }
}

void CombineAndStore(ExecContext& ctx, ZOperation operation, std::string_view event) {
  AlgebraOptions options{.operation = operation, .store = true};
  std::vector<Source> sources;
  if (!ParseAlgebra(ctx, 2, &options, &sources)) return;
  const std::vector<ScoredMember> members = CombineSorted(options, std::move(sources));
  if (!StoreSortedSet(ctx, ctx.args[1], members, event)) return;
  ctx.reply.Integer(static_cast<int64_t>(members.size()));
}

}  // namespace

void Zunion(ExecContext& ctx) { CombineAndReply(ctx, ZOperation::kUnion); }
void Zinter(ExecContext& ctx) { CombineAndReply(ctx, ZOperation::kIntersection); }
void Zdiff(ExecContext& ctx) { CombineAndReply(ctx, ZOperation::kDifference); }
void Zunionstore(ExecContext& ctx) { CombineAndStore(ctx, ZOperation::kUnion, "zunionstore"); }
void Zinterstore(ExecContext& ctx) {
  CombineAndStore(ctx, ZOperation::kIntersection, "zinterstore");
}
void Zdiffstore(ExecContext& ctx) { CombineAndStore(ctx, ZOperation::kDifference, "zdiffstore"); }

void Zintercard(ExecContext& ctx) {
  AlgebraOptions options{.operation = ZOperation::kIntersection, .count_only = true};
  std::vector<Source> sources;
  if (!ParseAlgebra(ctx, 1, &options, &sources)) return;
  SortBySize(&sources);
  int64_t count = 0;
  VisitCommon(sources, options.aggregate, [&](std::string_view, double) {
    ++count;
    return options.limit == 0 || count < options.limit;
  });
  ctx.reply.Integer(count);
}

}  // namespace holdfast::commands
