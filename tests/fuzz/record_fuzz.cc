// Arbitrary bytes as records, system records, entry payloads and DUMP payloads: nothing crashes,
// what decodes encodes to the same bytes, and a payload that the keyspace takes survives the store.
//
// The first byte of the input chooses what the rest is.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "data/dump.h"
#include "data/effect.h"
#include "data/keyspace.h"
#include "data/persist.h"
#include "data/record.h"
#include "storage/mem_store.h"

#include "../unit/data/world.h"

namespace holdfast::data {
namespace {

// Larger values are legal, and waste the fuzzer's time.
constexpr uint64_t kMaxPatchedSize = 1 << 16;

void FuzzKey(std::string_view bytes) {
  uint16_t slot;
  uint32_t database;
  std::string_view key;
  if (!ParseMetaKey(bytes, &slot, &database, &key)) return;
  std::string again;
  AppendMetaKey(&again, slot, database, key);
  CHECK(again == bytes);
}

void FuzzMeta(std::string_view bytes) {
  Meta meta;
  std::string_view value;
  if (!ParseMeta(bytes, &meta, &value).ok()) return;
  std::string again;
  AppendMeta(&again, meta);
  again.append(value);
  CHECK(again == bytes);
}

void FuzzSystem(std::string_view bytes) {
  DatabaseMap map;
  if (ParseDatabaseMap(bytes, &map).ok()) {
    std::string again;
    AppendDatabaseMap(&again, map);
    CHECK(again == bytes);
  }
  AppliedState applied;
  if (DecodeApplied(bytes, &applied).ok()) CHECK(EncodeApplied(applied) == bytes);
  uint64_t node_id;
  uint32_t partition;
  if (DecodeStoreIdentity(bytes, &node_id, &partition).ok()) {
    CHECK(EncodeStoreIdentity(node_id, partition) == bytes);
  }
}

void FuzzValue(std::string_view bytes) {
  LockValue lock;
  if (DecodeLock(bytes, &lock)) CHECK(EncodeLock(lock) == bytes);
  SequenceValue sequence;
  if (DecodeSequence(bytes, &sequence)) CHECK(EncodeSequence(sequence) == bytes);
}

std::map<std::string, std::string> ElementsOf(const DumpedValue& dumped) {
  std::map<std::string, std::string> elements;
  const auto note = [&](const ElementChange& change) {
    CHECK(!change.is_delete);
    CHECK(elements.emplace(change.element, change.value).second);
    return CheckElement(dumped.type, change.element, change.value);
  };
  CHECK(ForEachChange(dumped.elements.bytes(), note).ok());
  return elements;
}

std::string DumpAgain(const DumpedValue& dumped) {
  Meta meta;
  meta.type = dumped.type;
  Object* object;
  if (HasElements(dumped.type)) {
    std::unique_ptr<Collection> collection = NewCollection(dumped.type, {});
    for (const auto& [element, value] : ElementsOf(dumped)) collection->Put(element, value);
    CHECK(collection->Head() == dumped.value);
    object = Object::CreateCollection("key", meta, std::move(collection));
  } else {
    object = Object::Create("key", meta, dumped.value);
  }
  std::string payload = EncodeDump(*object);
  Object::Free(object);
  return payload;
}

void FuzzDump(std::string_view bytes) {
  DumpedValue dumped;
  if (!DecodeDump(bytes, &dumped).ok()) return;
  // Other encoders choose other forms (LZF), so only the outcome must be the same.
  DumpedValue again;
  CHECK(DecodeDump(DumpAgain(dumped), &again).ok());
  CHECK(again.type == dumped.type && again.value == dumped.value);
  CHECK(ElementsOf(again) == ElementsOf(dumped));
}

void FuzzLoad(std::string_view bytes) {
  if (bytes.empty()) return;
  const size_t key_size = std::min<size_t>(static_cast<uint8_t>(bytes[0]), bytes.size() - 1);
  Keyspace::Options options;
  options.clock = SystemClock();
  Keyspace keyspace(options);
  bool dead;
  // An element, or the key that it may belong to.
  (void)keyspace.LoadElement(bytes.substr(1, key_size), bytes.substr(1 + key_size));
  if (!keyspace.Load(bytes.substr(1, key_size), bytes.substr(1 + key_size), &dead).ok()) return;
  size_t keys = 0;
  for (uint32_t i = 0; i < kLogicalDatabases; ++i) keys += keyspace.Logical(i)->table.size();
  CHECK(keys == (dead ? 0 : 1));
}

// What the keyspace took, the store takes, and gives back.
void FuzzStore(std::string_view payload, const Keyspace& keyspace,
               const Keyspace::Options& options) {
  storage::MemStoreDisk disk;
  const std::unique_ptr<storage::Store> store = disk.Open("store").value();
  PersistJob job;
  job.payloads.push_back(std::make_shared<const std::string>(payload));
  job.applied_index = 1;
  CHECK(PersistEntries(store.get(), job, false, nullptr).ok());
  Keyspace loaded(options);
  const Status status = LoadKeyspace(store.get(), &loaded, nullptr);
  // Whether the heads of collections tell the truth isn't seen in those that aren't in memory.
  if (keyspace.has_cold() && status.code() == Code::kCorruption) return;
  CHECK(status.ok());
  bool consistent;
  const State before = ReadOut(keyspace, &consistent);
  CHECK(consistent);
  const State after = ReadOut(loaded, &consistent);
  CHECK(consistent && before == after && keyspace.map() == loaded.map());
}

void FuzzPayload(std::string_view bytes) {
  std::string again;
  AppendPayloadHeader(&again);
  bool huge = false;
  // Of a slot and database: whose it is, and nobody's once it was removed.
  std::map<std::tuple<uint16_t, uint32_t, uint64_t>, std::string> generations;
  bool reused = false;
  const Status status = ForEachEffect(bytes, [&](const Effect& effect) {
    AppendEffect(&again, effect);
    huge = huge || effect.new_size > kMaxPatchedSize;
    const std::tuple place(effect.slot, effect.database, effect.meta.created);
    if (effect.kind == EffectKind::kElements || effect.kind == EffectKind::kCopy) {
      const auto [at, is_new] = generations.emplace(place, "key " + std::string(effect.key));
      reused = reused || (!is_new && at->second != "key " + std::string(effect.key));
    } else if (effect.kind == EffectKind::kRemove) {
      generations[place] = "nobody";
    }
    return Status::Ok();
  });
  if (status.ok()) CHECK(again == bytes);
  // Generations are revisions, and no revision is given out twice.
  if (huge || reused) return;
  Keyspace::Options options;
  options.clock = SystemClock();
  Keyspace keyspace(options);
  if (!keyspace.ApplyPayload(bytes).ok()) return;
  CHECK(status.ok());
  FuzzStore(bytes, keyspace, options);
}

void Fuzz(std::string_view input) {
  if (input.empty()) return;
  const std::string_view rest = input.substr(1);
  switch (static_cast<uint8_t>(input[0]) % 8) {
    case 0:
      return FuzzKey(rest);
    case 1:
      return FuzzMeta(rest);
    case 2:
      return FuzzSystem(rest);
    case 3:
      return FuzzValue(rest);
    case 4:
      return FuzzDump(rest);
    case 5:
      return FuzzLoad(rest);
    default:
      return FuzzPayload(rest);
  }
}

}  // namespace
}  // namespace holdfast::data

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  holdfast::data::Fuzz({reinterpret_cast<const char*>(data), size});
  return 0;
}
