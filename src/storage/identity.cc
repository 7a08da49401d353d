#include "storage/identity.h"

#include <cstdio>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/rng.h"

namespace holdfast::storage {
namespace {

constexpr uint64_t kMagic = 0x00544e4544494648;  // "HFIDENT\0"
constexpr uint32_t kFormatVersion = 1;
constexpr size_t kEncodedBytes = 8 + 4 + 4 + 4 * 8 + 8;

uint64_t RandomId() {
  uint64_t id;
  do {
    id = RandomSeed();
  } while (id == 0);
  return id;
}

// A directory that holds a log or stores but no identity has lost it: giving it a new one would let
// old data appear under a new name.
Result<bool> HasData(FileSystem* fs, const std::string& directory) {
  for (const char* name : {"/wal", "/partitions"}) {
    auto exists = fs->Exists(directory + name);
    if (!exists.ok() || exists.value()) return exists;
  }
  return false;
}

Result<Identity> NewIdentity(FileSystem* fs, const std::string& directory, uint32_t partitions) {
  auto has_data = HasData(fs, directory);
  if (!has_data.ok()) return has_data.status();
  if (has_data.value()) {
    return Status::InvalidArgument("data directory " + directory +
                                   " has data but no identity file; restore it from a backup or "
                                   "use an empty directory");
  }
  Identity identity;
  identity.node_id = RandomId();
  identity.hash_seed = RandomSeed();
  identity.partitions = partitions == 0 ? 1 : partitions;
  return identity;
}

}  // namespace

std::string EncodeIdentity(const Identity& identity) {
  std::string bytes;
  AppendFixed64(&bytes, kMagic);
  AppendFixed32(&bytes, kFormatVersion);
  AppendFixed32(&bytes, identity.partitions);
  AppendFixed64(&bytes, identity.node_id);
  AppendFixed64(&bytes, identity.cluster_id);
  AppendFixed64(&bytes, identity.hash_seed);
  AppendFixed64(&bytes, identity.boot);
  AppendFixed64(&bytes, Hash64(bytes));
  CHECK(bytes.size() == kEncodedBytes);
  return bytes;
}

Result<Identity> DecodeIdentity(std::string_view bytes) {
  ByteReader reader(bytes);
  uint64_t magic;
  uint32_t version;
  if (!reader.ReadFixed64(&magic) || !reader.ReadFixed32(&version) || magic != kMagic) {
    return Status::Corruption("not an identity file of Holdfast");
  }
  // Only the magic and the version keep their place in newer formats.
  if (version > kFormatVersion) {
    return Status::Unsupported("written by a newer Holdfast (format " + std::to_string(version) +
                               ", this one knows up to " + std::to_string(kFormatVersion) + ")");
  }
  Identity identity;
  uint64_t checksum;
  const bool complete =
      reader.ReadFixed32(&identity.partitions) && reader.ReadFixed64(&identity.node_id) &&
      reader.ReadFixed64(&identity.cluster_id) && reader.ReadFixed64(&identity.hash_seed) &&
      reader.ReadFixed64(&identity.boot) && reader.ReadFixed64(&checksum);
  if (!complete || !reader.empty()) {
    return Status::Corruption("has " + std::to_string(bytes.size()) + " bytes instead of " +
                              std::to_string(kEncodedBytes));
  }
  if (checksum != Hash64(bytes.substr(0, kEncodedBytes - 8))) {
    return Status::Corruption("the checksum does not match");
  }
  if (version == 0 || identity.node_id == 0 || identity.boot == 0 || identity.partitions == 0) {
    return Status::Corruption("holds impossible values");
  }
  return identity;
}

std::string DataDirectory::partition_path(uint32_t partition) const {
  char name[32];
  std::snprintf(name, sizeof name, "/partitions/%04u", partition);
  return path_ + name;
}

Status DataDirectory::JoinCluster(uint64_t cluster_id, uint32_t partitions, uint64_t hash_seed) {
  CHECK(cluster_id != 0 && partitions != 0);
  if (identity_.cluster_id == cluster_id) return Status::Ok();
  if (identity_.cluster_id != 0) {
    return Status::InvalidArgument("this node belongs to another cluster");
  }
  Identity changed = identity_;
  changed.cluster_id = cluster_id;
  changed.partitions = partitions;
  changed.hash_seed = hash_seed;
  RETURN_IF_ERROR(WriteFileAtomically(fs_, path_ + "/identity", EncodeIdentity(changed)));
  identity_ = changed;
  return Status::Ok();
}

Result<DataDirectory> OpenDataDirectory(FileSystem* fs, const std::string& directory,
                                        uint32_t partitions_wanted) {
  RETURN_IF_ERROR(fs->CreateDirectory(directory));
  RETURN_IF_ERROR(fs->SyncDirectory(DirectoryOf(directory)));
  auto lock = fs->Lock(directory + "/lock");
  if (!lock.ok()) {
    if (lock.status().code() != Code::kInvalidArgument) return lock.status();
    return Status::InvalidArgument("another process uses data directory " + directory);
  }

  const std::string path = directory + "/identity";
  auto exists = fs->Exists(path);
  if (!exists.ok()) return exists.status();
  Result<Identity> identity = Status::NotFound(path);
  if (exists.value()) {
    auto bytes = ReadFile(fs, path, 1 << 20);
    if (!bytes.ok()) return bytes.status();
    identity = DecodeIdentity(bytes.value());
    if (!identity.ok()) {
      return Status(identity.status().code(), path + ": " + identity.status().message());
    }
  } else {
    identity = NewIdentity(fs, directory, partitions_wanted);
    if (!identity.ok()) return identity.status();
  }
  const uint32_t stored = identity.value().partitions;
  const bool alone = identity.value().cluster_id == 0;
  if (alone && partitions_wanted != 0 && partitions_wanted != stored) {
    return Status::InvalidArgument("data directory " + directory + " was created with " +
                                   std::to_string(stored) + " partitions, the configuration says " +
                                   std::to_string(partitions_wanted));
  }

  ++identity.value().boot;
  RETURN_IF_ERROR(WriteFileAtomically(fs, path, EncodeIdentity(identity.value())));
  DataDirectory result;
  result.fs_ = fs;
  result.path_ = directory;
  result.lock_ = std::move(lock).value();
  result.identity_ = identity.value();
  return result;
}

}  // namespace holdfast::storage
