// SORT and SORT_RO.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/numbers.h"
#include "commands/handlers.h"
#include "commands/lists.h"
#include "commands/options.h"
#include "data/hash_object.h"
#include "data/sorted_set_object.h"
#include "engine/partition.h"

namespace holdfast::commands {
namespace {

using data::ObjectType;
using engine::ExecContext;
using engine::Key;

struct SortOptions {
  bool descending = false;
  bool alpha = false;
  int64_t skip = 0;
  int64_t count = -1;  // negative: all
  std::optional<std::string_view> by;
  std::vector<std::string_view> get;
  std::optional<std::string_view> store;

  // BY a pattern that names no key: the order stays as it is.
  bool keeps_order() const { return by.has_value() && by->find('*') == std::string_view::npos; }
};

// An element, and what it is sorted by.
struct Sortable {
  std::string element;
  double score = 0;                // without ALPHA
  std::optional<std::string> key;  // ALPHA with BY: nullopt when there is no such key
};

// The keys that a pattern names may be in other partitions, which can't be asked here.
bool CheckPattern(ExecContext& ctx, std::string_view pattern, std::string_view option) {
  if (pattern.find('*') == std::string_view::npos || ctx.OwnsNamesLike(pattern)) return true;
  ctx.Error("ERR " + std::string(option) + " option of SORT denied in cluster mode.");
  return false;
}

bool ParseSortOptions(ExecContext& ctx, bool may_store, SortOptions* options) {
  for (size_t i = 2; i < ctx.args.size(); ++i) {
    const std::string_view word = ctx.args[i];
    const size_t behind = ctx.args.size() - i - 1;
    if (EqualsIgnoreCase(word, "ASC")) {
      options->descending = false;
    } else if (EqualsIgnoreCase(word, "DESC")) {
      options->descending = true;
    } else if (EqualsIgnoreCase(word, "ALPHA")) {
      options->alpha = true;
    } else if (EqualsIgnoreCase(word, "LIMIT") && behind >= 2) {
      if (!ctx.ParseInt(i + 1, &options->skip) || !ctx.ParseInt(i + 2, &options->count)) {
        return false;
      }
      i += 2;
    } else if (may_store && EqualsIgnoreCase(word, "STORE") && behind >= 1) {
      options->store = ctx.args[++i];
    } else if (EqualsIgnoreCase(word, "BY") && behind >= 1) {
      options->by = ctx.args[++i];
      if (!CheckPattern(ctx, *options->by, "BY")) return false;
    } else if (EqualsIgnoreCase(word, "GET") && behind >= 1) {
      options->get.push_back(ctx.args[++i]);
      if (!CheckPattern(ctx, ctx.args[i], "GET")) return false;
    } else {
      ctx.Error(engine::kSyntaxError);
      return false;
    }
  }
  return true;
}

// What a pattern gives for an element: the element itself, the string of a key, or a field of a
// hash ("weight_*->field").
std::optional<std::string> LookUp(ExecContext& ctx, std::string_view pattern,
                                  std::string_view element) {
  if (pattern == "#") return std::string(element);
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return std::nullopt;
  std::string_view tail = pattern.substr(star + 1);
  std::string_view field;
  const size_t arrow = tail.find("->");
  if (arrow != std::string_view::npos && arrow + 2 < tail.size()) {
    field = tail.substr(arrow + 2);
    tail = tail.substr(0, arrow);
  }
  std::string name(pattern.substr(0, star));
  name.append(element).append(tail);
  const Key key = ctx.FindForRead(name);
  if (field.empty()) {
    if (!key.Is(ObjectType::kString)) return std::nullopt;
    return std::string(key.object->value());
  }
  if (!key.Is(ObjectType::kHash)) return std::nullopt;
  const auto* hash = static_cast<const data::HashObject*>(key.object->collection());
  const std::optional<std::string_view> value = hash->Find(field);
  if (!value.has_value()) return std::nullopt;
  return std::string(*value);
}

// As strtod reads it, which takes blanks in front, and nothing for 0.
bool ParseScore(std::string_view text, double* score) {
  while (!text.empty() && std::string_view(" \t\n\v\f\r").find(text[0]) != text.npos) {
    text.remove_prefix(1);
  }
  *score = 0;
  return text.empty() || ParseDouble(text, score);
}

// The elements of the key, in its own order; those of a list or a sorted set backwards when that
// order is to stay and DESC asks for it.
std::vector<Sortable> ElementsOf(const Key& key, const SortOptions& options) {
  std::vector<Sortable> elements;
  if (!key) return elements;
  const data::Collection* collection = key.object->collection();
  elements.reserve(collection->size());
  const bool backwards = options.keeps_order() && options.descending;
  if (key.Is(ObjectType::kSortedSet)) {
    const auto* set = static_cast<const data::SortedSetObject*>(collection);
    set->Walk(backwards ? set->size() - 1 : 0, backwards, [&elements](const auto& member) {
      elements.push_back({.element = std::string(member.name), .score = 0, .key = {}});
      return true;
    });
    return elements;
  }
  const bool is_list = key.Is(ObjectType::kList);
  collection->ForEach([&elements, is_list](std::string_view element, std::string_view value) {
    elements.push_back({.element = std::string(is_list ? value : element), .score = 0, .key = {}});
  });
  if (backwards && is_list) std::reverse(elements.begin(), elements.end());
  return elements;
}

// False when an element's score isn't a number.
bool FindSortKeys(ExecContext& ctx, const SortOptions& options, std::vector<Sortable>* elements) {
  for (Sortable& sortable : *elements) {
    std::optional<std::string> by = sortable.element;
    if (options.by.has_value()) by = LookUp(ctx, *options.by, sortable.element);
    if (options.alpha) {
      if (options.by.has_value()) sortable.key = std::move(by);
    } else if (by.has_value() && !ParseScore(*by, &sortable.score)) {
      return false;
    }
  }
  return true;
}

// Elements of the same score are in the order of their bytes.
bool ComesBefore(const SortOptions& options, const Sortable& a, const Sortable& b) {
  if (!options.alpha) return a.score != b.score ? a.score < b.score : a.element < b.element;
  return options.by.has_value() ? a.key < b.key : a.element < b.element;
}

// The part [first, end) of `size` elements that LIMIT leaves.
std::pair<size_t, size_t> PartOfSort(const SortOptions& options, size_t size) {
  const auto most = static_cast<int64_t>(size);
  const int64_t first = std::clamp<int64_t>(options.skip, 0, most);
  const int64_t count = options.count < 0 ? most : std::min(options.count, most);
  return {static_cast<size_t>(first), static_cast<size_t>(std::min(first + count, most))};
}

using Results = std::vector<std::optional<std::string>>;

Results ResultsOf(ExecContext& ctx, const SortOptions& options, std::vector<Sortable>* elements,
                  size_t first, size_t end) {
  Results results;
  for (size_t i = first; i < end; ++i) {
    std::string& element = (*elements)[i].element;
    for (const std::string_view pattern : options.get) {
      results.push_back(LookUp(ctx, pattern, element));
    }
    if (options.get.empty()) results.emplace_back(std::move(element));
  }
  return results;
}

void Store(ExecContext& ctx, std::string_view name, const Results& results) {
  Key target = ctx.FindForWrite(name);
  if (!MayBeReplaced(ctx, target)) return;
  std::vector<std::string_view> items;
  items.reserve(results.size());
  for (const std::optional<std::string>& result : results) {
    items.push_back(result.has_value() ? std::string_view(*result) : std::string_view());
  }
  StoreList(ctx, &target, items, "sortstore");
  ctx.reply.Integer(static_cast<int64_t>(items.size()));
}

void SortKey(ExecContext& ctx, bool may_store) {
  SortOptions options;
  if (!ParseSortOptions(ctx, may_store, &options)) return;
  const Key key = ctx.FindForRead(ctx.args[1]);
  if (key && !key.Is(ObjectType::kList) && !key.Is(ObjectType::kSet) &&
      !key.Is(ObjectType::kSortedSet)) {
    ctx.Error(engine::kWrongType);
    return;
  }
  // A set has no order to keep: what is stored, or seen by a script, is sorted after all.
  if (options.keeps_order() && key.Is(ObjectType::kSet) &&
      (options.store.has_value() || ctx.caller.in_script)) {
    options.by.reset();
    options.alpha = true;
  }
  std::vector<Sortable> elements = ElementsOf(key, options);
  const auto [first, end] = PartOfSort(options, elements.size());
  if (!options.keeps_order()) {
    if (!FindSortKeys(ctx, options, &elements)) {
      ctx.Error("ERR One or more scores can't be converted into double");
      return;
    }
    // Only what is asked for has to be in order.
    const auto before = [&options](const Sortable& a, const Sortable& b) {
      return options.descending ? ComesBefore(options, b, a) : ComesBefore(options, a, b);
    };
    std::partial_sort(elements.begin(), elements.begin() + static_cast<ptrdiff_t>(end),
                      elements.end(), before);
  }
  const Results results = ResultsOf(ctx, options, &elements, first, end);
  if (options.store.has_value()) {
    Store(ctx, *options.store, results);
    return;
  }
  ctx.reply.Array(results.size());
  for (const std::optional<std::string>& result : results) {
    result.has_value() ? ctx.reply.Bulk(*result) : ctx.reply.Null();
  }
}

}  // namespace

void Sort(ExecContext& ctx) { SortKey(ctx, true); }
void SortRo(ExecContext& ctx) { SortKey(ctx, false); }

}  // namespace holdfast::commands
