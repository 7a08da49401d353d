// Random raft messages, for what carries them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/rng.h"
#include "raft/types.h"

namespace holdfast::replica {

inline constexpr std::array kMessageKinds = {
    raft::MessageKind::kPreVote,        raft::MessageKind::kPreVoteReply,
    raft::MessageKind::kVote,           raft::MessageKind::kVoteReply,
    raft::MessageKind::kAppend,         raft::MessageKind::kAppendReply,
    raft::MessageKind::kHeartbeat,      raft::MessageKind::kHeartbeatReply,
    raft::MessageKind::kTimeoutNow,     raft::MessageKind::kReadIndex,
    raft::MessageKind::kReadIndexReply,
};
inline constexpr std::array kEntryKinds = {raft::EntryKind::kNoop, raft::EntryKind::kData,
                                           raft::EntryKind::kConfiguration};

inline raft::Payload Payload(std::string_view bytes) {
  return std::make_shared<const std::string>(bytes);
}

// Of every length, often 0.
inline uint64_t RandomNumber(Rng* rng) { return rng->Next() >> rng->Below(64) >> rng->Below(2); }

inline raft::Message RandomMessage(Rng* rng) {
  raft::Message message;
  const auto number = [rng] { return rng->Chance(1, 3) ? 0 : RandomNumber(rng); };
  message.kind = kMessageKinds[rng->Below(kMessageKinds.size())];
  message.rejected = rng->Chance(1, 2);
  message.transfer = rng->Chance(1, 2);
  message.from = number();
  message.to = number();
  message.term = number();
  message.position = {.index = number(), .term = number()};
  message.hint = {.index = number(), .term = number()};
  message.commit = number();
  message.round = number();
  message.sent_ms = number();
  message.promise_ms = number();
  for (uint64_t n = rng->Chance(1, 2) ? 0 : rng->Below(6); n > 0; --n) {
    raft::Entry entry;
    entry.term = number();
    entry.index = number();
    entry.kind = kEntryKinds[rng->Below(kEntryKinds.size())];
    if (rng->Chance(2, 3)) {
      entry.payload = Payload(std::string(rng->Below(300), static_cast<char>(rng->Below(256))));
    }
    message.entries.push_back(std::move(entry));
  }
  return message;
}

// Every field is compared; an empty payload is the same as none.
inline bool Same(const raft::Message& a, const raft::Message& b) {
  const auto same_entry = [](const raft::Entry& x, const raft::Entry& y) {
    const std::string_view left = x.payload == nullptr ? std::string_view() : *x.payload;
    const std::string_view right = y.payload == nullptr ? std::string_view() : *y.payload;
    return x.term == y.term && x.index == y.index && x.kind == y.kind && left == right;
  };
  if (a.entries.size() != b.entries.size()) return false;
  for (size_t i = 0; i < a.entries.size(); ++i) {
    if (!same_entry(a.entries[i], b.entries[i])) return false;
  }
  return a.kind == b.kind && a.rejected == b.rejected && a.from == b.from && a.to == b.to &&
         a.term == b.term && a.position == b.position && a.hint == b.hint && a.commit == b.commit &&
         a.round == b.round && a.transfer == b.transfer && a.sent_ms == b.sent_ms &&
         a.promise_ms == b.promise_ms;
}

}  // namespace holdfast::replica
