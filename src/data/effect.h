// Effects: the physical changes of an entry. The leader's commands emit them, and one function,
// Keyspace::Apply, applies them to memory wherever they come from (DESIGN.md §2 rule 1).
//
// Payload format: format(1), then effects back to back:
//   put        'P' length record-key length record-value
//   delete     'D' length record-key revision(varint)
//   patch      'W' length record-key length meta offset(varint) new-size(varint) length bytes
//   meta       'M' length record-key length meta
//   databases  'B' length map revision(varint)
// A patch rewrites a part of a value (the rest is kept, zero bytes where it grows) and a meta
// effect keeps the whole value: APPEND or EXPIRE on a large value log a few bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "data/record.h"

namespace holdfast::data {

enum class EffectKind : char {
  kPut = 'P',
  kDelete = 'D',
  kPatch = 'W',
  kMeta = 'M',
  kDatabases = 'B',
};

struct Effect {
  EffectKind kind = EffectKind::kPut;
  uint16_t slot = 0;
  uint32_t database = 0;  // physical
  std::string_view key;
  Meta meta;               // put, patch, meta; for delete and databases only `revision` is used
  std::string_view value;  // put: the whole value; patch: the bytes written; databases: the map
  uint64_t offset = 0;     // patch
  uint64_t new_size = 0;   // patch
  // Not part of the payload:
  uint64_t hash = 0;           // of the key, for the table
  bool keep_revision = false;  // the leader gives it no revision of its own (EXTEND)
  // Set by ForEachEffect only: the bytes of the record's key, and of a put's whole record value.
  std::string_view record_key;
  std::string_view record;
};

// Starts a payload; AppendEffect adds to it.
void AppendPayloadHeader(std::string* payload);
void AppendEffect(std::string* payload, const Effect& effect);

// Calls `visit` for each effect, in order, until it fails. The views point into `payload`.
Status ForEachEffect(std::string_view payload, const std::function<Status(const Effect&)>& visit);

}  // namespace holdfast::data
