#include "cluster/settings.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/log.h"
#include "cluster/cluster.h"
#include "data/effect.h"
#include "engine/config.h"
#include "replica/hello.h"
#include "replica/transport.h"

namespace holdfast::cluster {
namespace {

constexpr std::string_view kSettingFormat = "1 ";
constexpr uint8_t kItemVersion = 1;
// What a client waits for nodes that are slow.
constexpr int64_t kMaxWaitMs = 1000;
constexpr size_t kMaxSettingChanges = 1024;
// A node that has more to read isn't told; who waits for it does so for the whole time.
constexpr size_t kMaxPendingBytes = size_t{8} << 20;

std::string EncodeRevision(uint64_t revision) {
  std::string item(1, static_cast<char>(kItemVersion));
  AppendFixed64(&item, revision);
  return item;
}

}  // namespace

std::string SettingKey(std::string_view option) {
  return std::string(kSettingPrefix) + std::string(option);
}

std::string EncodeSetting(std::string_view value) {
  return std::string(kSettingFormat) + std::string(value);
}

Status DecodeSetting(std::string_view record, std::string_view* value) {
  const size_t blank = record.find(' ');
  if (blank == std::string_view::npos) return Status::Corruption("a setting's record is damaged");
  if (!record.starts_with(kSettingFormat)) {
    return Status::Unsupported("a setting's record of a newer format");
  }
  *value = record.substr(kSettingFormat.size());
  return Status::Ok();
}

Settings::Settings(engine::Engine* engine)
    : engine_(engine),
      core_(&engine->core(0)),
      self_(std::make_unique<engine::InternalClient>(core_)),
      change_(engine->commands().FindSubcommand(*engine->commands().Find("cluster"), "setoption")) {
  core_->FindPartition(engine->meta_partition())->Observe(this);
  running_ = true;
}

// ---- What the meta group knows

// A node that doesn't know an option, since it is older, goes on without it.
void Settings::Take(std::string_view key, std::string_view record, engine::Config* config) const {
  if (!key.starts_with(kSettingPrefix)) return;
  const std::string_view name = key.substr(kSettingPrefix.size());
  std::string_view value;
  Status status = DecodeSetting(record, &value);
  const engine::Option* option = engine::FindOption(name);
  if (status.ok() && option == nullptr)
    status = Status::Unsupported("there is no such option here");
  if (status.ok()) status = engine::SetOption(config, *option, value);
  if (status.ok()) {
    LogNotice("{} is '{}' in the whole cluster", name, value);
  } else {
    LogWarning("the cluster's setting {} is ignored: {}", name, status.message());
  }
}

void Settings::OnCommitted(std::string_view payload) {
  engine::Config config = core_->config();
  uint64_t revision = 0;
  const Status status = data::ForEachEffect(payload, [&](const data::Effect& effect) {
    if (effect.kind != data::EffectKind::kPut) return Status::Ok();
    if (!effect.key.starts_with(kSettingPrefix)) return Status::Ok();
    Take(effect.key, effect.value, &config);
    revision = std::max(revision, effect.meta.revision);
    return Status::Ok();
  });
  if (!status.ok()) Fatal(status.message());
  if (revision != 0) Apply(config, revision);
}

void Settings::OnReplaced(const data::Keyspace& keyspace) {
  engine::Config config = core_->config();
  uint64_t cursor = 0;
  do {
    cursor = keyspace.Logical(0)->table.Scan(cursor, 1000, [this, &config](data::Object* object) {
      Take(object->key(), object->value(), &config);
    });
  } while (cursor != 0);
  Apply(config, keyspace.max_revision());
}

void Settings::Apply(const engine::Config& config, uint64_t revision) {
  if (!running_) {
    for (uint32_t i = 0; i < engine_->cores(); ++i) engine_->core(i).SetConfig(config);
    applied_ = revision;
    return;
  }
  core_->SetConfig(config);
  engine_->Gather<char>(
      *core_,
      [config](engine::Core& core) {
        // Core 0 has it, or a newer one, already.
        if (core.number() != 0) core.SetConfig(config);
        return '\0';
      },
      [this, revision](const std::vector<char>&) { Applied(revision); });
}

void Settings::Applied(uint64_t revision) {
  applied_ = std::max(applied_, revision);
  core_->transport()->Broadcast(replica::ItemKind::kSettings, replica::kProtocolWithSettings,
                                kMaxPendingBytes, EncodeRevision(applied_), {});
  Answer();
}

// ---- Other nodes

void Settings::OnUp(replica::PeerLink& link) {
  if (link.protocol() < replica::kProtocolWithSettings) return;
  link.Send(replica::ItemKind::kSettings, EncodeRevision(applied_), {});
}

void Settings::OnItem(replica::PeerLink& link, std::string_view bytes) {
  ByteReader reader(bytes);
  uint8_t version;
  uint64_t revision;
  if (!reader.ReadByte(&version) || version != kItemVersion || !reader.ReadFixed64(&revision) ||
      !reader.rest().empty()) {
    link.Close(Status::Corruption("an item about settings is malformed"));
    return;
  }
  uint64_t& known = others_[link.node()];
  known = std::max(known, revision);
  Answer();
}

bool Settings::IsEverywhere(uint64_t revision) const {
  if (applied_ < revision) return false;
  for (const replica::PeerStats& peer : core_->transport()->Stats()) {
    if (engine_->cluster->view(*core_).Find(peer.id) == nullptr) continue;  // it is about to join
    const replica::PeerLink* link = core_->transport()->Link(peer.id);
    if (link == nullptr || link->protocol() < replica::kProtocolWithSettings) continue;
    const auto it = others_.find(peer.id);
    if (it == others_.end() || it->second < revision) return false;
  }
  return true;
}

// ---- Changing

void Settings::Change(const std::vector<std::string>& pairs, Done done) {
  if (waiting_.size() + self_->pending() >= kMaxSettingChanges) {
    done("ERR too many changes of options are under way");
    return;
  }
  std::vector<std::string> args = {"CLUSTER", "SETOPTION"};
  args.insert(args.end(), pairs.begin(), pairs.end());
  // Not as a client's request, which CLIENT PAUSE would hold up.
  self_->CallOn(engine_->meta_partition(), *change_, args,
                [this, done = std::move(done)](const resp::Reply& reply) mutable {
                  if (reply.is_error()) {
                    done(reply.string);
                    return;
                  }
                  waiting_.push_back({static_cast<uint64_t>(reply.integer),
                                      core_->clock().MonotonicMs() + kMaxWaitMs, std::move(done)});
                  Answer();
                });
}

void Settings::Await(uint64_t revision, Done done) {
  waiting_.push_back({revision, core_->clock().MonotonicMs() + kMaxWaitMs, std::move(done)});
  Answer();
}

void Settings::Answer() {
  if (waiting_.empty()) return;
  const int64_t now_ms = core_->clock().MonotonicMs();
  std::vector<Waiting> over;
  for (size_t i = 0; i < waiting_.size();) {
    if (!stopped_ && !IsEverywhere(waiting_[i].revision) && waiting_[i].until_ms > now_ms) {
      ++i;
      continue;
    }
    over.push_back(std::move(waiting_[i]));
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (Waiting& change : over) {
    const bool here = applied_ >= change.revision;
    change.done(here ? std::string()
                     : "INDOUBT options of the whole cluster were changed, but this node has not "
                       "learned of it yet; its own were not changed");
  }
}

void Settings::Stop() {
  stopped_ = true;
  Answer();
}

}  // namespace holdfast::cluster
