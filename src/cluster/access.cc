#include "cluster/access.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "cluster/acl_file.h"
#include "cluster/cluster.h"
#include "data/effect.h"
#include "engine/acl_rules.h"
#include "engine/config.h"

namespace holdfast::cluster {
namespace {

constexpr std::string_view kUserFormat = "1 ";
// What a client waits for this node, which is a commit behind at most.
constexpr int64_t kMaxAccessWaitMs = 5000;
constexpr uint64_t kAccessCheckMs = 100;
constexpr uint64_t kCatchUpTickMs = 5;
constexpr size_t kMaxAccessChanges = 1024;

resp::Reply ErrorReply(std::string_view text) {
  resp::Reply reply;
  reply.type = resp::ReplyType::kError;
  reply.string = text;
  return reply;
}

// "user alice on … user bob on …"
Status ReadConfiguredUsers(const engine::CommandTable& table, const engine::Config& config,
                           UserMap* users) {
  const std::vector<std::string>& words = config.users;
  for (size_t i = 0; i < words.size();) {
    if (words[i] != "user" || i + 1 >= words.size()) {
      return Status::InvalidArgument("users: each begins with the word 'user' and a name");
    }
    const std::string& name = words[i + 1];
    const size_t begin = i + 2;
    for (i = begin; i < words.size() && words[i] != "user";) ++i;
    const std::vector<std::string_view> rules(words.begin() + static_cast<std::ptrdiff_t>(begin),
                                              words.begin() + static_cast<std::ptrdiff_t>(i));
    engine::AclUser user(name, config.acl_all_channels);
    const std::string wrong = engine::ApplyRules(table, rules, config.acl_all_channels, &user);
    if (!wrong.empty()) return Status::InvalidArgument("users: " + name + ": " + wrong);
    if (!users->emplace(name, std::make_shared<const engine::AclUser>(std::move(user))).second) {
      return Status::InvalidArgument("users: '" + name + "' is defined twice");
    }
  }
  return Status::Ok();
}

}  // namespace

std::string UserKey(std::string_view name) { return std::string(kUserPrefix) + std::string(name); }

std::string EncodeUser(const engine::CommandTable& table, const engine::AclUser& user) {
  return std::string(kUserFormat) + user.Describe(table);
}

Result<engine::AclUser> DecodeUser(const engine::CommandTable& table, std::string_view key,
                                   std::string_view record) {
  CHECK(key.starts_with(kUserPrefix));
  engine::AclUser user(std::string(key.substr(kUserPrefix.size())), /*all_channels=*/false);
  if (!record.starts_with(kUserFormat)) {
    if (record.find(' ') == std::string_view::npos) {
      return Status::Corruption("a user's record is damaged");
    }
    return Status::Unsupported("a user's record of a newer format");
  }
  if (!engine::ReadUser(table, record.substr(kUserFormat.size()), &user)) {
    return Status::Corruption("a user's record is damaged");
  }
  return user;
}

Status ReadOwnUsers(const engine::CommandTable& table, const engine::Config& config,
                    UserMap* users) {
  if (config.aclfile.empty()) return ReadConfiguredUsers(table, config, users);
  if (!config.users.empty()) {
    return Status::InvalidArgument(
        "users in the configuration and an aclfile at the same time would contradict each other; "
        "give one of them");
  }
  const Result<std::string> text = ReadAclText(config.aclfile);
  if (!text.ok()) {
    return Status::InvalidArgument("Error loading ACLs, opening file '" + config.aclfile +
                                   "': " + text.status().message());
  }
  std::vector<engine::AclUser> read;
  const std::string wrong =
      engine::ReadAclFile(table, config.aclfile, text.value(), config.acl_all_channels, &read);
  if (!wrong.empty()) return Status::InvalidArgument(wrong);
  for (engine::AclUser& user : read) {
    std::string name = user.name();
    users->emplace(std::move(name), std::make_shared<const engine::AclUser>(std::move(user)));
  }
  return Status::Ok();
}

Access::Access(engine::Engine* engine, UserMap own)
    : engine_(engine),
      core_(&engine->core(0)),
      own_(std::move(own)),
      self_(std::make_unique<engine::InternalClient>(core_)),
      change_(engine->commands().FindSubcommand(*engine->commands().Find("cluster"), "setusers")),
      is_new_(core_->FindPartition(engine->meta_partition())->applied_index() == 0) {
  CHECK(change_ != nullptr);
  core_->FindPartition(engine->meta_partition())->Observe(this);
  if (marked_ && !own_.empty()) {
    LogNotice("users are those of the cluster's records; those of this node's file are not used");
  }
  running_ = true;
  engine->access = this;
}

Access::~Access() {
  if (worker_.joinable()) worker_.join();
  engine_->access = nullptr;
}

// ---- What the meta group knows

void Access::Take(std::string_view key, std::string_view record) {
  if (key == kUsersMark) marked_ = true;
  if (!key.starts_with(kUserPrefix)) return;
  Result<engine::AclUser> user = DecodeUser(engine_->commands(), key, record);
  // Going on without it would leave its rights as they were, or give the default user's to all.
  if (!user.ok()) Fatal("user " + std::string(key) + ": " + user.status().message());
  std::string name = user.value().name();
  LogVerbose("access control: user '{}' has changed", name);
  records_.insert_or_assign(std::move(name),
                            std::make_shared<const engine::AclUser>(std::move(user).value()));
}

void Access::OnCommitted(std::string_view payload) {
  uint64_t revision = 0;
  const Status status = data::ForEachEffect(payload, [&](const data::Effect& effect) {
    if (!effect.key.starts_with(kUserPrefix) && effect.key != kUsersMark) return Status::Ok();
    if (effect.kind == data::EffectKind::kPut) {
      Take(effect.key, effect.value);
    } else if (effect.kind == data::EffectKind::kDelete) {
      records_.erase(std::string(effect.key.substr(kUserPrefix.size())));
    }
    revision = std::max(revision, effect.meta.revision);
    return Status::Ok();
  });
  if (!status.ok()) Fatal(status.message());
  changed_ = std::max(changed_, revision);
  if (revision != 0) Publish(revision);
}

void Access::OnReplaced(const data::Keyspace& keyspace) {
  records_.clear();
  marked_ = false;
  changed_ = 0;
  uint64_t cursor = 0;
  do {
    cursor = keyspace.Logical(0)->table.Scan(cursor, 1000, [this](data::Object* object) {
      if (object->key() == kUsersMark || object->key().starts_with(kUserPrefix)) {
        Take(object->key(), object->value());
        changed_ = std::max(changed_, object->revision());
      }
    });
  } while (cursor != 0);
  Publish(keyspace.max_revision());
}

void Access::Publish(uint64_t revision) {
  auto table = std::make_shared<engine::AclTable>();
  table->revision = revision;
  table->changed = changed_;
  table->users = marked_ ? records_ : own_;
  const std::shared_ptr<const engine::AclTable> shared = std::move(table);
  if (!running_) {
    for (uint32_t i = 0; i < engine_->cores(); ++i) engine_->core(i).access().SetUsers(shared);
    applied_ = revision;
    return;
  }
  core_->access().SetUsers(shared);
  engine_->Gather<char>(
      *core_,
      [shared](engine::Core& core) {
        // Core 0 has it, or a newer one, already.
        if (core.number() != 0) core.access().SetUsers(shared);
        return '\0';
      },
      [this, revision](const std::vector<char>&) { Applied(revision); });
}

void Access::Applied(uint64_t revision) {
  applied_ = std::max(applied_, revision);
  if (engine_->cluster != nullptr) engine_->cluster->settings().Applied(revision);
  Answer();
}

// ---- Changing

void Access::Change(std::vector<std::string> args, Done done) {
  if (waiting_.size() + self_->pending() >= kMaxAccessChanges) {
    done(ErrorReply("ERR too many changes of users are under way"));
    return;
  }
  args.insert(args.begin(), {"CLUSTER", "SETUSERS"});
  self_->CallOn(engine_->meta_partition(), *change_, args,
                [this, done = std::move(done)](const resp::Reply& reply) mutable {
                  if (reply.is_error()) {
                    done(reply);
                  } else if (reply.elements.size() != 2) {
                    done(ErrorReply("ERR the leading node sent no reply"));
                  } else {
                    waiting_.push_back({static_cast<uint64_t>(reply.elements[0].integer),
                                        core_->clock().MonotonicMs() + kMaxAccessWaitMs,
                                        reply.elements[1], std::move(done)});
                    Answer();
                  }
                });
}

void Access::Answer() {
  const int64_t now_ms = core_->clock().MonotonicMs();
  std::vector<Waiting> over;
  for (size_t i = 0; i < waiting_.size();) {
    if (!stopped_ && applied_ < waiting_[i].revision && waiting_[i].until_ms > now_ms) {
      ++i;
      continue;
    }
    over.push_back(std::move(waiting_[i]));
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (Waiting& change : over) {
    if (applied_ < change.revision) {
      change.done(
          ErrorReply("INDOUBT users were changed, but this node has not learned of it yet"));
    } else if (engine_->cluster == nullptr) {
      change.done(change.reply);
    } else {
      // Here it is in force; now the others.
      engine_->cluster->settings().Await(
          change.revision, [reply = std::move(change.reply), done = std::move(change.done)](
                               const std::string&) mutable { done(reply); });
    }
  }
  if (waiting_.empty() || std::exchange(checking_, true)) return;
  core_->RunAfter(kAccessCheckMs, [this] {
    checking_ = false;
    Answer();
  });
}

void Access::CatchUp(std::function<void()> done) {
  if (stopped_) return;
  self_->CallOn(engine_->meta_partition(), *change_, {"CLUSTER", "SETUSERS", "ASK"},
                [this, done = std::move(done)](const resp::Reply& reply) mutable {
                  if (reply.type == resp::ReplyType::kInteger) {
                    AwaitIndex(static_cast<uint64_t>(reply.integer), std::move(done));
                  } else {
                    core_->RunAfter(kCatchUpTickMs,
                                    [this, done = std::move(done)] { CatchUp(done); });
                  }
                });
}

void Access::AwaitIndex(uint64_t index, std::function<void()> done) {
  if (stopped_) return;
  if (core_->FindPartition(engine_->meta_partition())->applied_index() < index) {
    core_->RunAfter(kCatchUpTickMs,
                    [this, index, done = std::move(done)] { AwaitIndex(index, done); });
    return;
  }
  // Behind what was sent to the cores.
  engine_->Gather<char>(
      *core_, [](engine::Core&) { return '\0'; },
      [done = std::move(done)](const std::vector<char>&) { done(); });
}

bool Access::InBackground(absl::AnyInvocable<void()> work, absl::AnyInvocable<void()> done) {
  if (worker_.joinable() || stopped_) return false;
  worker_ = std::thread([this, work = std::move(work), done = std::move(done)]() mutable {
    work();
    core_->PostFromAnyThread([this, done = std::move(done)]() mutable {
      if (worker_.joinable()) worker_.join();
      done();
    });
  });
  return true;
}

void Access::Stop() {
  stopped_ = true;
  Answer();
}

}  // namespace holdfast::cluster
