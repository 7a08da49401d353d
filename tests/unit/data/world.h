// A dumb model of a keyspace and a source of random effects for it, for the tests of this folder.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "base/rng.h"
#include "data/effect.h"
#include "data/hash_object.h"
#include "data/keyspace.h"
#include "data/record.h"

namespace holdfast::data {

// What a key is, in the model and when a keyspace is read out.
struct Seen {
  Meta meta;
  std::string value;
  std::map<std::string, std::string> elements;
  bool cold = false;  // its value can't be seen, and equals any

  bool operator==(const Seen& other) const {
    const auto fields = [](const Meta& m) {
      return std::tuple(m.type, m.raw, m.version, m.revision, m.created, m.expire_at_ms, m.fence);
    };
    return fields(meta) == fields(other.meta) &&
           (cold || other.cold || (value == other.value && elements == other.elements));
  }
};
// By physical database and key.
using State = std::map<std::pair<uint32_t, std::string>, Seen>;

// Everything that is in a keyspace, by SCAN; checks the account of memory and sizes on the way.
inline State ReadOut(const Keyspace& keyspace, bool* consistent) {
  State state;
  *consistent = true;
  for (uint32_t logical = 0; logical < kLogicalDatabases; ++logical) {
    const Database* database = keyspace.Logical(logical);
    size_t bytes = 0;
    size_t count = 0;
    size_t expiring = 0;
    uint64_t cursor = 0;
    do {
      cursor = database->table.Scan(cursor, 100, [&](Object* object) {
        bytes += object->MemoryBytes();
        ++count;
        Seen seen{Keyspace::MetaOf(*database, object), std::string(object->value()), {}, false};
        seen.cold = object->cold();
        if (const Collection* collection = object->collection()) {
          collection->ForEach([&seen](std::string_view element, std::string_view value) {
            seen.elements.emplace(element, value);
          });
          *consistent = *consistent && seen.elements.size() == collection->records();
        }
        if (seen.meta.expire_at_ms != 0) ++expiring;
        const bool fresh =
            state.emplace(std::pair(database->physical, std::string(object->key())), seen).second;
        *consistent = *consistent && fresh;
        *consistent = *consistent && database->table.Find(keyspace.Hash(object->key())) == object;
      });
    } while (cursor != 0);
    *consistent = *consistent && bytes == database->object_bytes;
    *consistent = *consistent && count == database->table.size();
    *consistent = *consistent && expiring == database->expiries.size();
  }
  return state;
}

// Makes random valid effects and applies each to its own model.
class World {
 public:
  explicit World(uint64_t seed, uint32_t keys = 60) : rng_(seed), keys_(keys) {}

  // The views of the effect are valid until the next call. `hash` is not set.
  const Effect& Next() {
    effect_ = Effect();
    revision_ += 1 + rng_.Below(3);
    effect_.meta.revision = revision_;
    if (rng_.Chance(flush_chance, 1000)) {
      Remap();
      return effect_;
    }
    key_ = "key:" + std::to_string(rng_.Below(keys_));
    effect_.database = map_.physical[rng_.Below(4)];
    effect_.slot = KeySlot(key_);
    effect_.key = key_;
    const auto at = state_.find({effect_.database, key_});
    const uint64_t kind = rng_.Below(10);
    if (at == state_.end() && rng_.Chance(1, 3) && Copy()) return effect_;
    if (at == state_.end() ? rng_.Chance(1, 3) : HasElements(at->second.meta.type)) {
      ChangeElements(at, kind);
    } else if (kind < 4 || (at == state_.end() && kind < 9)) {
      Put(at);
    } else if (kind == 9 || at == state_.end()) {
      effect_.kind = EffectKind::kDelete;
      if (at != state_.end()) state_.erase(at);
    } else if (kind < 7 && at->second.meta.type == ObjectType::kString) {
      Patch(&at->second);
    } else {
      ChangeMeta(&at->second);
    }
    return effect_;
  }

  const State& state() const { return state_; }
  const DatabaseMap& map() const { return map_; }
  Rng* rng() { return &rng_; }

  uint64_t flush_chance = 5;  // out of 1000

 private:
  std::string RandomValue() {
    // Around the borders of inline and large values, and of allocator size classes.
    static constexpr uint64_t kSizes[] = {0, 8, 40, 70, 500, 1020, 1030, 3000, 9000};
    const uint64_t size = kSizes[rng_.Below(std::size(kSizes))] + rng_.Below(10);
    std::string value;
    for (uint64_t i = 0; i < size; ++i) value.push_back(static_cast<char>(rng_.Next()));
    return value;
  }

  void Put(State::iterator at) {
    effect_.kind = EffectKind::kPut;
    Meta* meta = &effect_.meta;
    meta->created = revision_;
    meta->version = 1;
    if (at != state_.end() && rng_.Chance(4, 5)) {
      meta->created = at->second.meta.created;
      meta->version = at->second.meta.version + 1;
    }
    if (rng_.Chance(1, 5)) meta->fence = revision_ - rng_.Below(100);
    switch (rng_.Below(6)) {
      case 0:
        meta->type = ObjectType::kLock;
        value_ = EncodeLock({1 + rng_.Below(100000), RandomValue()});
        break;
      case 1:
        meta->type = ObjectType::kSequence;
        value_ = EncodeSequence({static_cast<int64_t>(rng_.Next()), 3, INT64_MAX});
        break;
      default:
        value_ = RandomValue();
        meta->raw = rng_.Chance(1, 4);
    }
    if (meta->type != ObjectType::kLock && rng_.Chance(1, 3)) {
      meta->expire_at_ms = static_cast<int64_t>(1 + rng_.Below(1'000'000));
    }
    effect_.value = value_;
    state_[{effect_.database, key_}] = {*meta, value_, {}};
  }

  void Patch(Seen* seen) {
    effect_.kind = EffectKind::kPatch;
    Advance(seen);
    value_ = RandomValue();
    const uint64_t old = seen->value.size();
    switch (rng_.Below(4)) {
      case 0:  // APPEND
        effect_.offset = old;
        effect_.new_size = old + value_.size();
        break;
      case 1:  // cut
        value_.clear();
        effect_.offset = effect_.new_size = rng_.Below(old + 1);
        break;
      default:  // SETRANGE, perhaps beyond the end
        effect_.offset = rng_.Below(old + 50);
        effect_.new_size = std::max(old, effect_.offset + value_.size());
    }
    if (seen->value.size() > 50000) {
      value_ = "short again";
      effect_.offset = 3;
      effect_.new_size = 3 + value_.size();
    }
    effect_.meta.raw = true;
    effect_.value = value_;
    seen->meta = effect_.meta;
    seen->value.resize(effect_.new_size);
    for (size_t i = 0; i < value_.size(); ++i) seen->value[effect_.offset + i] = value_[i];
  }

  void ChangeMeta(Seen* seen) {
    effect_.kind = EffectKind::kMeta;
    Advance(seen);
    if (effect_.meta.type != ObjectType::kLock) {
      effect_.meta.expire_at_ms = static_cast<int64_t>(rng_.Below(3) * rng_.Below(1'000'000));
    }
    if (rng_.Chance(1, 3)) effect_.meta.fence = revision_;
    seen->meta = effect_.meta;
  }

  void ChangeElements(State::iterator at, uint64_t kind) {
    if (kind == 9 && at != state_.end()) {
      Remove(at);
      return;
    }
    if (kind >= 7 && at != state_.end()) {
      ChangeMeta(&at->second);
      return;
    }
    effect_.kind = EffectKind::kElements;
    effect_.meta.type = rng_.Chance(1, 2) ? ObjectType::kHash : ObjectType::kSet;
    effect_.meta.created = revision_;
    effect_.meta.version = 1;
    Seen seen;
    if (at != state_.end()) {
      seen = at->second;
      Advance(&seen);
    }
    const bool is_set = effect_.meta.type == ObjectType::kSet;
    changes_ = ElementChanges();
    for (uint64_t n = 1 + rng_.Below(10); n > 0; --n) {
      std::string field = rng_.Chance(1, 50) ? "" : "field:" + std::to_string(rng_.Below(40));
      if (is_set && rng_.Chance(19, 20)) field = std::to_string(rng_.Below(40));
      if (seen.elements.size() > 1 && rng_.Chance(1, 3)) {
        if (seen.elements.erase(field) > 0) changes_.Delete(field);
        continue;
      }
      // Some are too long for the small form.
      const std::string value(is_set ? 0 : rng_.Below(rng_.Chance(1, 30) ? 500 : 20), 'v');
      seen.elements[field] = value;
      changes_.Put(field, value);
    }
    if (changes_.empty()) {
      seen.elements["one"] = is_set ? "" : "more";
      changes_.Put("one", seen.elements["one"]);
    }
    value_ = EncodeCount(seen.elements.size());
    effect_.value = value_;
    effect_.changes = changes_.bytes();
    seen.meta = effect_.meta;
    state_[{effect_.database, key_}] = seen;
  }

  // False when there is nothing to copy.
  bool Copy() {
    auto from = state_.lower_bound(
        {map_.physical[rng_.Below(4)], "key:" + std::to_string(rng_.Below(keys_))});
    while (from != state_.end() && !HasElements(from->second.meta.type)) ++from;
    if (from == state_.end()) return false;
    Seen seen = from->second;
    effect_.kind = EffectKind::kCopy;
    effect_.generation = seen.meta.created;
    effect_.moves = rng_.Chance(1, 2);
    Advance(&seen);
    effect_.meta.created = revision_;
    seen.meta = effect_.meta;
    source_.clear();
    AppendMetaKey(&source_, KeySlot(from->first.second), from->first.first, from->first.second);
    effect_.source = source_;
    value_ = EncodeCount(seen.elements.size());
    effect_.value = value_;
    state_[{effect_.database, key_}] = std::move(seen);
    return true;
  }

  void Remove(State::iterator at) {
    effect_.kind = EffectKind::kRemove;
    effect_.meta.created = at->second.meta.created;
    state_.erase(at);
  }

  void Advance(const Seen* seen) {
    effect_.meta = seen->meta;
    effect_.meta.revision = revision_;
    ++effect_.meta.version;
  }

  void Remap() {
    const uint64_t kind = rng_.Below(5);
    if (kind < 2) {
      std::swap(map_.physical[rng_.Below(4)], map_.physical[rng_.Below(4)]);
    } else {
      const bool all = kind == 4;
      const uint64_t one = rng_.Below(4);
      for (uint64_t i = 0; i < kLogicalDatabases; ++i) {
        if (all || i == one) map_.physical[i] = map_.next++;
      }
    }
    std::erase_if(state_, [this](const auto& item) { return !map_.IsLive(item.first.first); });
    value_.clear();
    AppendDatabaseMap(&value_, map_);
    effect_.kind = EffectKind::kDatabases;
    effect_.value = value_;
  }

  Rng rng_;
  uint64_t keys_;
  uint64_t revision_ = 1000;
  DatabaseMap map_ = DatabaseMap::Initial();
  State state_;
  Effect effect_;
  std::string key_;
  std::string value_;
  std::string source_;
  ElementChanges changes_;
};

}  // namespace holdfast::data
