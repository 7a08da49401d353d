#include "engine/peer_request.h"

#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "data/record.h"

namespace holdfast::engine {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kNoTouch = 1;
constexpr uint8_t kResp3 = 2;
constexpr uint8_t kHasFunctions = 4;
constexpr uint8_t kHasAuthor = 8;
constexpr uint8_t kHasUser = 16;
constexpr uint8_t kAsksReads = 32;
constexpr uint8_t kExecuted = 1;
constexpr uint8_t kRefused = 2;
constexpr uint8_t kReadNothing = 4;

Status Bad(std::string_view what) {
  return Status::Corruption("forwarded " + std::string(what) + ": malformed");
}

Status ReadVersion(ByteReader* reader, std::string_view what) {
  uint8_t version;
  if (!reader->ReadByte(&version)) return Bad(what);
  if (version == kVersion) return Status::Ok();
  return Status::Unsupported("forwarded " + std::string(what) + ": format version " +
                             std::to_string(version));
}

bool ReadDatabase(ByteReader* reader, uint32_t* db) {
  uint64_t value;
  if (!reader->ReadVarint(&value) || value >= data::kLogicalDatabases) return false;
  *db = static_cast<uint32_t>(value);
  return true;
}

bool ReadPartition(ByteReader* reader, uint32_t* partition) {
  uint64_t value;
  if (!reader->ReadVarint(&value) || value > UINT32_MAX) return false;
  *partition = static_cast<uint32_t>(value);
  return true;
}

// A count of things that take at least `least` bytes each: never more than can be there.
bool ReadCount(ByteReader* reader, size_t least, size_t* count) {
  uint64_t value;
  if (!reader->ReadVarint(&value) || value > reader->rest().size() / least) return false;
  *count = static_cast<size_t>(value);
  return true;
}

bool ReadName(ByteReader* reader, std::string* name) {
  std::string_view bytes;
  if (!reader->ReadLengthPrefixed(&bytes) || bytes.size() > kMaxPeerNameBytes) return false;
  name->assign(bytes);
  return true;
}

// A number that is there, and not 0, when `flag` is among the flags.
bool ReadOptional(ByteReader* reader, uint8_t flags, uint8_t flag, uint64_t* number) {
  *number = 0;
  return (flags & flag) == 0 || (reader->ReadVarint(number) && *number != 0);
}

bool ReadUser(ByteReader* reader, uint8_t flags, PeerRequest* request) {
  request->acl_user.clear();
  request->acl_revision = 0;
  if ((flags & kHasUser) == 0) return true;
  std::string_view name;
  if (!reader->ReadLengthPrefixed(&name) || name.empty()) return false;
  request->acl_user = name;
  return reader->ReadVarint(&request->acl_revision);
}

bool ReadCommands(ByteReader* reader, std::vector<PeerCommand>* commands) {
  size_t count;
  if (!ReadCount(reader, 3, &count)) return false;
  commands->clear();
  std::vector<std::string_view> args;
  for (size_t i = 0; i < count; ++i) {
    PeerCommand command;
    size_t argc;
    if (!ReadDatabase(reader, &command.db) || !ReadCount(reader, 1, &argc) || argc == 0) {
      return false;
    }
    args.resize(argc);
    for (std::string_view& arg : args) {
      if (!reader->ReadLengthPrefixed(&arg)) return false;
    }
    command.args = OwnedArgs(args);
    commands->push_back(std::move(command));
  }
  return true;
}

bool ReadWatched(ByteReader* reader, uint32_t partition, std::vector<WatchedKey>* watched) {
  size_t count;
  if (!ReadCount(reader, 3, &count)) return false;
  watched->clear();
  for (size_t i = 0; i < count; ++i) {
    WatchedKey key{};
    std::string_view name;
    if (!ReadDatabase(reader, &key.db) || !reader->ReadLengthPrefixed(&name) ||
        !reader->ReadVarint(&key.revision)) {
      return false;
    }
    key.key.assign(name);
    key.partition = partition;
    watched->push_back(std::move(key));
  }
  return true;
}

bool HasItsParts(const PeerRequest& request) {
  switch (request.type) {
    case PeerRequestType::kCommand:
      return request.commands.size() == 1 && request.watched.empty();
    case PeerRequestType::kTransaction:
      return true;
    case PeerRequestType::kWatch:
    case PeerRequestType::kUnwatch:
      return request.commands.empty() && !request.watched.empty();
  }
  return false;
}

}  // namespace

size_t PeerRequest::MemoryBytes() const {
  size_t bytes = sizeof(PeerRequest) + address.size() + name.size();
  for (const PeerCommand& command : commands) {
    bytes += sizeof(PeerCommand) + command.args.MemoryBytes();
  }
  for (const WatchedKey& key : watched) bytes += sizeof(WatchedKey) + key.key.size();
  return bytes;
}

Caller PeerRequest::MakeCaller() const {
  Caller caller;
  caller.db = commands.empty() ? 0 : commands[0].db;
  caller.protocol = protocol;
  caller.no_touch = no_touch;
  caller.waited_ms = waited_ms;
  caller.functions_revision = functions_revision;
  caller.author = author;
  caller.acl_revision = acl_revision;
  caller.acl_user = acl_user;
  caller.address = address;
  caller.name = name;
  return caller;
}

PeerReply PeerReply::Error(std::string_view text) {
  PeerReply reply;
  reply.error = text;
  return reply;
}

PeerReply PeerReply::Bytes(std::string bytes) {
  PeerReply reply;
  reply.replies.push_back(std::move(bytes));
  return reply;
}

std::string PeerReply::TakeBytes() {
  if (!error.empty()) return "-" + error + "\r\n";
  if (replies.empty() || replies[0].empty()) return "-ERR the leading node sent no reply\r\n";
  return std::move(replies[0]);
}

std::string EncodePeerRequest(const PeerRequest& request) {
  CHECK(HasItsParts(request));
  std::string out;
  out.reserve(request.MemoryBytes());
  out.push_back(static_cast<char>(kVersion));
  AppendVarint(&out, request.id);
  AppendVarint(&out, request.partition);
  AppendVarint(&out, request.epoch);
  out.push_back(static_cast<char>(request.type));
  const bool has_functions = request.functions_revision != 0;
  const bool has_author = request.author.client != 0;
  const bool has_user = !request.acl_user.empty();
  out.push_back(
      static_cast<char>((request.no_touch ? kNoTouch : 0) | (request.protocol == 3 ? kResp3 : 0) |
                        (has_functions ? kHasFunctions : 0) | (has_author ? kHasAuthor : 0) |
                        (has_user ? kHasUser : 0) | (request.asks_reads ? kAsksReads : 0)));
  if (has_functions) AppendVarint(&out, request.functions_revision);
  if (has_author) {
    AppendVarint(&out, request.author.node);
    AppendVarint(&out, request.author.client);
  }
  if (has_user) {
    AppendLengthPrefixed(&out, request.acl_user);
    AppendVarint(&out, request.acl_revision);
  }
  AppendVarint(&out, static_cast<uint64_t>(request.waited_ms));
  AppendLengthPrefixed(&out, std::string_view(request.address).substr(0, kMaxPeerNameBytes));
  AppendLengthPrefixed(&out, std::string_view(request.name).substr(0, kMaxPeerNameBytes));
  AppendVarint(&out, request.commands.size());
  for (const PeerCommand& command : request.commands) {
    AppendVarint(&out, command.db);
    AppendVarint(&out, command.args.args().size());
    for (const std::string_view arg : command.args.args()) AppendLengthPrefixed(&out, arg);
  }
  AppendVarint(&out, request.watched.size());
  for (const WatchedKey& key : request.watched) {
    AppendVarint(&out, key.db);
    AppendLengthPrefixed(&out, key.key);
    AppendVarint(&out, key.revision);
  }
  return out;
}

Status DecodePeerRequest(std::string_view bytes, PeerRequest* request) {
  ByteReader reader(bytes);
  RETURN_IF_ERROR(ReadVersion(&reader, "request"));
  uint8_t type;
  uint8_t flags;
  uint64_t waited_ms;
  if (!reader.ReadVarint(&request->id) || !ReadPartition(&reader, &request->partition) ||
      !reader.ReadVarint(&request->epoch) || !reader.ReadByte(&type) || !reader.ReadByte(&flags) ||
      (flags & ~(kNoTouch | kResp3 | kHasFunctions | kHasAuthor | kHasUser | kAsksReads)) != 0 ||
      !ReadOptional(&reader, flags, kHasFunctions, &request->functions_revision) ||
      !ReadOptional(&reader, flags, kHasAuthor, &request->author.node) ||
      !ReadOptional(&reader, flags, kHasAuthor, &request->author.client) ||
      !ReadUser(&reader, flags, request) || !reader.ReadVarint(&waited_ms) ||
      waited_ms > INT64_MAX || !ReadName(&reader, &request->address) ||
      !ReadName(&reader, &request->name) || !ReadCommands(&reader, &request->commands) ||
      !ReadWatched(&reader, request->partition, &request->watched) || !reader.empty()) {
    return Bad("request");
  }
  request->type = static_cast<PeerRequestType>(type);
  request->no_touch = (flags & kNoTouch) != 0;
  request->asks_reads = (flags & kAsksReads) != 0;
  request->protocol = (flags & kResp3) != 0 ? 3 : 2;
  request->waited_ms = static_cast<int64_t>(waited_ms);
  return HasItsParts(*request) ? Status::Ok() : Bad("request");
}

std::string EncodePeerReply(const PeerReply& reply) {
  std::string out;
  size_t bytes = 64 + reply.error.size() + 10 * reply.revisions.size();
  for (const std::string& one : reply.replies) bytes += one.size() + 10;
  out.reserve(bytes);
  out.push_back(static_cast<char>(kVersion));
  AppendVarint(&out, reply.id);
  out.push_back(static_cast<char>(reply.outcome));
  out.push_back(static_cast<char>((reply.executed ? kExecuted : 0) |
                                  (reply.refused ? kRefused : 0) |
                                  (reply.read_nothing ? kReadNothing : 0)));
  AppendLengthPrefixed(&out, reply.error);
  AppendVarint(&out, reply.replies.size());
  for (const std::string& one : reply.replies) AppendLengthPrefixed(&out, one);
  AppendVarint(&out, reply.revisions.size());
  for (const uint64_t revision : reply.revisions) AppendVarint(&out, revision);
  return out;
}

Status DecodePeerReply(std::string_view bytes, PeerReply* reply) {
  ByteReader reader(bytes);
  RETURN_IF_ERROR(ReadVersion(&reader, "reply"));
  uint8_t outcome;
  uint8_t flags;
  std::string_view view;
  size_t count;
  if (!reader.ReadVarint(&reply->id) || !reader.ReadByte(&outcome) || outcome < 1 || outcome > 3 ||
      !reader.ReadByte(&flags) || (flags & ~(kExecuted | kRefused | kReadNothing)) != 0 ||
      !reader.ReadLengthPrefixed(&view) || !ReadCount(&reader, 1, &count)) {
    return Bad("reply");
  }
  reply->outcome = static_cast<PeerOutcome>(outcome);
  reply->executed = (flags & kExecuted) != 0;
  reply->refused = (flags & kRefused) != 0;
  reply->read_nothing = (flags & kReadNothing) != 0;
  reply->error.assign(view);
  reply->replies.clear();
  for (size_t i = 0; i < count; ++i) {
    if (!reader.ReadLengthPrefixed(&view)) return Bad("reply");
    reply->replies.emplace_back(view);
  }
  if (!ReadCount(&reader, 1, &count)) return Bad("reply");
  reply->revisions.resize(count);
  for (uint64_t& revision : reply->revisions) {
    if (!reader.ReadVarint(&revision)) return Bad("reply");
  }
  return reader.empty() ? Status::Ok() : Bad("reply");
}

std::string EncodePeerCancel(const PeerCancel& cancel) {
  std::string out;
  out.push_back(static_cast<char>(kVersion));
  AppendVarint(&out, cancel.id);
  AppendVarint(&out, cancel.partition);
  out.push_back(static_cast<char>(cancel.mode));
  return out;
}

Status DecodePeerCancel(std::string_view bytes, PeerCancel* cancel) {
  ByteReader reader(bytes);
  RETURN_IF_ERROR(ReadVersion(&reader, "cancel"));
  uint8_t mode;
  if (!reader.ReadVarint(&cancel->id) || !ReadPartition(&reader, &cancel->partition) ||
      !reader.ReadByte(&mode) || mode < 1 || mode > 3 || !reader.empty()) {
    return Bad("cancel");
  }
  cancel->mode = static_cast<PeerCancelMode>(mode);
  return Status::Ok();
}

}  // namespace holdfast::engine
