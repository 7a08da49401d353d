// A node's data directory: who the node is and how often it was started.
//
// `<dir>/identity`, little-endian:
//
//     u64 magic "HFIDENT\0" | u32 format version | u32 partitions | u64 node id | u64 cluster id
//     | u64 hash seed | u64 boot | u64 XXH3 of everything before
//
// `<dir>/lock` is locked while a process uses the directory. The file is replaced atomically
// (temporary file, sync, rename, directory sync) at every start, because the boot number must never
// be used twice: WAL segments are named by it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "storage/file_system.h"

namespace holdfast::storage {

// The disk carries the node's id, so that a node with a wiped disk comes back as somebody else
// (PITFALLS P14).
struct Identity {
  uint64_t node_id = 0;     // random, never 0, never reused
  uint64_t cluster_id = 0;  // 0 until the node has joined or founded a cluster
  uint64_t hash_seed = 0;   // seeds the hash tables; the same on all nodes of a cluster
  uint64_t boot = 0;        // how often the node was started, 1 the first time
  uint32_t partitions = 0;  // fixed when the directory is created
};

// The exclusive use of a data directory, until destroyed. One thread.
class DataDirectory {
 public:
  DataDirectory(DataDirectory&&) = default;
  DataDirectory& operator=(DataDirectory&&) = default;

  const Identity& identity() const { return identity_; }
  const std::string& path() const { return path_; }
  std::string wal_path() const { return path_ + "/wal"; }
  // `<dir>/partitions/<nnnn>`.
  std::string partition_path(uint32_t partition) const;
  // `<dir>/meta`: the store of the meta group.
  std::string meta_path() const { return path_ + "/meta"; }

  // Stores the cluster's id durably, and with it what is the same on all of its nodes.
  // kInvalidArgument when another id is stored already: a node belongs to one cluster for good.
  // REQUIRES: cluster_id != 0; nothing is stored yet that depends on another number of partitions
  // or another hash seed.
  Status JoinCluster(uint64_t cluster_id, uint32_t partitions, uint64_t hash_seed);

 private:
  friend Result<DataDirectory> OpenDataDirectory(FileSystem* fs, const std::string& directory,
                                                 uint32_t partitions_wanted);
  DataDirectory() = default;

  FileSystem* fs_ = nullptr;
  std::string path_;
  std::unique_ptr<FileLock> lock_;
  Identity identity_;
};

// Opens `directory`, creating it (one level) with a new identity on first use, locks it, and counts
// this start durably. `partitions_wanted` 0: as stored, 1 for a new directory. A node that belongs
// to a cluster has as many partitions as the cluster, whatever is wanted.
//  - kInvalidArgument: another process uses the directory; another number of partitions is stored;
//    there is data but no identity file.
//  - kUnsupported: written by a newer Holdfast. kCorruption: the identity file is damaged.
// `fs` must outlive the result.
Result<DataDirectory> OpenDataDirectory(FileSystem* fs, const std::string& directory,
                                        uint32_t partitions_wanted);

// The file's bytes and back; public for tests.
std::string EncodeIdentity(const Identity& identity);
Result<Identity> DecodeIdentity(std::string_view bytes);

}  // namespace holdfast::storage
