#include "text.h"

#include <charconv>
#include <utility>

#include "raft/membership.h"

namespace holdfast::raft::testing {

namespace {

constexpr std::pair<MessageKind, std::string_view> kMessageNames[] = {
    {MessageKind::kPreVote, "pre-vote"},
    {MessageKind::kPreVoteReply, "pre-vote-reply"},
    {MessageKind::kVote, "vote"},
    {MessageKind::kVoteReply, "vote-reply"},
    {MessageKind::kAppend, "append"},
    {MessageKind::kAppendReply, "append-reply"},
    {MessageKind::kHeartbeat, "heartbeat"},
    {MessageKind::kHeartbeatReply, "heartbeat-reply"},
    {MessageKind::kTimeoutNow, "timeout-now"},
    {MessageKind::kReadIndex, "read-index"},
    {MessageKind::kReadIndexReply, "read-index-reply"},
};

std::string Number(uint64_t value) { return std::to_string(value); }

std::string ShowEntries(const std::vector<Entry>& entries) {
  std::string text;
  for (const Entry& entry : entries) text += (text.empty() ? "" : ",") + Show(entry);
  return text;
}

std::string ShowNodes(const std::vector<NodeId>& nodes) {
  std::string text;
  for (const NodeId node : nodes) text += (text.empty() ? "" : ".") + Number(node);
  return text;
}

// 1.2/1/3
std::optional<Membership> ParseMembership(std::string_view text) {
  const std::vector<std::string> lists = Split(text, '/');
  if (lists.size() != 3) return std::nullopt;
  Membership membership;
  std::vector<NodeId>* const into[] = {&membership.voters, &membership.outgoing,
                                       &membership.learners};
  for (size_t i = 0; i < 3; ++i) {
    if (lists[i].empty()) continue;
    for (const std::string& part : Split(lists[i], '.')) {
      const auto node = ParseNumber(part);
      if (!node.has_value()) return std::nullopt;
      into[i]->push_back(*node);
    }
  }
  return membership;
}

bool ParseMessageField(std::string_view key, std::string_view value, Message* message) {
  if (key == "granted" || key == "rejected") {
    message->rejected = key == "rejected";
    if (value.empty()) return true;
    const auto index = ParseNumber(value);
    message->position.index = index.value_or(0);
    return index.has_value();
  }
  if (key == "transfer") {
    message->transfer = true;
    return value.empty();
  }
  if (key == "last" || key == "prev" || key == "hint") {
    const auto position = ParsePosition(value);
    (key == "hint" ? message->hint : message->position) = position.value_or(LogPosition());
    return position.has_value();
  }
  if (key == "entries") {
    auto entries = ParseEntries(value);
    if (entries.has_value()) message->entries = std::move(*entries);
    return entries.has_value();
  }
  const auto number = ParseNumber(value);
  if (!number.has_value()) return false;
  if (key == "term") {
    message->term = *number;
  } else if (key == "commit") {
    message->commit = *number;
  } else if (key == "round") {
    message->round = *number;
  } else if (key == "sent") {
    message->sent_ms = *number;
  } else if (key == "promise") {
    message->promise_ms = *number;
  } else if (key == "match") {
    message->position.index = *number;
  } else {
    return false;
  }
  return true;
}

}  // namespace

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  for (std::string& word : Split(text, ' ')) {
    if (!word.empty()) words.push_back(std::move(word));
  }
  return words;
}

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::vector<uint64_t>> ParseNumbers(std::string_view text) {
  std::vector<uint64_t> numbers;
  for (const std::string& part : Split(text, ',')) {
    const auto number = ParseNumber(part);
    if (!number.has_value()) return std::nullopt;
    numbers.push_back(*number);
  }
  return numbers;
}

std::optional<LogPosition> ParsePosition(std::string_view text) {
  const size_t at = text.find('@');
  if (at == std::string_view::npos) return std::nullopt;
  const auto index = ParseNumber(text.substr(0, at));
  const auto term = ParseNumber(text.substr(at + 1));
  if (!index.has_value() || !term.has_value()) return std::nullopt;
  return LogPosition{.index = *index, .term = *term};
}

std::optional<Entry> ParseEntry(std::string_view text) {
  const size_t colon = text.find(':');
  const auto position = ParsePosition(text.substr(0, colon));
  if (!position.has_value()) return std::nullopt;
  Entry entry{.term = position->term,
              .index = position->index,
              .kind = EntryKind::kData,
              .payload = nullptr};
  if (colon == std::string_view::npos) return entry;
  const std::string_view payload = text.substr(colon + 1);
  if (payload == "(noop)") {
    entry.kind = EntryKind::kNoop;
  } else if (payload.size() > 2 && payload.front() == '[' && payload.back() == ']') {
    const auto membership = ParseMembership(payload.substr(1, payload.size() - 2));
    if (!membership.has_value()) return std::nullopt;
    entry.kind = EntryKind::kConfiguration;
    entry.payload = std::make_shared<const std::string>(EncodeMembership(*membership));
  } else {
    entry.payload = std::make_shared<const std::string>(payload);
  }
  return entry;
}

std::optional<std::vector<Entry>> ParseEntries(std::string_view text) {
  std::vector<Entry> entries;
  for (const std::string& part : Split(text, ',')) {
    auto entry = ParseEntry(part);
    if (!entry.has_value()) return std::nullopt;
    entries.push_back(std::move(*entry));
  }
  return entries;
}

std::optional<Message> ParseMessage(std::string_view text) {
  const std::vector<std::string> words = Words(text);
  if (words.size() < 2) return std::nullopt;
  Message message;
  bool known = false;
  for (const auto& [kind, name] : kMessageNames) {
    if (name != words[0]) continue;
    message.kind = kind;
    known = true;
  }
  const std::vector<std::string> ends = Split(words[1], '>');
  if (!known || ends.size() != 2) return std::nullopt;
  const auto from = ParseNumber(ends[0]);
  const auto to = ParseNumber(ends[1]);
  if (!from.has_value() || !to.has_value()) return std::nullopt;
  message.from = *from;
  message.to = *to;
  for (size_t i = 2; i < words.size(); ++i) {
    const size_t equals = words[i].find('=');
    const std::string_view word = words[i];
    const std::string_view value =
        equals == std::string::npos ? std::string_view() : word.substr(equals + 1);
    if (!ParseMessageField(word.substr(0, equals), value, &message)) return std::nullopt;
  }
  return message;
}

std::string Show(LogPosition position) {
  return Number(position.index) + "@" + Number(position.term);
}

std::string Show(const Membership& membership) {
  return ShowNodes(membership.voters) + "/" + ShowNodes(membership.outgoing) + "/" +
         ShowNodes(membership.learners);
}

std::string Show(const Entry& entry) {
  std::string text = Show(LogPosition{.index = entry.index, .term = entry.term});
  if (entry.kind == EntryKind::kNoop) return text + ":(noop)";
  if (entry.payload == nullptr || entry.payload->empty()) return text;
  if (entry.kind == EntryKind::kConfiguration) {
    const auto membership = DecodeMembership(*entry.payload);
    return text + (membership.ok() ? ":[" + Show(membership.value()) + "]" : ":[damaged]");
  }
  if (entry.payload->size() > 20) return text + ":<" + Number(entry.payload->size()) + ">";
  return text + ":" + *entry.payload;
}

std::string Show(const Message& message) {
  std::string text;
  for (const auto& [kind, name] : kMessageNames) {
    if (kind == message.kind) text = name;
  }
  text += " " + Number(message.from) + ">" + Number(message.to) + " term=" + Number(message.term);
  switch (message.kind) {
    case MessageKind::kPreVote:
    case MessageKind::kVote:
      text += " last=" + Show(message.position) + (message.transfer ? " transfer" : "");
      break;
    case MessageKind::kPreVoteReply:
    case MessageKind::kVoteReply:
      text += message.rejected ? " rejected" : " granted";
      break;
    case MessageKind::kAppend:
      text += " prev=" + Show(message.position) + " commit=" + Number(message.commit);
      if (!message.entries.empty()) text += " entries=" + ShowEntries(message.entries);
      break;
    case MessageKind::kAppendReply:
      if (message.rejected) {
        text += " rejected=" + Number(message.position.index) + " hint=" + Show(message.hint);
      } else {
        text += " match=" + Number(message.position.index);
      }
      break;
    case MessageKind::kHeartbeat:
      text += " commit=" + Number(message.commit) + " round=" + Number(message.round);
      if (message.sent_ms != 0) text += " sent=" + Number(message.sent_ms);
      break;
    case MessageKind::kHeartbeatReply:
      text += " round=" + Number(message.round);
      if (message.sent_ms != 0) text += " sent=" + Number(message.sent_ms);
      if (message.promise_ms != 0) text += " promise=" + Number(message.promise_ms);
      break;
    case MessageKind::kTimeoutNow:
      text += " last=" + Show(message.position);
      break;
    case MessageKind::kReadIndex:
      text += " round=" + Number(message.round);
      break;
    case MessageKind::kReadIndexReply:
      text += " round=" + Number(message.round) +
              (message.rejected ? " rejected" : " commit=" + Number(message.commit));
      break;
  }
  return text;
}

std::string Show(const Standing& standing) {
  std::string text;
  switch (standing.role) {
    case Role::kFollower:
      text = "follower";
      break;
    case Role::kPreCandidate:
      text = "pre-candidate";
      break;
    case Role::kCandidate:
      text = "candidate";
      break;
    case Role::kLeader:
      text = "leader";
      break;
  }
  text += " term=" + Number(standing.term);
  if (standing.leader != kNoNode) text += " leader=" + Number(standing.leader);
  if (standing.ready) text += " ready";
  if (standing.transferring_to != kNoNode) {
    text += " transferring-to=" + Number(standing.transferring_to);
  }
  return text;
}

std::string Show(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNone:
      return "none";
    case Refusal::kNotLeader:
      return "not-leader";
    case Refusal::kUncommitted:
      return "uncommitted";
    case Refusal::kTooMany:
      return "too-many";
    case Refusal::kTransferring:
      return "transferring";
    case Refusal::kChanging:
      return "changing";
    case Refusal::kNotCaughtUp:
      return "not-caught-up";
    case Refusal::kInvalid:
      return "invalid";
    case Refusal::kNoAnswer:
      return "no-answer";
  }
  return "unknown";
}

std::vector<std::string> Show(const Update& update, uint64_t commit_before,
                              const Membership& membership) {
  std::vector<std::string> lines;
  if (update.proposal.has_value()) {
    const Proposal& proposal = *update.proposal;
    lines.push_back(proposal.accepted() ? "proposal " + Show(LogPosition{.index = proposal.index,
                                                                         .term = proposal.term})
                                        : "proposal refused: " + Show(proposal.refusal));
  }
  if (update.hard_state.has_value()) {
    lines.push_back("hard-state term=" + Number(update.hard_state->term) +
                    " vote=" + Number(update.hard_state->voted_for));
  }
  if (update.transfer.has_value()) {
    lines.push_back(*update.transfer == Refusal::kNone
                        ? "transfer under way"
                        : "transfer refused: " + Show(*update.transfer));
  }
  if (update.installed.has_value()) lines.push_back("installed " + Show(*update.installed));
  if (update.reset.has_value()) lines.push_back("reset " + Show(*update.reset));
  if (!update.append.empty()) lines.push_back("append " + ShowEntries(update.append));
  if (update.ticket.has_value()) {
    lines.push_back("persist #" + Number(update.ticket->sequence) + " term=" +
                    Number(update.ticket->hard_state.term) + " last=" + Show(update.ticket->last));
  }
  if (update.membership_changed) lines.push_back("membership " + Show(membership));
  for (const NodeId peer : update.snapshots_to_send) {
    lines.push_back("snapshot to " + Number(peer));
  }
  for (const Outgoing& outgoing : update.messages) {
    lines.push_back("send " + Show(outgoing.message) +
                    (outgoing.after == 0 ? std::string() : " after=#" + Number(outgoing.after)));
  }
  if (update.commit_index != commit_before) {
    lines.push_back("commit " + Number(update.commit_index));
  }
  if (update.has_apply()) {
    lines.push_back("apply " + Number(update.apply_first) + ".." + Number(update.apply_last));
  }
  for (const ReadAnswer& read : update.reads) {
    lines.push_back("read " + Number(read.round) +
                    (read.confirmed()
                         ? " confirmed term=" + Number(read.term) + " index=" + Number(read.index)
                         : " refused: " + Show(read.refusal)));
  }
  if (update.standing.has_value()) lines.push_back("standing " + Show(*update.standing));
  return lines;
}

}  // namespace holdfast::raft::testing
