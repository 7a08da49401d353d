#include "engine/context.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/check.h"
#include "base/hash.h"
#include "base/numbers.h"
#include "engine/access.h"
#include "engine/latency_timer.h"
#include "engine/partition.h"

namespace holdfast::engine {
namespace {

// The longest reply whose length only an argument bounds, whatever the buffers of clients may hold:
// more would hold up everybody else for seconds.
constexpr uint64_t kMaxRepeatedBytes = 128 << 20;

}  // namespace

ExecContext::ExecContext(Partition* partition, const Command& the_command, Args the_args,
                         const Caller& the_caller, resp::Writer* writer, int64_t begin_ns)
    : command(the_command),
      args(the_args),
      caller(the_caller),
      reply(*writer),
      partition_(partition),
      now_ms_(the_caller.now_ms != 0 ? the_caller.now_ms : partition->host_->NowMs()),
      begin_ns_(begin_ns),
      reply_begin_(writer->out()->size()) {}

void ExecContext::RunHandler() {
  command.data(*this);
  if (!too_long_) return;
  reply.out()->resize(reply_begin_);
  reply.out()->shrink_to_fit();
  Error(kReplyTooLong);
}

bool ExecContext::ReplyTooLong() {
  const auto normal = static_cast<size_t>(ClientClass::kNormal);
  const uint64_t limit =
      std::min<uint64_t>(kMaxRepeatedBytes, config().output_limits[normal].HardBytes());
  too_long_ = reply.out()->size() - reply_begin_ > limit;
  return too_long_;
}

const Config& ExecContext::config() const { return partition_->host_->config(); }

bool ExecContext::OwnsNamesLike(std::string_view pattern) const {
  const Partition& owner = *partition_;
  if (owner.first_slot() == 0 && owner.last_slot() == kSlots - 1) return true;
  const std::string_view front = pattern.substr(0, pattern.find('*'));
  const uint16_t slot = KeySlot(front);
  const bool has_tag = HashTag(front).size() != front.size();
  return has_tag && owner.first_slot() <= slot && slot <= owner.last_slot();
}

Key ExecContext::Find(std::string_view name, uint32_t db, bool count, bool touch,
                      bool may_be_cold) {
  Key key;
  key.hashed = partition_->keyspace_->Hash(name);
  key.database = partition_->keyspace_->Logical(db);
  key.object = key.database->table.Find(key.hashed);
  if (key.object != nullptr && !StillThere(key, db)) key.object = nullptr;
  if (key.object != nullptr && key.object->cold() && !may_be_cold && command.NeedsValues(args)) {
    WantValue(&key);
  }
  const uint64_t touched = partition_->touched_.Find(key.hashed.hash, partition_->commit_index_);
  if (touched > gate_index_) gate_index_ = touched;
  if (partition_->all_touched_ > gate_index_) gate_index_ = partition_->all_touched_;
  if (count) {
    CoreStats* stats = partition_->host_->stats();
    ++(key.object != nullptr ? stats->keyspace_hits : stats->keyspace_misses);
    if (key.object == nullptr && partition_->ready_) Notify(key, kKeyMissEvents, "keymiss");
  }
  if (touch && key.object != nullptr && !caller.no_touch) {
    NoteUse(key.object, false);
  }
  return key;
}

void ExecContext::Notify(const Key& key, uint32_t event_class, std::string_view event) {
  if (!WantsKeyEvents(config().notify_key_events, event_class) || !wanted_.empty()) return;
  const uint32_t db = partition_->keyspace_->LogicalOf(key.database->physical);
  key_events_.push_back({0, db, event, std::string(key.hashed.key)});
}

void ExecContext::PassOnKeyEvents() {
  for (KeyEvent& event : key_events_) partition_->AddKeyEvent(std::move(event));
  key_events_.clear();
}

void ExecContext::NoteUse(data::Object* object, bool is_new) {
  if (!IsLfu(config().maxmemory_policy)) {
    object->accessed = LruClockAt(begin_ns_);
  } else if (is_new) {
    object->accessed = LfuAccess(kLfuInitial, begin_ns_);
  } else {
    object->accessed = LfuTouched(object->accessed, begin_ns_, config(), partition_->rng());
  }
}

bool ExecContext::StillThere(const Key& key, uint32_t db) {
  if (!partition_->ready_) {
    // Only the leader ends keys, and only it knows what is left of a lease.
    needs_leader_ |= key.Is(data::ObjectType::kLock) ||
                     partition_->IsExpired(*key.database, key.object, now_ms_);
    return !needs_leader_;
  }
  if (!partition_->IsExpired(*key.database, key.object, now_ms_)) return true;
  // Whoever sees that a key is gone waits for the deletion to be committed (P34).
  const LatencyTimer timer(partition_->host_, "expire-del");
  partition_->EmitExpiry(db, key.database, key.object, now_ms_);
  return false;
}

void ExecContext::WantValue(Key* key) {
  wanted_.push_back(Partition::ColdValueOf(*key->database, *key->object));
  key->object = nullptr;
}

void ExecContext::Prefetch(size_t i, size_t step) const {
  std::array<data::HashedKey, kLookAhead> keys;
  size_t count = 0;
  for (; i < args.size() && count < kLookAhead; i += step) {
    keys[count] = partition_->keyspace_->Hash(args[i]);
    partition_->touched_.Prefetch(keys[count].hash);
    ++count;
  }
  partition_->keyspace_->Logical(caller.db)->table.Prefetch({keys.data(), count});
}

void ExecContext::DependsOnAll() {
  // The open batch counts when it holds something already.
  const uint64_t newest =
      partition_->batch_.empty() ? partition_->open_index_ - 1 : partition_->open_index_;
  if (newest > gate_index_) gate_index_ = newest;
}

int64_t ExecContext::ExpireAt(const Key& key) const {
  CHECK(key.object != nullptr);
  return data::Keyspace::ExpireAt(*key.database, key.object);
}

int64_t ExecContext::LeaseRemainingMs(const Key& key) const {
  CHECK(key.Is(data::ObjectType::kLock));
  const int64_t left = partition_->keyspace_->leases()->DeadlineOf(key.object) -
                       partition_->host_->clock().MonotonicMs();
  return left > 0 ? left : 0;
}

void ExecContext::Emit(data::Effect* effect, Key* key, uint32_t logical) {
  const bool is_new = key->object == nullptr;
  partition_->Emit(effect, key, logical, now_ms_, caller.author);
  // A lookup marks the access of a key that is there; one that comes now was never looked up.
  if (is_new && key->object != nullptr) NoteUse(key->object, true);
  emitted_ = true;
  gate_index_ = partition_->open_index_;
}

namespace {

data::Effect EffectOn(data::EffectKind kind, const Key& key) {
  data::Effect effect;
  effect.kind = kind;
  effect.slot = key.hashed.slot;
  effect.database = key.database->physical;
  effect.key = key.hashed.key;
  effect.hash = key.hashed.hash;
  return effect;
}

}  // namespace

uint64_t ExecContext::Put(Key* key, data::ObjectType type, std::string_view value, Expiry expiry,
                          bool raw, uint64_t fence, bool keep_revision) {
  if (!wanted_.empty()) return 0;
  const bool is_new = key->object == nullptr && !key->replaced;
  if (key->object != nullptr && data::HasElements(key->object->type())) {
    // Its elements end with it; what is said of the key goes on.
    if (expiry.kind == Expiry::Kind::kKeep) {
      const int64_t at_ms = ExpireAt(*key);
      expiry = at_ms == 0 ? Expiry::Clear() : Expiry::At(at_ms);
    }
    fence = std::max(fence, key->object->fence());
    Delete(key);
  }
  data::Effect effect = EffectOn(data::EffectKind::kPut, *key);
  // A new type is a new object: its created revision is the lock's token, the collection's
  // generation.
  const bool continues = key->object != nullptr && key->object->type() == type;
  effect.keep_revision = keep_revision && continues;
  if (continues) effect.meta = data::Keyspace::MetaOf(*key->database, key->object);
  effect.meta.type = type;
  effect.meta.raw = raw;
  if (expiry.kind == Expiry::Kind::kClear) effect.meta.expire_at_ms = 0;
  if (expiry.kind == Expiry::Kind::kAt) {
    CHECK(expiry.at_ms > 0);
    effect.meta.expire_at_ms = expiry.at_ms;
  }
  if (fence > effect.meta.fence) effect.meta.fence = fence;
  effect.value = value;
  Emit(&effect, key, partition_->keyspace_->LogicalOf(key->database->physical));
  if (is_new) Notify(*key, kNewKeyEvents, "new");
  return effect.meta.revision;
}

uint64_t ExecContext::Change(Key* key, data::ObjectType type, const data::ElementChanges& changes,
                             std::string_view head) {
  if (!wanted_.empty()) return 0;
  const bool is_missing = key->object == nullptr;
  CHECK((is_missing || key->Is(type)) && (!changes.empty() || data::MayBeEmpty(type)));
  data::Effect effect = EffectOn(data::EffectKind::kElements, *key);
  if (!is_missing) effect.meta = data::Keyspace::MetaOf(*key->database, key->object);
  effect.meta.type = type;
  effect.value = head;
  effect.changes = changes.bytes();
  Emit(&effect, key, partition_->keyspace_->LogicalOf(key->database->physical));
  if (is_missing && !key->replaced) Notify(*key, kNewKeyEvents, "new");
  return effect.meta.revision;
}

bool ExecContext::MayCopy(const Key& source) const {
  return partition_->MayCopyInStore(source.object->collection()->MemoryBytes());
}

uint64_t ExecContext::Copy(Key* source, Key* target, bool moves) {
  if (!wanted_.empty()) return 0;
  CHECK(source->object->collection() != nullptr && target->object == nullptr);
  CHECK(moves || !caller.in_transaction);
  data::Effect effect = EffectOn(data::EffectKind::kCopy, *target);
  effect.meta.type = source->object->type();
  effect.meta.expire_at_ms = ExpireAt(*source);
  const std::string head = source->object->collection()->Head();
  const uint64_t bytes = source->object->collection()->MemoryBytes();
  effect.value = head;
  std::string record_key;
  data::AppendMetaKey(&record_key, source->hashed.slot, source->database->physical,
                      source->hashed.key);
  effect.source = record_key;
  effect.generation = source->object->created();
  effect.moves = moves;
  Emit(&effect, target, partition_->keyspace_->LogicalOf(target->database->physical));
  if (!target->replaced) Notify(*target, kNewKeyEvents, "new");
  if (moves) source->object = source->database->table.Find(source->hashed);
  partition_->NoteCopy(*target, moves, bytes);
  return effect.meta.revision;
}

uint64_t ExecContext::Patch(Key* key, size_t offset, std::string_view bytes, size_t new_size) {
  if (!wanted_.empty()) return 0;
  CHECK(key->Is(data::ObjectType::kString));
  data::Effect effect = EffectOn(data::EffectKind::kPatch, *key);
  effect.meta = data::Keyspace::MetaOf(*key->database, key->object);
  effect.meta.raw = true;
  effect.value = bytes;
  effect.offset = offset;
  effect.new_size = new_size;
  Emit(&effect, key, partition_->keyspace_->LogicalOf(key->database->physical));
  return effect.meta.revision;
}

uint64_t ExecContext::SetExpiry(Key* key, int64_t at_ms, bool keep_revision) {
  if (!wanted_.empty()) return 0;
  CHECK(key->object != nullptr && !key->Is(data::ObjectType::kLock) && at_ms >= 0);
  data::Effect effect = EffectOn(data::EffectKind::kMeta, *key);
  effect.meta = data::Keyspace::MetaOf(*key->database, key->object);
  effect.meta.expire_at_ms = at_ms;
  effect.keep_revision = keep_revision;
  Emit(&effect, key, partition_->keyspace_->LogicalOf(key->database->physical));
  return effect.meta.revision;
}

uint64_t ExecContext::Delete(Key* key) {
  if (!wanted_.empty()) return 0;
  CHECK(key->object != nullptr);
  key->replaced = true;
  data::Effect effect = EffectOn(data::EffectKind::kDelete, *key);
  Emit(&effect, key, partition_->keyspace_->LogicalOf(key->database->physical));
  return effect.meta.revision;
}

void ExecContext::RenewLease(const Key& key, int64_t ms) {
  data::LockValue lock;
  CHECK(key.Is(data::ObjectType::kLock) && data::DecodeLock(key.object->value(), &lock));
  CHECK(ms <= static_cast<int64_t>(lock.lease_ms));
  partition_->keyspace_->leases()->Set(key.object, partition_->host_->clock().MonotonicMs() + ms);
}

void ExecContext::SetDatabases(const data::DatabaseMap& map, uint32_t affected) {
  partition_->EmitDatabases(map, affected, now_ms_);
  emitted_ = true;
  gate_index_ = partition_->open_index_;
}

void ExecContext::Block(std::span<const std::string_view> keys, Wait wait) {
  CHECK(!caller.in_transaction && !emitted_ && !blocked_ && !keys.empty());
  blocked_ = true;
  wait_ = std::move(wait);
  // One that is tried again stays in its lines.
  if (caller.retry) return;
  blocked_keys_.assign(keys.begin(), keys.end());
  std::sort(blocked_keys_.begin(), blocked_keys_.end());
  blocked_keys_.erase(std::unique(blocked_keys_.begin(), blocked_keys_.end()), blocked_keys_.end());
}

void ExecContext::RunInside(const Command& inner, Args inner_args, uint32_t db, int protocol,
                            std::string* out) {
  Caller inside = caller;
  inside.in_transaction = inside.in_script = true;
  inside.protocol = protocol;
  inside.now_ms = now_ms_;
  Partition::Outcome outcome;
  partition_->Run({&inner, inner_args, db}, inside, {}, out, &outcome);
  CHECK(!outcome.blocked);
  gate_index_ = std::max(gate_index_, outcome.index);
  emitted_ |= outcome.wrote;
  read_inside_ |= inner.has(kReadonly);
}

std::string_view ExecContext::WhyRefused(uint32_t flags) { return partition_->WhyRefused(flags); }

size_t ExecContext::Waiters(const Key& key) const {
  return partition_->blocked_.Waiting(partition_->keyspace_->LogicalOf(key.database->physical),
                                      key.hashed.key);
}

void ExecContext::ErrorArity() {
  reply.Error("ERR wrong number of arguments for '" + FullName(command) + "' command");
}

bool ExecContext::IsOrMissing(const Key& key, data::ObjectType type) {
  if (key.object == nullptr || key.object->type() == type) return true;
  Error(kWrongType);
  return false;
}

bool ExecContext::ParseInt(size_t i, int64_t* value, std::string_view error) {
  if (i < args.size() && ParseInt64(args[i], value)) return true;
  Error(error);
  return false;
}

}  // namespace holdfast::engine
