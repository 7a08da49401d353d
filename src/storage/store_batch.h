// StoreBatch's inside: LevelDB's batch, so that writing one costs no second copy. Only for the
// .cc files of this folder.
#pragma once

#include <memory>

#include "storage/store.h"

namespace leveldb {
class WriteBatch;
}

namespace holdfast::storage {

// The batch that LevelDB writes. Its methods that write take it mutable but do not change it.
leveldb::WriteBatch* LevelBatch(const StoreBatch& batch);

}  // namespace holdfast::storage
