#include "data/table.h"

#include <time.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/hash.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::data {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSlow = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kSlow = true;
#else
constexpr bool kSlow = false;
#endif
#else
constexpr bool kSlow = false;
#endif

constexpr uint64_t kSeed = 42;

Object* Make(std::string_view key) {
  Meta meta;
  meta.version = 1;
  return Object::Create(key, meta, "");
}

// The table takes any slot for a key, which lets tests skew the slots.
HashedKey At(std::string_view key, uint16_t slot) { return {key, Hash64(key, kSeed), slot}; }

// The table beside a std::map.
class Pair {
 public:
  Pair(uint16_t first, uint16_t last) : table_(first, last, kSeed) {
    CHECK(table_.MemoryBytes() == 0);
    Insert("once", first);  // makes the array of slots, which stays
    Erase(model_.begin());
    empty_ = table_.MemoryBytes();
  }

  void Insert(const std::string& key, uint16_t slot) {
    Object* object = Make(key);
    table_.Insert(At(key, slot), object);
    model_[{slot, key}] = object;
  }
  void Erase(std::map<std::pair<uint16_t, std::string>, Object*>::iterator at) {
    table_.Erase(At(at->first.second, at->first.first), at->second);
    Object::Free(at->second);
    model_.erase(at);
  }
  // The element at or after a random one.
  auto Any(Rng* rng) {
    auto at = model_.lower_bound(
        {static_cast<uint16_t>(rng->Below(kSlots)), "k" + std::to_string(rng->Below(1'000'000))});
    return at == model_.end() ? model_.begin() : at;
  }

  void Compare() const {
    REQUIRE(table_.size() == model_.size());
    std::map<uint16_t, uint64_t> sizes;
    // Keys that are there, keys that are not, and slots that are empty.
    std::vector<HashedKey> keys;
    for (const auto& [key, object] : model_) {
      keys.push_back(At(key.second, key.first));
      keys.push_back(At("missing", key.first));
    }
    table_.Prefetch(keys);
    table_.Prefetch({});
    for (const auto& [key, object] : model_) {
      ++sizes[key.first];
      REQUIRE(table_.Find(At(key.second, key.first)) == object);
    }
    for (const auto& [slot, size] : sizes) REQUIRE(table_.SlotSize(slot) == size);
    std::set<Object*> scanned;
    uint64_t cursor = 0;
    do {
      const uint64_t from = cursor;
      size_t visited = 0;
      cursor = table_.Scan(cursor, 7, [&](Object* object) {
        REQUIRE(scanned.insert(object).second);
        ++visited;
      });
      if (cursor != 0) {
        REQUIRE(cursor > from);
        REQUIRE(visited == 7);  // no two keys of these tests share a position
      } else {
        REQUIRE(visited <= 7);
      }
    } while (cursor != 0);
    REQUIRE(scanned.size() == model_.size());
    for (const auto& [key, object] : model_) REQUIRE(scanned.contains(object));
  }

  Table table_;
  size_t empty_;
  std::map<std::pair<uint16_t, std::string>, Object*> model_;
};

TEST_CASE("table against std::map") {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    const auto first = static_cast<uint16_t>(rng.Below(kSlots));
    const auto last = static_cast<uint16_t>(first + rng.Below(kSlots - first));
    Pair pair(first, last);
    // Few slots make deep directories, many make small segments.
    const uint64_t slots = 1 + rng.Below(seed % 2 == 0 ? 3 : last - first + 1u);
    const uint64_t keys = 50 + rng.Below(4000);
    for (int phase = 0; phase < 4; ++phase) {
      const uint64_t erase_of_10 = phase % 2 == 0 ? 3 : 8;
      for (int step = 0; step < 2500; ++step) {
        const auto slot =
            static_cast<uint16_t>(first + rng.Below(std::min<uint64_t>(slots, last - first + 1u)));
        if (rng.Below(10) < erase_of_10) {
          if (!pair.model_.empty()) pair.Erase(pair.Any(&rng));
          continue;
        }
        const std::string key = "k" + std::to_string(rng.Below(keys));
        const auto at = pair.model_.find({slot, key});
        if (at == pair.model_.end()) {
          REQUIRE(pair.table_.Find(At(key, slot)) == nullptr);
          pair.Insert(key, slot);
        } else {
          Object* fresh = Make(key);
          pair.table_.Replace(At(key, slot), at->second, fresh);
          Object::Free(at->second);
          at->second = fresh;
        }
        Object* random = pair.table_.Random(&rng);
        REQUIRE(random != nullptr);
        if (step % 50 == 0) {
          REQUIRE(std::any_of(pair.model_.begin(), pair.model_.end(),
                              [random](const auto& item) { return item.second == random; }));
        }
      }
      pair.Compare();
    }
    while (!pair.model_.empty()) pair.Erase(pair.Any(&rng));
    CHECK(pair.table_.size() == 0);
    CHECK(pair.table_.MemoryBytes() == pair.empty_);
    CHECK(pair.table_.Random(&rng) == nullptr);
    CHECK(pair.table_.Scan(0, 10, [](Object*) { FAIL("an object in an empty table"); }) == 0);
  }
}

TEST_CASE("one slot with 300k keys, and its memory comes back") {
  const int keys = kSlow ? 60'000 : 300'000;
  const uint16_t slot = 777;
  Table table(0, kSlots - 1, kSeed);
  std::vector<Object*> objects;
  for (int i = 0; i < keys; ++i) {
    const std::string key = "key:" + std::to_string(i);
    objects.push_back(Make(key));
    table.Insert(At(key, slot), objects.back());
  }
  CHECK(table.SlotSize(slot) == static_cast<uint64_t>(keys));
  constexpr size_t empty = kSlots * 24 + kSlots / 128 * 8;
  // 8 bytes a word at half to seven eighths full, and a directory.
  CHECK(table.MemoryBytes() - empty < static_cast<size_t>(keys) * 24);
  for (Object* object : objects) REQUIRE(table.Find(At(object->key(), slot)) == object);

  Rng rng(5);
  for (size_t i = objects.size() - 1; i > 0; --i) std::swap(objects[i], objects[rng.Below(i + 1)]);
  size_t last_bytes = table.MemoryBytes();
  while (!objects.empty()) {
    for (int i = 0; i < keys / 10; ++i) {
      table.Erase(At(objects.back()->key(), slot), objects.back());
      Object::Free(objects.back());
      objects.pop_back();
    }
    CHECK(table.MemoryBytes() <= last_bytes);
    last_bytes = table.MemoryBytes();
    // Sparse segments merge: at least a tenth of the words is in use, whatever was erased.
    CHECK(table.MemoryBytes() - empty <= objects.size() * 100);
    for (Object* object : objects) REQUIRE(table.Find(At(object->key(), slot)) == object);
  }
  CHECK(table.MemoryBytes() == empty);
}

// Between two calls of SCAN the table grows and shrinks by large factors.
TEST_CASE("SCAN returns what is present all along exactly once") {
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    const auto slots = static_cast<uint16_t>(seed % 3 == 0 ? 1 : 1 + rng.Below(300));
    const auto slot_of = [slots](uint64_t i) {
      return static_cast<uint16_t>(100 + (i * 7919) % slots);
    };
    Table table(100, static_cast<uint16_t>(100 + slots - 1), kSeed);
    const int stay = static_cast<int>(1 + rng.Below(3000));
    std::map<std::string, int> seen;
    for (int i = 0; i < stay; ++i) {
      const std::string key = "stay" + std::to_string(i);
      table.Insert(At(key, slot_of(static_cast<uint64_t>(i))), Make(key));
      seen[key] = 0;
    }
    std::vector<std::pair<std::string, uint16_t>> churn;
    uint64_t next = 0;
    uint64_t cursor = 0;
    uint64_t calls = 0;
    do {
      const size_t count = 1 + rng.Below(100);
      size_t visited = 0;
      cursor = table.Scan(cursor, count, [&](Object* object) {
        ++visited;
        const auto at = seen.find(std::string(object->key()));
        if (at != seen.end()) ++at->second;
      });
      CHECK(visited <= count);
      if (cursor != 0) CHECK(visited == count);
      ++calls;
      const bool grow = rng.Chance(1, 2);
      for (uint64_t i = rng.Below(1500); grow && i > 0; --i) {
        churn.emplace_back("churn" + std::to_string(next), slot_of(next));
        ++next;
        table.Insert(At(churn.back().first, churn.back().second), Make(churn.back().first));
      }
      for (uint64_t i = grow ? 0 : rng.Below(2000); i > 0 && !churn.empty(); --i) {
        std::swap(churn[rng.Below(churn.size())], churn.back());
        const HashedKey key = At(churn.back().first, churn.back().second);
        Object* object = table.Find(key);
        REQUIRE(object != nullptr);
        table.Erase(key, object);
        Object::Free(object);
        churn.pop_back();
      }
    } while (cursor != 0 && calls < 100'000);
    REQUIRE(cursor == 0);
    for (const auto& [key, times] : seen) REQUIRE(times == 1);
  }
}

TEST_CASE("any cursor is answered") {
  Table table(10, 5000, kSeed);
  for (int i = 0; i < 1000; ++i) {
    const std::string key = "key:" + std::to_string(i);
    table.Insert(At(key, static_cast<uint16_t>(10 + i % 4000)), Make(key));
  }
  Rng rng(3);
  for (int i = 0; i < 20000; ++i) {
    const uint64_t cursor = i == 0 ? UINT64_MAX : rng.Next();
    size_t visited = 0;
    const uint64_t next = table.Scan(cursor, 10, [&visited](Object*) { ++visited; });
    CHECK((next == 0 || next > cursor));
    CHECK(visited <= 10);
    if (next != 0) CHECK(visited == 10);
  }
  CHECK(table.Scan(Table::SlotCursor(5001), 10, [](Object*) { FAIL("outside"); }) == 0);
  size_t all = 0;
  CHECK(table.Scan(5, 2000, [&all](Object*) { ++all; }) == 0);
  CHECK(all == 1000);
}

TEST_CASE("a random key is roughly as likely as any other") {
  Table table(0, kSlots - 1, kSeed);
  std::map<Object*, int> hits;
  const auto fill = [&](uint16_t slot, int keys) {
    for (int i = 0; i < keys; ++i) {
      const std::string key = std::to_string(slot) + ":" + std::to_string(i);
      Object* object = Make(key);
      hits[object] = 0;
      table.Insert(At(key, slot), object);
    }
  };
  fill(3, 1);
  fill(200, 17);
  fill(9000, 150);
  fill(16383, 1800);
  Rng rng(11);
  constexpr int kPerKey = 1000;
  for (size_t i = 0; i < hits.size() * kPerKey; ++i) ++hits[table.Random(&rng)];
  for (const auto& hit : hits) {
    CAPTURE(hit.first->key());
    CHECK(hit.second > kPerKey * 0.7);
    CHECK(hit.second < kPerKey * 1.5);
  }
}

int64_t ThreadNs() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

constexpr int64_t kStallNs = kSlow ? 20'000'000 : 1'000'000;

// Which inserts took longer than a stall, by their numbers. It is the thread's own time, because
// other processes may take the processor away.
std::set<int> SlowInserts(int keys, uint16_t slots) {
  Table table(0, kSlots - 1, kSeed);
  std::set<int> slow;
  for (int i = 0; i < keys; ++i) {
    const std::string key = "key:" + std::to_string(i);
    Object* object = Make(key);
    const HashedKey hashed = At(key, static_cast<uint16_t>(i % slots));
    const int64_t before = ThreadNs();
    table.Insert(hashed, object);
    if (ThreadNs() - before >= kStallNs) slow.insert(i);
  }
  return slow;
}

// A table that stalls does so at the same insert every time. A virtual machine's processor that is
// taken away, which counts as the thread's own time, hits another one.
std::set<int> Stalls(int keys, uint16_t slots) {
  std::set<int> stalls = SlowInserts(keys, slots);
  for (int i = 0; i < 4 && !stalls.empty(); ++i) {
    const std::set<int> again = SlowInserts(keys, slots);
    std::erase_if(stalls, [&again](int insert) { return !again.contains(insert); });
  }
  return stalls;
}

TEST_CASE("no insert stalls while the table grows") {
  const int keys = kSlow ? 200'000 : 2'000'000;
  CHECK(Stalls(keys, kSlots) == std::set<int>());
  CHECK(Stalls(keys, 1) == std::set<int>());
}

}  // namespace
}  // namespace holdfast::data
