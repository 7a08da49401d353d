#include "truth.h"

#include <algorithm>

#include "base/hash.h"
#include "data/effect.h"
#include "raft/membership.h"

namespace holdfast::sim {
namespace {

std::string Text(raft::LogPosition position) {
  return std::to_string(position.index) + " of term " + std::to_string(position.term);
}

std::string_view Bytes(const raft::Entry& entry) {
  return entry.payload == nullptr ? std::string_view() : std::string_view(*entry.payload);
}

}  // namespace

Truth::Truth(uint32_t partitions, raft::Membership founding, Report* report)
    : report_(report), clock_(kRevisionEpochMs), groups_(partitions) {
  for (uint32_t p = 0; p < partitions; ++p) {
    groups_[p].keyspace = EmptyKeyspace(p, partitions, &clock_);
    groups_[p].states.push_back(Hash64(Dump(*groups_[p].keyspace)));
    groups_[p].memberships[0] = founding;
  }
}

void Truth::Violation(uint32_t partition, raft::NodeId node, const std::string& what) {
  report_->Violation("partition " + std::to_string(partition) + ", node " + std::to_string(node) +
                     ": " + what);
}

uint64_t Truth::terms() const {
  uint64_t terms = 0;
  for (const Group& group : groups_) terms += group.leaders.size();
  return terms;
}

void Truth::Booted(const Node& node) {
  const raft::NodeId id = node.options().id;
  for (uint32_t p = 0; p < groups_.size(); ++p) {
    Group& group = groups_[p];
    Known& known = known_[{id, p}];
    const raft::LogPosition applied = node.recovered_applied(p);
    // A snapshot that took the store's place just before that may rightly drop the log.
    const bool switched = known.frozen && applied.index > known.stored;
    if (!switched && node.recovered_index(p) < known.durable) {
      Violation(p, id,
                "was durable up to " + std::to_string(known.durable) + ", recovered up to " +
                    std::to_string(node.recovered_index(p)));
    }
    const raft::HardState& hard_state = node.recovered_hard_state(p);
    const auto vote = known.votes.find(hard_state.term);
    if (hard_state.term < known.term) {
      Violation(p, id,
                "has spoken of term " + std::to_string(known.term) + ", and recovered term " +
                    std::to_string(hard_state.term));
    } else if (vote != known.votes.end() && vote->second != hard_state.voted_for) {
      Violation(p, id, "has forgotten its vote of term " + std::to_string(hard_state.term));
    }
    known.watched = applied.index;
    if (applied.index > group.entries.size()) {
      Violation(p, id, "has applied " + Text(applied) + ", which nobody has committed");
      continue;
    }
    if (applied.index > 0 && group.entries[applied.index - 1].term != applied.term) {
      Violation(p, id,
                "has applied " + Text(applied) + ", but committed was term " +
                    std::to_string(group.entries[applied.index - 1].term));
    }
    const auto membership = std::prev(group.memberships.upper_bound(applied.index));
    // A node that was never reached has its founding members, whatever they are.
    if (membership->first > 0 && node.recovered_membership(p) != membership->second) {
      Violation(
          p, id,
          "has stored another membership than that of entry " + std::to_string(membership->first));
    }
  }
  Watch(node);
  CompareState(node);
}

void Truth::Watch(const Node& node) {
  const raft::NodeId id = node.options().id;
  for (uint32_t p = 0; p < groups_.size(); ++p) {
    const raft::Group& raft = node.group(p);
    Known& known = known_[{id, p}];
    if (raft.role() == raft::Role::kLeader) {
      const auto [it, fresh] = groups_[p].leaders.emplace(raft.term(), id);
      if (!fresh && it->second != id) {
        Violation(p, id,
                  "leads term " + std::to_string(raft.term()) + ", as does node " +
                      std::to_string(it->second));
      }
    }
    known.durable = raft.durable_index();
    known.stored = node.stored_index(p);
    known.frozen = node.host()->replicas()[p]->frozen();
    if (raft.commit_index() < known.watched) Violation(p, id, "the commit index went back");
    while (known.watched < raft.commit_index()) WatchCommit(p, node, ++known.watched);
  }
}

void Truth::WatchCommit(uint32_t partition, const Node& node, uint64_t index) {
  const raft::NodeId id = node.options().id;
  Group& group = groups_[partition];
  const raft::Group& raft = node.group(partition);
  if (index < raft.first_index()) {
    // It came by a snapshot.
    if (index > group.entries.size()) {
      Violation(partition, id,
                "counts an entry as committed that nobody has: " + std::to_string(index));
    }
    return;
  }
  const raft::Entry& entry = raft.EntryAt(index);
  if (index == group.entries.size() + 1) {
    Append(partition, entry);
    return;
  }
  if (index > group.entries.size()) {
    Violation(partition, id, "commits behind a gap: " + Text({index, entry.term}));
    return;
  }
  const raft::Entry& committed = group.entries[index - 1];
  if (committed.term != entry.term || committed.kind != entry.kind ||
      Bytes(committed) != Bytes(entry)) {
    Violation(partition, id,
              "commits another entry than there was: " + Text({index, entry.term}) + ", not term " +
                  std::to_string(committed.term));
  }
}

void Truth::Append(uint32_t partition, const raft::Entry& entry) {
  Group& group = groups_[partition];
  group.entries.push_back(entry);
  uint64_t state = group.states.back();
  if (entry.kind == raft::EntryKind::kData) {
    CheckRevisions(partition, entry);
    const Status applied = group.keyspace->ApplyPayload(Bytes(entry));
    if (!applied.ok()) {
      Violation(
          partition, raft::kNoNode,
          "entry " + Text({entry.index, entry.term}) + " can't be applied: " + applied.message());
    }
    state = Hash64(Dump(*group.keyspace));
  } else if (entry.kind == raft::EntryKind::kConfiguration) {
    group.memberships[entry.index] = raft::DecodeMembership(Bytes(entry)).value();
  }
  group.states.push_back(state);
}

void Truth::CheckRevisions(uint32_t partition, const raft::Entry& entry) {
  Group& group = groups_[partition];
  const Status status = data::ForEachEffect(Bytes(entry), [&](const data::Effect& effect) {
    const uint64_t revision = effect.meta.revision;
    // EXTEND keeps the revision that the key has.
    uint64_t& latest = group.revisions[std::string(effect.record_key)];
    if (effect.kind != data::EffectKind::kDelete && revision == latest) return Status::Ok();
    latest = revision;
    if (revision <= group.revision) {
      Violation(partition, raft::kNoNode,
                "revision " + std::to_string(revision) + " of entry " +
                    Text({entry.index, entry.term}) + " comes behind " +
                    std::to_string(group.revision));
    }
    group.revision = std::max(group.revision, revision);
    return Status::Ok();
  });
  if (!status.ok()) Violation(partition, raft::kNoNode, "an entry is damaged");
}

void Truth::Sent(uint32_t partition, const raft::Message& message) {
  // A pre-vote is about a term that nobody is in.
  if (message.kind == raft::MessageKind::kPreVote ||
      message.kind == raft::MessageKind::kPreVoteReply) {
    return;
  }
  Known& known = known_[{message.from, partition}];
  known.term = std::max(known.term, message.term);
  raft::NodeId vote = raft::kNoNode;
  if (message.kind == raft::MessageKind::kVote) vote = message.from;
  if (message.kind == raft::MessageKind::kVoteReply && !message.rejected) vote = message.to;
  if (vote == raft::kNoNode) return;
  const auto [it, fresh] = known.votes.emplace(message.term, vote);
  if (!fresh && it->second != vote) {
    Violation(partition, message.from, "votes twice in term " + std::to_string(message.term));
  }
}

void Truth::CompareState(const Node& node) {
  for (uint32_t p = 0; p < groups_.size(); ++p) {
    const engine::Partition* const partition = node.partition(p);
    const uint64_t applied = partition->applied_index();
    const bool idle_leader = partition->ready() && partition->memory_end() == applied;
    if (!partition->follows() && !idle_leader) continue;
    if (applied >= groups_[p].states.size()) continue;  // a violation already
    const std::optional<std::string> state = node.DumpOf(p);
    if (!state.has_value()) continue;
    ++(*report_)[Count::kStatesCompared];
    if (Hash64(*state) != groups_[p].states[applied]) {
      Violation(p, node.options().id,
                "its state at entry " + std::to_string(applied) + " is not what the entries make");
    }
  }
}

}  // namespace holdfast::sim
