// A client's request on its way to the core or node that leads its partition, and what comes back.
// Between nodes they are the items kRequest, kReply and kCancel of a peer link (replica/frame.h):
//
//   request: u8 version (1), varint id, partition, epoch, u8 type,
//            u8 flags (1: NO-TOUCH, 2: RESP3, 4: a revision of the function libraries follows,
//            8: an author follows, 16: a user follows, 32: whether its script reads is asked),
//            [varint that revision, not 0],
//            [varint the author's node, not 0, varint client, not 0],
//            [the user's name, not empty, varint revision of the rules that hold for it], varint
//            milliseconds waited, address, name, varint count, then for each command: varint db,
//            varint argc, its arguments, varint count, then for each watched key: varint db, key,
//            varint revision
//   reply:   u8 version (1), varint id, u8 outcome, u8 flags (1: executed, 2: refused, 4: to who
//            asked: the script has read nothing), error, varint count, replies, varint count,
//            varint revisions
//   cancel:  u8 version (1), varint id, varint partition, u8 mode
//
// Byte strings have a varint length in front. Every value has exactly one encoding.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "engine/client.h"
#include "engine/context.h"
#include "engine/owned_args.h"

namespace holdfast::engine {

// The numbers are sent to peers; never renumber.
enum class PeerRequestType : uint8_t {
  kCommand = 1,      // one command
  kTransaction = 2,  // the commands of EXEC as a unit, unless a watched key was modified
  kWatch = 3,        // the keys' revisions
  kUnwatch = 4,      // the keys are watched no more
};

struct PeerCommand {
  const Command* command = nullptr;  // not sent: the receiver looks it up by name
  uint32_t db = 0;
  OwnedArgs args;
};

struct PeerRequest {
  uint64_t id = 0;  // increases on a link
  uint32_t partition = 0;
  // The sender's requests to the partition with the same epoch run under one leadership, in order:
  // once one was refused, all behind it are.
  uint64_t epoch = 0;
  PeerRequestType type = PeerRequestType::kCommand;
  bool no_touch = false;
  bool asks_reads = false;  // whether the script reads anything; kCommand
  int protocol = 2;
  int64_t waited_ms = 0;            // a blocking command: how long it has waited elsewhere already
  uint64_t functions_revision = 0;  // see Caller
  data::Author author;              // the same
  uint64_t acl_revision = 0;        // the same
  std::string acl_user;
  std::string address;  // of the client, for the slow log
  std::string name;
  std::vector<PeerCommand> commands;  // kCommand: exactly one
  std::vector<WatchedKey> watched;    // the partition is the request's

  // Memory held, roughly.
  size_t MemoryBytes() const;
  // As a command sees it; valid as long as the request.
  Caller MakeCaller() const;
};

enum class PeerOutcome : uint8_t {
  kDone = 1,       // here is its answer, an error perhaps
  kNotLeader = 2,  // not executed, and no request of its epoch behind it was or will be
  kLostRead = 3,   // nothing was modified, but the reply can't be confirmed: to be repeated
};

struct PeerReply {
  uint64_t id = 0;
  PeerOutcome outcome = PeerOutcome::kDone;
  bool executed = true;       // kTransaction: false when a watched key was modified
  bool refused = false;       // kTransaction: `error` says why EXEC was aborted before it began
  bool read_nothing = false;  // PeerRequest::asks_reads; false: perhaps it has
  std::string error;          // instead of everything below when not empty; without '-' and CRLF
  std::vector<std::string> replies;  // one for each command, as RESP
  std::vector<uint64_t> revisions;   // kWatch: one for each key

  static PeerReply Error(std::string_view text);
  // Of a command.
  static PeerReply Bytes(std::string bytes);
  // The reply of a command, as RESP.
  std::string TakeBytes();
};

enum class PeerCancelMode : uint8_t {
  kGone = 1,     // the client is gone: no reply
  kTimeout = 2,  // CLIENT UNBLOCK … TIMEOUT
  kError = 3,    // CLIENT UNBLOCK … ERROR
};

struct PeerCancel {
  uint64_t id = 0;
  uint32_t partition = 0;
  PeerCancelMode mode = PeerCancelMode::kGone;
};

// Addresses and names are cut to this.
inline constexpr size_t kMaxPeerNameBytes = 256;

std::string EncodePeerRequest(const PeerRequest& request);
std::string EncodePeerReply(const PeerReply& reply);
std::string EncodePeerCancel(const PeerCancel& cancel);

// The opposite, from all of `bytes`. Corruption for anything that Encode… doesn't write,
// Unsupported for another version; the result is then undefined.
Status DecodePeerRequest(std::string_view bytes, PeerRequest* request);
Status DecodePeerReply(std::string_view bytes, PeerReply* reply);
Status DecodePeerCancel(std::string_view bytes, PeerCancel* cancel);

}  // namespace holdfast::engine
