// Effects: the physical changes of an entry. The leader's commands emit them, and one function,
// Keyspace::Apply, applies them to memory wherever they come from (DESIGN.md §2 rule 1).
//
// Payload format: format(1), then effects back to back:
//   put        'P' length record-key length record-value
//   delete     'D' length record-key revision(varint)
//   patch      'W' length record-key length meta offset(varint) new-size(varint) length bytes
//   meta       'M' length record-key length meta
//   databases  'B' length map revision(varint)
//   elements   'C' length record-key length meta length head length changes (collection.h)
//   remove     'R' length record-key revision(varint) generation(varint)
//   copy       'X' length record-key length meta length head length record-key of the source
//              generation of the source(varint) moves(byte)
//   author     'A' node(varint) client(varint)
// A patch rewrites a part of a value (the rest is kept, zero bytes where it grows) and a meta
// effect keeps the whole value: APPEND or EXPIRE on a large value log a few bytes. An elements
// effect creates the collection when there is none, and changes some of its elements; a remove
// effect deletes a collection, whose elements are records of its generation (its created revision).
// A copy effect makes a collection of all that another one has, however much that is: the store
// copies the elements, and memory has them only when they are wanted, or takes them from the source
// (`moves`), which a remove effect behind it deletes. An author isn't an effect: it says who made
// those behind it, up to the next one.
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
  kElements = 'C',
  kRemove = 'R',
  kCopy = 'X',
};

// The client that made an effect, of those that don't want to hear of their own changes
// (engine/tracking.h): a number of the node's process, and the client's in it. Both 0: anybody.
struct Author {
  uint64_t node = 0;
  uint64_t client = 0;
  bool operator==(const Author&) const = default;
};

struct Effect {
  EffectKind kind = EffectKind::kPut;
  uint16_t slot = 0;
  uint32_t database = 0;  // physical
  std::string_view key;
  Meta meta;  // for delete and databases only `revision`, for remove also `created` is used
  // put: the whole value; patch: the bytes written; databases: the map; elements, copy: the head
  std::string_view value;
  std::string_view changes;  // elements: see ElementChanges
  uint64_t offset = 0;       // patch
  uint64_t new_size = 0;     // patch
  std::string_view source;   // copy: the source's record key
  uint64_t generation = 0;   // copy: the source's
  bool moves = false;        // copy: the source gives its elements away
  // Not part of the payload:
  uint64_t hash = 0;           // of the key, for the table
  bool keep_revision = false;  // the leader gives it no revision of its own (EXTEND)
  // Set by ForEachEffect only: the bytes of the record's key, and of a put's whole record value.
  std::string_view record_key;
  std::string_view record;
  Author author;
};

// Starts a payload; AppendEffect adds to it.
void AppendPayloadHeader(std::string* payload);
void AppendEffect(std::string* payload, const Effect& effect);
// Whoever makes the effects that follow, at least one.
void AppendAuthor(std::string* payload, const Author& author);

// Calls `visit` for each effect, in order, until it fails. The views point into `payload`.
Status ForEachEffect(std::string_view payload, const std::function<Status(const Effect&)>& visit);

}  // namespace holdfast::data
