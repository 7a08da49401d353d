// A key whose value is in the store only (data/keyspace.h), as whoever wants it in memory names it.
#pragma once

#include <cstdint>
#include <string>

namespace holdfast::engine {

struct ColdValue {
  std::string record_key;  // of its meta record
  uint64_t created = 0;    // the key's generation
  uint64_t revision = 0;   // of its last change
};

}  // namespace holdfast::engine
