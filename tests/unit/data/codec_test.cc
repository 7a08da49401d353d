// The byte formats of records and effects: round trips, every truncation refused, exact bytes of
// what is on disks already.
#include <string>
#include <tuple>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/rng.h"
#include "data/effect.h"
#include "data/record.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::data {
namespace {

auto Fields(const Meta& m) {
  return std::tuple(m.type, m.raw, m.version, m.revision, m.created, m.expire_at_ms, m.fence);
}

// Numbers of every varint length.
uint64_t RandomNumber(Rng* rng) { return rng->Next() >> rng->Below(64); }

Meta RandomMeta(Rng* rng) {
  Meta meta;
  meta.type = static_cast<ObjectType>(rng->Below(3));
  meta.raw = rng->Chance(1, 2);
  meta.version = static_cast<uint32_t>(1 + (RandomNumber(rng) & 0x7fffffff));
  meta.revision = RandomNumber(rng);
  meta.created = meta.revision - rng->Below(meta.revision / 2 + 1);
  if (meta.type != ObjectType::kLock && rng->Chance(1, 2)) {
    meta.expire_at_ms = static_cast<int64_t>(RandomNumber(rng) >> 1);
  }
  if (rng->Chance(1, 2)) meta.fence = RandomNumber(rng);
  return meta;
}

TEST_CASE("meta record round trip, and every cut inside the meta is refused") {
  Rng rng(1);
  for (int round = 0; round < 5000; ++round) {
    const Meta meta = RandomMeta(&rng);
    std::string bytes;
    AppendMeta(&bytes, meta);
    const size_t meta_size = bytes.size();
    bytes.append("the value");
    Meta back;
    std::string_view value;
    REQUIRE(ParseMeta(bytes, &back, &value).ok());
    CHECK(Fields(back) == Fields(meta));
    CHECK(value == "the value");
    for (size_t n = 0; n < meta_size; ++n) {
      const Status status = ParseMeta(std::string_view(bytes).substr(0, n), &back, &value);
      REQUIRE(status.code() == Code::kCorruption);
    }
  }
}

TEST_CASE("the bytes of a meta record don't change") {
  Meta meta;
  meta.version = 300;
  meta.revision = 0x0102030405060708;
  meta.created = meta.revision - 129;
  std::string bytes;
  AppendMeta(&bytes, meta);
  CHECK(bytes == std::string("\x01\x00\x00\x08\x07\x06\x05\x04\x03\x02\x01\x81\x01\xac\x02", 15));
  meta.type = ObjectType::kSequence;
  meta.raw = true;
  meta.expire_at_ms = 128;
  meta.fence = 1;
  bytes.clear();
  AppendMeta(&bytes, meta);
  CHECK(bytes == std::string("\x01\x02\x07\x08\x07\x06\x05\x04\x03\x02\x01\x81\x01\xac\x02"
                             "\x80\x01\x01",
                             18));
  std::string key;
  AppendMetaKey(&key, 0x1234, 0x56789abc, "the key");
  CHECK(key == "m\x12\x34\x56\x78\x9a\xbcthe key");
}

TEST_CASE("impossible meta records are refused") {
  Meta meta;
  std::string_view value;
  const auto code = [&](std::string_view bytes) { return ParseMeta(bytes, &meta, &value).code(); };
  const std::string rev("\x01\0\0\0\0\0\0\0", 8);
  REQUIRE(code(std::string("\1\0\0", 3) + rev + "\1\1") == Code::kOk);
  CHECK(code(std::string("\2\0\0", 3) + rev + "\1\1") == Code::kUnsupported);
  CHECK(code(std::string("\0\0\0", 3) + rev + "\1\1") == Code::kUnsupported);
  CHECK(code(std::string("\1\x08\0", 3) + rev + "\1\1") == Code::kCorruption);  // type
  CHECK(code(std::string("\1\0\x08", 3) + rev + "\1\1") == Code::kCorruption);  // flag
  CHECK(code(std::string("\1\0\0", 3) + rev + "\2\1") == Code::kCorruption);    // created < 0
  CHECK(code(std::string("\1\0\0", 3) + rev + std::string("\1\0", 2)) == Code::kCorruption);
  CHECK(code(std::string("\1\0\0", 3) + rev + "\1\xff\xff\xff\xff\x10") == Code::kCorruption);
  CHECK(code(std::string("\1\0\1", 3) + rev + std::string("\1\1\0", 3)) == Code::kCorruption);
  CHECK(code(std::string("\1\0\2", 3) + rev + std::string("\1\1\0", 3)) == Code::kCorruption);
  CHECK(code(std::string("\1\0\1", 3) + rev + "\1\1\5") == Code::kOk);
  CHECK(code(std::string("\1\1\1", 3) + rev + "\1\1\5") == Code::kCorruption);  // lock with expiry
  // 2^63 ms.
  CHECK(code(std::string("\1\0\1", 3) + rev + "\1\1\x80\x80\x80\x80\x80\x80\x80\x80\x80\1") ==
        Code::kCorruption);
  // A varint in a longer form than needed.
  CHECK(code(std::string("\1\0\0", 3) + rev + std::string("\1\x81\0", 3)) == Code::kCorruption);
}

TEST_CASE("meta keys order by slot, database and key, and others are refused") {
  Rng rng(2);
  std::string last;
  for (const uint16_t slot : {0, 1, 255, 256, 16383}) {
    for (const uint32_t database : {0u, 1u, 255u, 256u, 65536u, UINT32_MAX}) {
      for (const std::string& key : {std::string(), std::string("\0", 1), std::string("a"),
                                     std::string("ab"), std::string("\xff")}) {
        std::string record_key;
        AppendMetaKey(&record_key, slot, database, key);
        CHECK(record_key > last);
        last = record_key;
        uint16_t slot_back;
        uint32_t database_back;
        std::string_view key_back;
        REQUIRE(ParseMetaKey(record_key, &slot_back, &database_back, &key_back));
        CHECK(slot_back == slot);
        CHECK(database_back == database);
        CHECK(key_back == key);
        for (size_t n = 0; n < kMetaKeyPrefix; ++n) {
          CHECK(!ParseMetaKey(std::string_view(record_key).substr(0, n), &slot_back, &database_back,
                              &key_back));
        }
      }
    }
  }
  uint16_t slot;
  uint32_t database;
  std::string_view key;
  CHECK(!ParseMetaKey(std::string_view("e\0\0\0\0\0\0k", 8), &slot, &database, &key));
  CHECK(!ParseMetaKey(std::string_view("m\x40\0\0\0\0\0k", 8), &slot, &database, &key));
}

TEST_CASE("databases record round trip, cuts and contradictions") {
  Rng rng(3);
  CHECK(DatabaseMap::Initial().IsLive(15));
  CHECK(!DatabaseMap::Initial().IsLive(16));
  for (int round = 0; round < 200; ++round) {
    DatabaseMap map;
    map.next = static_cast<uint32_t>(16 + rng.Below(1u << rng.Below(31)));
    for (uint32_t i = 0; i < kLogicalDatabases; ++i) {
      // All different, the last one at times just below next.
      map.physical[i] = i == 15 ? map.next - 1 : i;
    }
    std::swap(map.physical[rng.Below(16)], map.physical[rng.Below(16)]);
    std::string bytes;
    AppendDatabaseMap(&bytes, map);
    DatabaseMap back;
    REQUIRE(ParseDatabaseMap(bytes, &back).ok());
    CHECK(back == map);
    for (size_t n = 0; n < bytes.size(); ++n) {
      CHECK(ParseDatabaseMap(std::string_view(bytes).substr(0, n), &back).code() ==
            Code::kCorruption);
    }
    CHECK(ParseDatabaseMap(bytes + "x", &back).code() == Code::kCorruption);
  }
  const auto code = [](const DatabaseMap& map) {
    std::string bytes;
    AppendDatabaseMap(&bytes, map);
    DatabaseMap back;
    return ParseDatabaseMap(bytes, &back).code();
  };
  DatabaseMap map = DatabaseMap::Initial();
  CHECK(code(map) == Code::kOk);
  map.physical[3] = 16;
  CHECK(code(map) == Code::kCorruption);  // not below next
  map.physical[3] = 7;
  CHECK(code(map) == Code::kCorruption);  // 7 twice
  std::string newer;
  AppendDatabaseMap(&newer, DatabaseMap::Initial());
  newer[0] = 2;
  CHECK(ParseDatabaseMap(newer, &map).code() == Code::kUnsupported);
}

TEST_CASE("locks and sequences round trip") {
  LockValue lock;
  for (const uint64_t lease : {uint64_t{0}, uint64_t{1}, uint64_t{30000}, kMaxLeaseMs}) {
    for (const char* owner : {"", "me", "a longer owner with \xff in it"}) {
      const std::string bytes = EncodeLock({lease, owner});
      REQUIRE(DecodeLock(bytes, &lock));
      CHECK(lock.lease_ms == lease);
      CHECK(lock.owner == owner);
    }
  }
  CHECK(!DecodeLock("", &lock));
  CHECK(!DecodeLock("\xff", &lock));
  CHECK(!DecodeLock(EncodeLock({kMaxLeaseMs + 1, "me"}), &lock));
  const SequenceValue sequence{INT64_MIN, -7, INT64_MAX};
  const std::string bytes = EncodeSequence(sequence);
  SequenceValue back;
  REQUIRE(DecodeSequence(bytes, &back));
  CHECK(back == sequence);
  for (size_t n = 0; n < bytes.size(); ++n) CHECK(!DecodeSequence(bytes.substr(0, n), &back));
  CHECK(!DecodeSequence(bytes + "x", &back));
}

// An effect that owns what it points to.
struct Made {
  Effect effect;
  std::string key;
  std::string value;
};

void MakeEffect(Rng* rng, Made* made) {
  static constexpr EffectKind kKinds[] = {EffectKind::kPut, EffectKind::kDelete, EffectKind::kPatch,
                                          EffectKind::kMeta, EffectKind::kDatabases};
  Effect& effect = made->effect;
  effect.kind = kKinds[rng->Below(5)];
  made->value.assign(rng->Below(200), 'v');
  if (effect.kind == EffectKind::kDatabases) {
    made->value.clear();
    AppendDatabaseMap(&made->value, DatabaseMap::Initial());
    effect.meta.revision = RandomNumber(rng);
    effect.value = made->value;
    return;
  }
  made->key.assign(rng->Below(200), 'k');
  effect.slot = static_cast<uint16_t>(rng->Below(kSlots));
  effect.database = static_cast<uint32_t>(RandomNumber(rng));
  effect.key = made->key;
  if (effect.kind == EffectKind::kDelete) {
    effect.meta.revision = RandomNumber(rng);
    return;
  }
  effect.meta = RandomMeta(rng);
  if (effect.kind == EffectKind::kMeta) return;
  effect.value = made->value;
  if (effect.kind == EffectKind::kPatch) {
    effect.offset = rng->Below(1u << rng->Below(30));
    effect.new_size = effect.offset + effect.value.size() + rng->Below(10);
  }
}

void CheckSame(const Effect& a, const Effect& b) {
  REQUIRE(a.kind == b.kind);
  CHECK(a.value == b.value);
  CHECK(a.meta.revision == b.meta.revision);
  if (a.kind == EffectKind::kDatabases) return;
  CHECK(a.slot == b.slot);
  CHECK(a.database == b.database);
  CHECK(a.key == b.key);
  if (a.kind == EffectKind::kDelete) return;
  CHECK(Fields(a.meta) == Fields(b.meta));
  CHECK(a.offset == b.offset);
  CHECK(a.new_size == b.new_size);
}

TEST_CASE("effects round trip in batches; a cut payload never passes for a longer one") {
  Rng rng(4);
  for (int round = 0; round < 300; ++round) {
    std::vector<Made> made(rng.Below(12));
    std::string payload;
    AppendPayloadHeader(&payload);
    std::vector<size_t> borders = {payload.size()};
    for (Made& one : made) {
      MakeEffect(&rng, &one);
      AppendEffect(&payload, one.effect);
      borders.push_back(payload.size());
    }
    size_t seen = 0;
    const auto compare = [&](const Effect& effect) {
      REQUIRE(seen < made.size());
      CheckSame(made[seen].effect, effect);
      if (effect.kind != EffectKind::kDatabases) {
        std::string record_key;
        AppendMetaKey(&record_key, effect.slot, effect.database, effect.key);
        CHECK(effect.record_key == record_key);
      }
      if (effect.kind == EffectKind::kPut) {
        std::string record;
        AppendMeta(&record, effect.meta);
        record.append(effect.value);
        CHECK(effect.record == record);
      }
      ++seen;
      return Status::Ok();
    };
    REQUIRE(ForEachEffect(payload, compare).ok());
    CHECK(seen == made.size());
    size_t border = 0;
    for (size_t n = 0; n < payload.size(); ++n) {
      if (border < borders.size() && borders[border] == n) ++border;
      seen = 0;
      const Status status = ForEachEffect(std::string_view(payload).substr(0, n), compare);
      // Cut at a border it is a shorter payload: the log's checksum guards against that.
      const bool whole = border > 0 && borders[border - 1] == n;
      REQUIRE(status.code() == (whole ? Code::kOk : Code::kCorruption));
      REQUIRE(seen == (border == 0 ? 0 : border - 1));
    }
  }
}

TEST_CASE("an author counts for the effects behind it, up to the next one") {
  Effect effect;
  effect.kind = EffectKind::kDelete;
  effect.key = "k";
  std::string payload;
  AppendPayloadHeader(&payload);
  AppendEffect(&payload, effect);
  const size_t begin = payload.size();
  AppendAuthor(&payload, {uint64_t{1} << 63, 300});
  const size_t end = payload.size();
  AppendEffect(&payload, effect);
  AppendEffect(&payload, effect);
  AppendAuthor(&payload, {});
  AppendEffect(&payload, effect);
  std::vector<Author> authors;
  const auto note = [&authors](const Effect& seen) {
    authors.push_back(seen.author);
    return Status::Ok();
  };
  REQUIRE(ForEachEffect(payload, note).ok());
  const Author one{uint64_t{1} << 63, 300};
  CHECK(authors == std::vector<Author>{{}, one, one, {}});
  // One without an effect, or cut.
  for (size_t n = begin + 1; n <= end; ++n) {
    CHECK(ForEachEffect(std::string_view(payload).substr(0, n), note).code() == Code::kCorruption);
  }
}

TEST_CASE("a visitor's failure ends the walk") {
  std::string payload;
  AppendPayloadHeader(&payload);
  Effect effect;
  effect.kind = EffectKind::kDelete;
  effect.key = "k";
  for (int i = 0; i < 3; ++i) AppendEffect(&payload, effect);
  int seen = 0;
  const Status status = ForEachEffect(payload, [&seen](const Effect&) {
    return ++seen == 2 ? Status::NoSpace("enough") : Status::Ok();
  });
  CHECK(status.code() == Code::kNoSpace);
  CHECK(seen == 2);
}

TEST_CASE("payloads that nobody writes are refused") {
  const auto code = [](const std::string& payload) {
    return ForEachEffect(payload, [](const Effect&) { return Status::Ok(); }).code();
  };
  CHECK(code("") == Code::kCorruption);
  CHECK(code("\x01") == Code::kOk);
  CHECK(code("\x02") == Code::kUnsupported);
  std::string key;
  AppendMetaKey(&key, 5, 0, "k");
  std::string prefixed;
  AppendLengthPrefixed(&prefixed, key);
  CHECK(code("\x01Y" + prefixed + "\x05") == Code::kUnsupported);
  CHECK(code("\x01"
             "D" +
             prefixed + "\x05") == Code::kOk);
  CHECK(code("\x01"
             "D\x03mab\x05") == Code::kCorruption);
  // Patches that reach outside their value.
  Effect patch;
  patch.kind = EffectKind::kPatch;
  patch.key = "k";
  patch.meta.version = 1;
  patch.value = "1234";
  patch.offset = 6;
  const auto patch_code = [&](uint64_t offset, uint64_t new_size) {
    patch.offset = offset;
    patch.new_size = new_size;
    std::string payload("\x01");
    AppendEffect(&payload, patch);
    return code(payload);
  };
  CHECK(patch_code(6, 10) == Code::kOk);
  CHECK(patch_code(7, 10) == Code::kCorruption);
  CHECK(patch_code(11, 10) == Code::kCorruption);
  CHECK(patch_code(UINT64_MAX, 10) == Code::kCorruption);
  CHECK(patch_code(0, uint64_t{1} << 32) == Code::kCorruption);
}

}  // namespace
}  // namespace holdfast::data
