#include "engine/gather.h"

#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "base/numbers.h"
#include "data/table.h"
#include "engine/engine.h"
#include "engine/errors.h"
#include "resp/writer.h"

namespace holdfast::engine {
namespace {

// The header line of a reply: its type, number and length with CRLF. The replies are our own.
int64_t HeaderNumber(std::string_view reply, size_t* length) {
  const size_t end = reply.find('\r');
  CHECK(end != std::string_view::npos);
  int64_t number = 0;
  std::from_chars(reply.data() + 1, reply.data() + end, number);
  *length = end + 2;
  return number;
}

// Length of the bulk, null or simple reply at the front.
size_t ElementLength(std::string_view reply) {
  size_t length;
  const int64_t number = HeaderNumber(reply, &length);
  return reply[0] == '$' && number >= 0 ? length + static_cast<size_t>(number) + 2 : length;
}

// What one partition is asked, and where its keys were in the request.
struct Part {
  uint32_t partition;
  OwnedArgs args;
  std::vector<size_t> order;  // positions of its keys among all keys
};

struct Spread {
  const Command* command;
  int protocol;
  uint64_t client;
  uint64_t slot;
  size_t keys = 0;
  std::vector<Part> parts;
  std::vector<std::string> replies;
  size_t missing = 0;
};

std::string MergeArraysInOrder(const Spread& spread) {
  std::vector<std::string_view> elements(spread.keys);
  for (size_t p = 0; p < spread.parts.size(); ++p) {
    size_t header;
    HeaderNumber(spread.replies[p], &header);
    std::string_view rest = std::string_view(spread.replies[p]).substr(header);
    for (const size_t at : spread.parts[p].order) {
      const size_t length = ElementLength(rest);
      elements[at] = rest.substr(0, length);
      rest.remove_prefix(length);
    }
  }
  std::string merged;
  resp::Writer(&merged, spread.protocol).Array(elements.size());
  for (const std::string_view element : elements) merged.append(element);
  return merged;
}

std::string AnyOk(const std::vector<std::string>& replies) {
  const std::string* best = &replies[0];
  for (const std::string& reply : replies) {
    if (reply[0] != '-') return reply;
    if (!reply.starts_with("-NOTBUSY")) best = &reply;
  }
  return *best;
}

std::string MergeReplies(const Spread& spread) {
  if (spread.command->merge == Merge::kAnyOk) return AnyOk(spread.replies);
  for (const std::string& reply : spread.replies) {
    if (reply[0] == '-') return reply;
  }
  std::string merged;
  resp::Writer writer(&merged, spread.protocol);
  size_t header;
  switch (spread.command->merge) {
    case Merge::kSumIntegers: {
      int64_t sum = 0;
      for (const std::string& reply : spread.replies) sum += HeaderNumber(reply, &header);
      writer.Integer(sum);
      return merged;
    }
    case Merge::kConcatArrays: {
      int64_t count = 0;
      for (const std::string& reply : spread.replies) count += HeaderNumber(reply, &header);
      writer.Array(static_cast<size_t>(count));
      for (const std::string& reply : spread.replies) {
        HeaderNumber(reply, &header);
        merged.append(reply, header);
      }
      return merged;
    }
    case Merge::kFirstNonNil: {
      // Begins at a different partition each time, so that none is preferred.
      const size_t start = spread.slot % spread.replies.size();
      for (size_t i = 0; i < spread.replies.size(); ++i) {
        const std::string& reply = spread.replies[(start + i) % spread.replies.size()];
        if (reply[0] == '$' && reply[1] != '-') return reply;
      }
      return spread.replies[0];
    }
    case Merge::kArrayInKeyOrder:
      return MergeArraysInOrder(spread);
    case Merge::kFirstOk:
    case Merge::kAnyOk:
    case Merge::kNone:
      break;
  }
  return spread.replies[0];
}

// Splits the arguments by the partition of each key; what stands between two keys (MSET's values)
// goes with the key before it.
void SplitByKey(const Engine& engine, Args args, const std::vector<int>& positions,
                Spread* spread) {
  const auto step = static_cast<size_t>(spread->command->keys.step);
  std::vector<std::vector<std::string_view>> lists(engine.partitions());
  std::vector<std::vector<size_t>> order(engine.partitions());
  for (size_t k = 0; k < positions.size(); ++k) {
    const auto at = static_cast<size_t>(positions[k]);
    const uint32_t p = engine.PartitionOfSlot(KeySlot(args[at]));
    if (lists[p].empty()) lists[p].push_back(args[0]);
    for (size_t i = 0; i < step; ++i) lists[p].push_back(args[at + i]);
    order[p].push_back(k);
  }
  spread->keys = positions.size();
  for (uint32_t p = 0; p < engine.partitions(); ++p) {
    if (lists[p].empty()) continue;
    spread->parts.push_back({p, OwnedArgs(lists[p]), std::move(order[p])});
  }
}

// The reply of part `i` is here.
void TakePart(Core* home, Spread* spread, size_t i, std::string reply) {
  spread->replies[i] = std::move(reply);
  if (--spread->missing > 0) return;
  if (Client* owner = home->FindClient(spread->client)) {
    owner->ReplyArrived(spread->slot, MergeReplies(*spread));
  }
}

void SendParts(Client* client, const std::shared_ptr<Spread>& spread) {
  Core* home = client->core;
  const Command& command = *spread->command;
  spread->replies.resize(spread->parts.size());
  spread->missing = spread->parts.size();
  for (size_t i = 0; i < spread->parts.size(); ++i) {
    const uint32_t number = spread->parts[i].partition;
    std::unique_ptr<Routed> routed = MakeRouted(*client, number, PeerRequestType::kCommand);
    routed->request.commands.push_back({&command, client->db, std::move(spread->parts[i].args)});
    routed->is_write = command.may_write();
    routed->answer = [home, spread, i](PeerReply reply) {
      TakePart(home, spread.get(), i, reply.TakeBytes());
    };
    home->router().Submit(std::move(routed));
  }
}

}  // namespace

void RunOnManyPartitions(Client* client, const Command& command, Args args) {
  const Engine& engine = client->core->engine();
  if (engine.partitions() == 1) {
    RunOn(client, command, args, 0);
    return;
  }
  if (command.route == Route::kByCursor) {
    uint64_t cursor = 0;
    const bool valid = args.size() > 1 && ParseUint64(args[1], &cursor) &&
                       data::Table::CursorSlot(cursor) < kSlots;
    // A cursor that can't be read is for the handler to refuse.
    const uint16_t slot = valid ? data::Table::CursorSlot(cursor) : 0;
    RunOn(client, command, args, engine.PartitionOfSlot(slot));
    return;
  }
  if (command.name == "swapdb") {
    // Would have to happen on all partitions at once.
    resp::Writer(client->replies.Begin(nullptr), client->protocol).Error(kCrossSlot);
    FinishReply(client);
    client->core->CommandRejected(command, kCrossSlot);
    return;
  }
  if (Tracking::Remembers(*client)) client->core->tracking().Remember(client, command, args);
  auto spread = std::make_shared<Spread>();
  spread->command = &command;
  spread->protocol = client->protocol;
  spread->client = client->id;
  if (command.route == Route::kSpread) {
    SplitByKey(engine, args, client->key_positions, spread.get());
  } else {
    for (uint32_t p = 0; p < engine.partitions(); ++p) {
      spread->parts.push_back({p, OwnedArgs(args), {}});
    }
  }
  spread->slot = client->replies.Reserve();
  NoteReserved(client, spread->slot);
  SendParts(client, spread);
}

}  // namespace holdfast::engine
