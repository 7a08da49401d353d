#include "replica/publication.h"

#include "base/bytes.h"

namespace holdfast::replica {
namespace {

constexpr uint8_t kPublicationVersion = 1;
constexpr uint8_t kShardedFlag = 1;

}  // namespace

std::string EncodePublicationHead(const Publication& publication) {
  std::string head;
  head.reserve(publication.channel.size() + 12);
  head.push_back(static_cast<char>(kPublicationVersion));
  head.push_back(static_cast<char>(publication.sharded ? kShardedFlag : 0));
  AppendLengthPrefixed(&head, publication.channel);
  return head;
}

Status DecodePublication(std::string_view bytes, Publication* publication) {
  ByteReader reader(bytes);
  uint8_t version;
  uint8_t flags;
  if (!reader.ReadByte(&version)) return Status::Corruption("publication: it is empty");
  if (version != kPublicationVersion) {
    return Status::Unsupported("publication: format version " + std::to_string(version));
  }
  if (!reader.ReadByte(&flags) || (flags & ~kShardedFlag) != 0 ||
      !reader.ReadLengthPrefixed(&publication->channel)) {
    return Status::Corruption("publication: malformed");
  }
  publication->sharded = (flags & kShardedFlag) != 0;
  publication->message = reader.rest();
  return Status::Ok();
}

}  // namespace holdfast::replica
