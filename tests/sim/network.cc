// Between the nodes, and between them and the clients.
#include <algorithm>

#include "base/check.h"
#include "raft/membership.h"
#include "replica/message_codec.h"
#include "replica/snapshot_items.h"
#include "snapshots.h"
#include "world.h"

namespace holdfast::sim {
namespace {

constexpr uint64_t kClientLatencyUs = 1000;
constexpr size_t kOldFrames = 200;

}  // namespace

// ---- Leaving

void World::Machine::Send(uint32_t partition, const raft::Message& message) {
  CHECK(message.to != raft::kNoNode && message.from == id_);
  world_->truth_->Sent(partition, message);
  ++world_->report_[Count::kMessages];
  const size_t size = replica::EncodedMessageSize(partition, message);
  std::string* const item = outbox_[message.to].Add(replica::ItemKind::kRaft, size);
  replica::AppendMessage(item, partition, message);
  if (world_->weather_.items_alone) Flush();
}

bool World::Machine::SendItem(raft::NodeId to, replica::ItemKind kind, std::string_view bytes) {
  replica::FrameWriter writer;
  writer.Add(kind, bytes.size())->append(bytes);
  world_->SendInOrder({{id_, to}, std::string(writer.Finish(0))});
  return true;
}

void World::Machine::Flush() {
  uint64_t clock = 0;
  for (uint32_t p = 0; p < node_->partitions(); ++p) {
    if (node_->partition(p) != nullptr) {
      clock = std::max(clock, node_->partition(p)->last_revision());
    }
  }
  for (auto& [to, writer] : outbox_) {
    if (!writer.empty()) world_->SendRaft({{id_, to}, std::string(writer.Finish(clock))});
  }
}

void World::Machine::Deliver(const engine::ReplyAddress& address, std::string reply) {
  world_->SendReply(id_, address, std::move(reply));
}

uint64_t World::Latency() {
  uint64_t us = 20 + rng_.Below(weather_.latency_us);
  if (rng_.Below(1000) < weather_.late_per_mille) us += rng_.Below(weather_.late_us);
  return us;
}

void World::SendRaft(Frame frame) {
  if (frame.link.second > machines_.size()) return;
  if (cut_.contains(frame.link) || rng_.Below(1000) < weather_.loss_per_mille) {
    ++report_[Count::kMessagesLost];
    return;
  }
  if (old_frames_.size() < kOldFrames) {
    old_frames_.push_back(frame);
  } else if (rng_.Chance(1, 10)) {
    old_frames_[rng_.Below(kOldFrames)] = frame;
  }
  if (rng_.Below(1000) < weather_.repeat_per_mille) {
    ++report_[Count::kMessagesRepeated];
    After(Latency(), [this, frame] { Arrive(frame); });
  }
  After(Latency(), [this, frame = std::move(frame)] { Arrive(frame); });
}

void World::SendInOrder(Frame frame) {
  if (cut_.contains(frame.link) || rng_.Below(1000) < weather_.loss_per_mille) {
    ++report_[Count::kMessagesLost];
    return;
  }
  uint64_t& last_us = in_order_us_[frame.link];
  last_us = std::max(last_us + 1, now_us_ + Latency());
  After(last_us - now_us_, [this, frame = std::move(frame)] { Arrive(frame); });
}

// ---- Arriving

void World::Arrive(const Frame& frame) {
  Machine& machine = At(frame.link.second);
  if (machine.node() == nullptr || cut_.contains(frame.link)) {
    ++report_[Count::kMessagesLost];
    return;
  }
  machine.Later(
      0,
      [this, &machine, frame](Node* node) {
        replica::FrameHeader header;
        if (!replica::CheckFrame(frame.bytes, &header).ok()) {
          report_.Violation("a frame arrives damaged");
          return;
        }
        if (header.clock > 0) {
          for (uint32_t p = 0; p < node->partitions(); ++p) {
            node->partition(p)->ObserveRevision(header.clock);
          }
        }
        replica::ForEachItem(frame.bytes, [&](replica::ItemKind kind, std::string_view bytes) {
          DeliverItem(&machine, frame.link.first, kind, bytes);
          return true;
        });
      },
      Machine::Way::kPeers);
}

void World::DeliverItem(Machine* machine, raft::NodeId from, replica::ItemKind kind,
                        std::string_view bytes) {
  bool fine = true;
  if (kind == replica::ItemKind::kRaft) {
    uint32_t partition = 0;
    raft::Message message;
    fine = replica::DecodeMessage(bytes, &partition, &message).ok();
    if (fine) DeliverMessage(machine, partition, std::move(message));
  } else if (kind == replica::ItemKind::kSnapshot) {
    replica::SnapshotItem item;
    fine = replica::DecodeSnapshotItem(bytes, &item).ok();
    if (fine) machine->node()->snapshots()->OnItem(from, std::move(item));
  } else {
    replica::SnapshotAck ack;
    fine = replica::DecodeSnapshotAck(bytes, &ack).ok();
    if (fine) machine->node()->snapshots()->OnAck(from, ack);
  }
  if (!fine) report_.Violation("an item can't be decoded");
}

void World::DeliverMessage(Machine* machine, uint32_t partition, raft::Message message) {
  if (mutant_ != Mutant::kNone && !Distort(machine, partition, &message)) return;
  machine->node()->host()->Deliver(partition, std::move(message));
}

// ---- Mutants

void World::Forge(const raft::Message& asked, uint32_t partition, raft::Message reply) {
  reply.from = asked.to;
  reply.to = asked.from;
  replica::FrameWriter writer;
  replica::AppendMessage(
      writer.Add(replica::ItemKind::kRaft, replica::EncodedMessageSize(partition, reply)),
      partition, reply);
  SendRaft({{reply.from, reply.to}, std::string(writer.Finish(0))});
}

bool World::Distort(Machine* machine, uint32_t partition, raft::Message* message) {
  const raft::Group& group = machine->node()->group(partition);
  const bool append = message->kind == raft::MessageKind::kAppend;
  switch (mutant_) {
    case Mutant::kCommitAhead:
      if (append || message->kind == raft::MessageKind::kHeartbeat) {
        message->commit =
            std::max(message->commit, message->position.index + message->entries.size());
        if (!append) message->commit = group.last_index();
      }
      return true;
    case Mutant::kEntryTermWrong:
      for (raft::Entry& entry : message->entries) entry.term = message->term;
      return true;
    case Mutant::kEntryLost:
      if (append && message->entries.size() > 1) {
        raft::Message reply;
        reply.kind = raft::MessageKind::kAppendReply;
        reply.term = message->term;
        reply.position.index = message->entries.back().index;
        message->entries.pop_back();
        Forge(*message, partition, std::move(reply));
      }
      return true;
    case Mutant::kConfirmedUnread:
      if (append && !message->entries.empty()) {
        raft::Message reply;
        reply.kind = raft::MessageKind::kAppendReply;
        reply.term = message->term;
        reply.position.index = message->entries.back().index;
        Forge(*message, partition, std::move(reply));
      }
      return true;
    case Mutant::kRejectionTurned:
      if (message->kind == raft::MessageKind::kAppendReply && message->rejected) {
        message->rejected = false;
        message->hint = {};
      }
      return true;
    case Mutant::kVoteTwice:
      if (message->kind == raft::MessageKind::kVote) {
        raft::Message reply;
        reply.kind = raft::MessageKind::kVoteReply;
        reply.term = message->term;
        Forge(*message, partition, std::move(reply));
        return false;
      }
      return true;
    case Mutant::kJointSkipped:
      for (raft::Entry& entry : message->entries) {
        if (entry.kind != raft::EntryKind::kConfiguration) continue;
        raft::Membership members = raft::DecodeMembership(*entry.payload).value();
        members.outgoing.clear();
        entry.payload = std::make_shared<const std::string>(raft::EncodeMembership(members));
      }
      return true;
    default:
      return true;
  }
}

// ---- Clients

void World::SendRequest(raft::NodeId node, const Request& request,
                        const engine::ReplyAddress& address) {
  if (rng_.Below(1000) < weather_.loss_per_mille / 4) return;
  const int times = mutant_ == Mutant::kRequestsTwice && rng_.Chance(1, 10) ? 2 : 1;
  for (int i = 0; i < times; ++i) {
    After(1 + rng_.Below(kClientLatencyUs), [this, node, request, address] {
      Machine& machine = At(node);
      if (machine.node() == nullptr) {
        After(1 + rng_.Below(kClientLatencyUs), [this, address] { clients_->OnRefused(address); });
        return;
      }
      machine.Later(
          0,
          [request, address](Node* at) {
            at->Serve(request.partition, request.db, request.commands, address);
          },
          Machine::Way::kClients);
    });
  }
}

void World::SendReply(raft::NodeId from, const engine::ReplyAddress& address, std::string bytes) {
  if (rng_.Below(1000) < weather_.loss_per_mille / 4) return;
  After(1 + rng_.Below(kClientLatencyUs), [this, from, address, bytes = std::move(bytes)] {
    clients_->OnReply(address, bytes, from);
  });
}

}  // namespace holdfast::sim
