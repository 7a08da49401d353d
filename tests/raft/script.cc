#include "script.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "text.h"
#include "world.h"

namespace holdfast::raft::testing {

namespace {

using Lines = std::vector<std::string>;

// One running scenario. A command returns its output; what makes no sense is an output line that
// begins with "error:", which no script may expect.
class Scenario {
 public:
  Lines Run(const std::string& command);
  World& world() { return world_; }

 private:
  using Arguments = std::vector<std::string>;
  using Handler = Lines (Scenario::*)(const Arguments&);

  static Lines Error(const std::string& what) { return {"error: " + what}; }

  Lines AddNode(const Arguments& a);
  Lines Crash(const Arguments& a);
  Lines Start(const Arguments& a);
  Lines TickTo(const Arguments& a);
  Lines Timeout(const Arguments& a);
  Lines ProposeText(const Arguments& a);
  Lines Read(const Arguments& a);
  Lines Change(const Arguments& a);
  Lines Transfer(const Arguments& a);
  Lines MoveSnapshot(const Arguments& a);
  Lines Sent(const Arguments& a);
  Lines Compaction(const Arguments& a);
  Lines CompleteDisk(const Arguments& a);
  Lines ReportPersisted(const Arguments& a);
  Lines Flush(const Arguments& a);
  Lines CompactLog(const Arguments& a);
  Lines Deliver(const Arguments& a);
  Lines Drop(const Arguments& a);
  Lines Repeat(const Arguments& a);
  Lines Receive(const Arguments& a);
  Lines Network(const Arguments& a);
  Lines Settle(const Arguments& a);
  Lines ShowNode(const Arguments& a);

  // The running node that the first argument names.
  std::optional<NodeId> RunningNode(const Arguments& a);
  Lines StepNode(NodeId id, const Event& event);
  // Runs `step` and renders its update.
  Lines Render(NodeId id, const std::function<const Update&()>& step);
  // Takes messages out of the queue that `a` names: [A>B, N | all | #K].
  std::optional<std::vector<Message>> Take(const Arguments& a);

  World world_;
};

Lines Scenario::Run(const std::string& command) {
  static const std::map<std::string, Handler> handlers = {
      {"node", &Scenario::AddNode},
      {"crash", &Scenario::Crash},
      {"start", &Scenario::Start},
      {"tick", &Scenario::TickTo},
      {"timeout", &Scenario::Timeout},
      {"propose", &Scenario::ProposeText},
      {"read", &Scenario::Read},
      {"disk", &Scenario::CompleteDisk},
      {"flush", &Scenario::Flush},
      {"persisted", &Scenario::ReportPersisted},
      {"compact", &Scenario::CompactLog},
      {"deliver", &Scenario::Deliver},
      {"drop", &Scenario::Drop},
      {"repeat", &Scenario::Repeat},
      {"receive", &Scenario::Receive},
      {"network", &Scenario::Network},
      {"settle", &Scenario::Settle},
      {"show", &Scenario::ShowNode},
      {"change", &Scenario::Change},
      {"transfer", &Scenario::Transfer},
      {"snapshot", &Scenario::MoveSnapshot},
      {"sent", &Scenario::Sent},
      {"compaction", &Scenario::Compaction},
  };
  Arguments words = Words(command);
  if (words.empty()) return Error("an empty command");
  const auto handler = handlers.find(words[0]);
  if (handler == handlers.end()) return Error("unknown command " + words[0]);
  words.erase(words.begin());
  return (this->*handler->second)(words);
}

Lines Scenario::Render(NodeId id, const std::function<const Update&()>& step) {
  const uint64_t commit_before = world_.At(id).group->commit_index();
  const Update& update = step();
  return Show(update, commit_before, world_.At(id).group->membership());
}

Lines Scenario::StepNode(NodeId id, const Event& event) {
  return Render(id, [&]() -> const Update& { return world_.Step(id, event); });
}

std::optional<NodeId> Scenario::RunningNode(const Arguments& a) {
  if (a.empty()) return std::nullopt;
  const auto id = ParseNumber(a[0]);
  if (!id.has_value() || !world_.Runs(*id)) return std::nullopt;
  return id;
}

// A>B
std::optional<Link> ParseLink(const std::string& text) {
  const auto ends = Split(text, '>');
  if (ends.size() != 2) return std::nullopt;
  const auto from = ParseNumber(ends[0]);
  const auto to = ParseNumber(ends[1]);
  if (!from.has_value() || !to.has_value()) return std::nullopt;
  return Link(*from, *to);
}

bool SetNodeOption(const std::string& key, const std::string& value, GroupConfig* config,
                   Disk* disk) {
  std::vector<NodeId>* list = key == "voters"     ? &disk->membership.voters
                              : key == "outgoing" ? &disk->membership.outgoing
                              : key == "learners" ? &disk->membership.learners
                                                  : nullptr;
  if (list != nullptr) {
    auto ids = ParseNumbers(value);
    if (ids.has_value()) *list = std::move(*ids);
    return ids.has_value();
  }
  if (key == "log") {
    auto entries = ParseEntries(value);
    if (entries.has_value()) disk->entries = std::move(*entries);
    return entries.has_value();
  }
  if (key == "applied") {
    const auto position = ParsePosition(value);
    disk->applied = position.value_or(LogPosition());
    return position.has_value();
  }
  const auto number = ParseNumber(value);
  if (!number.has_value()) return false;
  if (key == "lease-drift") {
    config->lease_promises = true;
    config->lease_reads = true;
    config->lease_drift_ms = *number;
    return true;
  }
  if (key == "inflight") {
    config->max_inflight_appends = static_cast<uint32_t>(*number);
    return true;
  }
  if (key == "reads") {
    config->max_pending_reads = static_cast<uint32_t>(*number);
    return true;
  }
  uint64_t* field = key == "term"                ? &disk->hard_state.term
                    : key == "vote"              ? &disk->hard_state.voted_for
                    : key == "election"          ? &config->election_timeout_ms
                    : key == "heartbeat"         ? &config->heartbeat_interval_ms
                    : key == "seed"              ? &config->seed
                    : key == "append-bytes"      ? &config->max_append_bytes
                    : key == "inflight-bytes"    ? &config->max_inflight_bytes
                    : key == "uncommitted"       ? &config->max_uncommitted_bytes
                    : key == "retained"          ? &config->max_retained_bytes
                    : key == "transfer-retained" ? &config->max_transfer_retained_bytes
                    : key == "promotion-lag"     ? &config->max_promotion_lag_bytes
                                                 : nullptr;
  if (field != nullptr) *field = *number;
  return field != nullptr;
}

Lines Scenario::AddNode(const Arguments& a) {
  const auto id = a.empty() ? std::nullopt : ParseNumber(a[0]);
  if (!id.has_value() || world_.Exists(*id)) return Error("node needs a new id");
  GroupConfig config;
  config.self = *id;
  config.seed = *id;
  Disk disk;
  for (size_t i = 1; i < a.size(); ++i) {
    const size_t equals = a[i].find('=');
    if (equals == std::string::npos ||
        !SetNodeOption(a[i].substr(0, equals), a[i].substr(equals + 1), &config, &disk)) {
      return Error("bad option " + a[i]);
    }
  }
  disk.base = disk.applied;
  if (!disk.entries.empty() && disk.entries.front().index <= disk.applied.index) {
    disk.base.index = disk.entries.front().index - 1;
    disk.base.term = 0;  // nobody asks
  }
  const Status status = world_.AddNode(config, std::move(disk));
  return status.ok() ? Lines{} : Lines{"refused: " + status.message()};
}

Lines Scenario::Crash(const Arguments& a) {
  const auto id = RunningNode(a);
  if (!id.has_value()) return Error("crash needs a running node");
  world_.Crash(*id);
  return {};
}

Lines Scenario::Start(const Arguments& a) {
  const auto id = a.empty() ? std::nullopt : ParseNumber(a[0]);
  if (!id.has_value() || !world_.Exists(*id) || world_.Runs(*id)) {
    return Error("start needs a node that crashed");
  }
  const Status status = world_.Start(*id);
  return status.ok() ? Lines{} : Lines{"refused: " + status.message()};
}

Lines Scenario::TickTo(const Arguments& a) {
  const auto id = RunningNode(a);
  if (!id.has_value() || a.size() < 2 || a.size() > 3) return Error("tick ID MS [xN]");
  const bool relative = a[1][0] == '+';
  const auto ms = ParseNumber(std::string_view(a[1]).substr(relative ? 1 : 0));
  const auto times =
      a.size() == 3 && a[2][0] == 'x' ? ParseNumber(a[2].substr(1)) : std::optional<uint64_t>(1);
  if (!ms.has_value() || !times.has_value() || (!relative && a.size() == 3)) {
    return Error("tick ID MS | tick ID +MS [xN]");
  }
  Lines output;
  for (uint64_t i = 0; i < *times; ++i) {
    uint64_t& now_ms = world_.At(*id).now_ms;
    now_ms = relative ? now_ms + *ms : *ms;
    for (std::string& line : StepNode(*id, Tick{now_ms})) output.push_back(std::move(line));
  }
  return output.empty() ? Lines{"-"} : output;
}

Lines Scenario::Timeout(const Arguments& a) {
  const auto id = RunningNode(a);
  if (!id.has_value() || a.size() != 1) return Error("timeout ID");
  Node& node = world_.At(*id);
  const GroupConfig& config = node.config;
  const uint64_t most = 3 * config.election_timeout_ms / config.heartbeat_interval_ms;
  for (uint64_t i = 0; i < most; ++i) {
    node.now_ms += config.heartbeat_interval_ms;
    Lines output = StepNode(*id, Tick{node.now_ms});
    if (!output.empty()) return output;
  }
  return {"-"};
}

Lines Scenario::ProposeText(const Arguments& a) {
  const auto id = RunningNode(a);
  if (!id.has_value() || a.size() != 2) return Error("propose ID TEXT | propose ID size=N");
  std::string payload = a[1];
  if (payload.rfind("size=", 0) == 0) {
    const auto size = ParseNumber(payload.substr(5));
    if (!size.has_value()) return Error("bad size");
    payload.assign(*size, 'x');
  }
  return StepNode(*id, Propose{std::make_shared<const std::string>(payload)});
}

Lines Scenario::Read(const Arguments& a) {
  const auto id = RunningNode(a);
  const auto round = a.size() >= 2 ? ParseNumber(a[1]) : std::nullopt;
  if (!id.has_value() || !round.has_value()) return Error("read ID ROUND [at=MS] [forward]");
  ReadIndex read{.round = *round};
  for (size_t i = 2; i < a.size(); ++i) {
    const auto at = a[i].rfind("at=", 0) == 0 ? ParseNumber(a[i].substr(3)) : std::nullopt;
    if (!at.has_value() && a[i] != "forward") return Error("bad option " + a[i]);
    if (at.has_value()) {
      read.now_ms = *at;
    } else {
      read.forward = true;
    }
  }
  Lines output = StepNode(*id, read);
  return output.empty() ? Lines{"-"} : output;
}

Lines Scenario::Change(const Arguments& a) {
  const auto id = RunningNode(a);
  if (!id.has_value()) return Error("change ID voters=… [learners=…]");
  ChangeMembership change;
  for (size_t i = 1; i < a.size(); ++i) {
    const auto words = Split(a[i], '=');
    const auto ids = words.size() == 2 ? ParseNumbers(words[1]) : std::nullopt;
    if (!ids.has_value() || (words[0] != "voters" && words[0] != "learners")) {
      return Error("bad option " + a[i]);
    }
    (words[0] == "voters" ? change.voters : change.learners) = *ids;
  }
  return StepNode(*id, change);
}

Lines Scenario::Transfer(const Arguments& a) {
  const auto id = RunningNode(a);
  const auto to = a.size() == 2 ? ParseNumber(a[1]) : std::nullopt;
  if (!id.has_value() || !to.has_value()) return Error("transfer ID TO");
  return StepNode(*id, TransferLeadership{*to});
}

Lines Scenario::MoveSnapshot(const Arguments& a) {
  const auto link = a.empty() ? std::nullopt : ParseLink(a[0]);
  const bool crash = a.size() == 2 && a[1] == "crash";
  if (!link.has_value() || !world_.Runs(link->first) || !world_.Runs(link->second) ||
      (a.size() > 1 && !crash)) {
    return Error("snapshot A>B [crash]");
  }
  const auto [from, to] = *link;
  const Snapshot snapshot = world_.TakeSnapshot(from);
  if (!world_.SwitchIn(to, snapshot)) return {"not wanted"};
  if (crash) {
    world_.Crash(to);
    return {};
  }
  return StepNode(
      to, InstallSnapshot{snapshot.last, snapshot.membership, snapshot.term, snapshot.leader});
}

Lines Scenario::Sent(const Arguments& a) {
  const auto link = a.size() == 2 ? ParseLink(a[0]) : std::nullopt;
  if (!link.has_value() || !world_.Runs(link->first)) return Error("sent A>B 5@2");
  const auto position = ParsePosition(a[1]);
  if (!position.has_value() && a[1] != "failed") return Error("sent A>B 5@2");
  Lines output = StepNode(link->first, SnapshotStatus{.peer = link->second,
                                                      .position = position.value_or(LogPosition()),
                                                      .ok = position.has_value()});
  return output.empty() ? Lines{"-"} : output;
}

Lines Scenario::Compaction(const Arguments& a) {
  const auto id = RunningNode(a);
  if (!id.has_value()) return Error("compaction ID");
  const Node& node = world_.At(*id);
  return {"through " + std::to_string(node.group->CompactionIndex(node.disk.applied.index))};
}

Lines Scenario::CompleteDisk(const Arguments& a) {
  const auto id = RunningNode(a);
  if (!id.has_value() || a.size() > 2) return Error("disk ID [N|all]");
  const uint64_t waiting = world_.At(*id).requests.size();
  const auto n = a.size() == 1   ? std::optional<uint64_t>(1)
                 : a[1] == "all" ? std::optional<uint64_t>(waiting)
                                 : ParseNumber(a[1]);
  if (!n.has_value() || *n == 0 || *n > waiting) return Error("not as many writes wait");
  Lines output = Render(*id, [&]() -> const Update& { return world_.CompleteWrites(*id, *n); });
  return output.empty() ? Lines{"-"} : output;
}

Lines Scenario::ReportPersisted(const Arguments& a) {
  const auto id = RunningNode(a);
  const auto sequence = a.size() == 2 ? ParseNumber(a[1]) : std::nullopt;
  if (!id.has_value() || !sequence.has_value()) return Error("persisted ID SEQUENCE");
  const std::vector<Ticket>& tickets = world_.At(*id).tickets;
  if (*sequence == 0 || *sequence > tickets.size()) return Error("no such ticket");
  Lines output = StepNode(*id, Persisted{tickets[*sequence - 1]});
  return output.empty() ? Lines{"-"} : output;
}

Lines Scenario::Flush(const Arguments& a) {
  const auto id = RunningNode(a);
  const auto index = a.size() == 2 ? ParseNumber(a[1]) : std::nullopt;
  if (!id.has_value() || !index.has_value()) return Error("flush ID INDEX");
  if (*index > world_.At(*id).group->applied_index()) return Error("flush of what is not applied");
  world_.Flush(*id, *index);
  return {};
}

Lines Scenario::CompactLog(const Arguments& a) {
  const auto id = RunningNode(a);
  const auto index = a.size() == 2 ? ParseNumber(a[1]) : std::nullopt;
  if (!id.has_value() || !index.has_value()) return Error("compact ID INDEX");
  if (*index > world_.At(*id).disk.applied.index) return Error("compact of what is not flushed");
  Lines output = Render(*id, [&]() -> const Update& { return world_.CompactLog(*id, *index); });
  return output.empty() ? Lines{"-"} : output;
}

std::optional<std::vector<Message>> Scenario::Take(const Arguments& a) {
  if (a.empty() || a.size() > 2) return std::nullopt;
  const auto link = ParseLink(a[0]);
  if (!link.has_value()) return std::nullopt;
  std::deque<Message>& queue = world_.Queue(link->first, link->second);
  uint64_t first = 0;
  uint64_t n = 1;
  if (a.size() == 2 && a[1] == "all") {
    n = queue.size();
  } else if (a.size() == 2) {
    const bool one = a[1][0] == '#';
    const auto number = ParseNumber(a[1].substr(one ? 1 : 0));
    if (!number.has_value() || *number == 0) return std::nullopt;
    first = one ? *number - 1 : 0;
    n = one ? 1 : *number;
  }
  if (n == 0 || first + n > queue.size()) return std::nullopt;
  const auto begin = queue.begin() + static_cast<std::ptrdiff_t>(first);
  const auto end = begin + static_cast<std::ptrdiff_t>(n);
  std::vector<Message> messages(begin, end);
  queue.erase(begin, end);
  return messages;
}

Lines Scenario::Deliver(const Arguments& a) {
  const auto messages = Take(a);
  if (!messages.has_value()) return Error("no such message");
  Lines output;
  for (const Message& message : *messages) {
    if (!world_.Runs(message.to)) return Error("the receiver does not run");
    for (std::string& line : StepNode(message.to, message)) output.push_back(std::move(line));
  }
  return output.empty() ? Lines{"-"} : output;
}

Lines Scenario::Drop(const Arguments& a) {
  return Take(a).has_value() ? Lines{} : Error("no such message");
}

Lines Scenario::Repeat(const Arguments& a) {
  if (a.size() == 2 && a[1][0] != '#') return Error("repeat A>B [#K]");
  const auto messages = Take(a);
  if (!messages.has_value()) return Error("no such message");
  const Message& message = messages->front();
  std::deque<Message>& queue = world_.Queue(message.from, message.to);
  queue.push_front(message);
  queue.push_back(message);
  return {};
}

Lines Scenario::Receive(const Arguments& a) {
  std::string text;
  for (const std::string& word : a) text += word + " ";
  const auto message = ParseMessage(text);
  if (!message.has_value() || !world_.Runs(message->to)) return Error("no such message");
  Lines output = StepNode(message->to, *message);
  return output.empty() ? Lines{"-"} : output;
}

Lines Scenario::Network(const Arguments&) {
  Lines output;
  for (const auto& [link, queue] : world_.network()) {
    for (const Message& message : queue) output.push_back(Show(message));
  }
  return output.empty() ? Lines{"-"} : output;
}

Lines Scenario::Settle(const Arguments&) {
  return world_.Settle() ? Lines{} : Error("does not come to rest");
}

Lines Scenario::ShowNode(const Arguments& a) {
  const auto id = RunningNode(a);
  if (!id.has_value()) return Error("show ID");
  const Group& group = *world_.At(*id).group;
  std::string log;
  for (uint64_t i = group.first_index(); i <= group.last_index(); ++i) {
    log += " " + Show(group.EntryAt(i));
  }
  return {Show(group.standing()),
          "commit=" + std::to_string(group.commit_index()) +
              " durable=" + std::to_string(group.durable_index()) + " applied=" +
              std::to_string(group.applied_index()) + (group.changing() ? " changing" : ""),
          "log" + (log.empty() ? " -" : log)};
}

std::string TrimRight(std::string line) {
  while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.pop_back();
  return line;
}

}  // namespace

ScriptResult RunScript(const std::string& name, const std::string& text) {
  ScriptResult result;
  Scenario scenario;
  Lines source = Split(text, '\n');
  if (!source.empty() && source.back().empty()) source.pop_back();
  size_t commands = 0;
  size_t i = 0;
  const auto fail = [&](size_t line, const std::string& what) {
    result.failures.push_back(name + ":" + std::to_string(line) + ": " + what);
  };
  while (i < source.size()) {
    const std::string line = TrimRight(source[i++]);
    result.rewritten += line + "\n";
    if (line.empty() || line[0] == '#') continue;
    if (line.rfind("> ", 0) != 0) {
      fail(i, "neither a command nor a comment nor the output of a command: " + line);
      continue;
    }
    ++commands;
    const size_t line_number = i;
    Lines expected;
    while (i < source.size() && source[i].rfind("  ", 0) == 0) {
      expected.push_back(TrimRight(source[i++]).substr(2));
    }
    const Lines output = scenario.Run(line.substr(2));
    for (const std::string& out : output) result.rewritten += "  " + out + "\n";
    for (size_t k = 0; k < std::max(output.size(), expected.size()); ++k) {
      const std::string want = k < expected.size() ? expected[k] : "(nothing)";
      const std::string have = k < output.size() ? output[k] : "(nothing)";
      if (have.rfind("error:", 0) == 0) {
        fail(line_number, have);
      } else if (want != have) {
        fail(line_number,
             "`" + line.substr(2) + "` expected \"" + want + "\", got \"" + have + "\"");
      }
    }
  }
  if (commands == 0) fail(0, "no command in it");
  for (const std::string& violation : scenario.world().violations()) fail(0, violation);
  return result;
}

}  // namespace holdfast::raft::testing
