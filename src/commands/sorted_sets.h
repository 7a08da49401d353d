// What the files of the sorted set commands, and those of geo, share. Loop thread of the core that
// owns the partition.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/sorted_set_object.h"
#include "engine/context.h"

namespace holdfast::commands {

// REQUIRES: the key is a sorted set, or missing: then there is none.
inline const data::SortedSetObject* SortedSetAt(const engine::Key& key) {
  return key ? static_cast<const data::SortedSetObject*>(key.object->collection()) : nullptr;
}

// The sorted set that a command reads, nullptr when the key is missing; false, with WRONGTYPE
// replied, when the key is something else.
[[nodiscard]] bool FindSortedSet(engine::ExecContext& ctx, std::string_view name,
                                 const data::SortedSetObject** set);

// What one command changes in a sorted set, as one modification. The set stays as it is until Emit.
class SortedSetChange {
 public:
  // REQUIRES: the key is a sorted set or missing; nothing else changes it before Emit.
  SortedSetChange(engine::ExecContext& ctx, engine::Key* key);

  // After the changes so far.
  std::optional<double> Score(std::string_view member) const;
  uint64_t size() const { return size_; }
  // The bytes of `member` stay until Emit. `is_new`: Score says that it isn't there.
  void Put(std::string_view member, double score, bool is_new);
  // The same for a member that is there.
  void Delete(std::string_view member);
  // Makes the changes one effect, of which clients hear as `event` (ExecContext::Notify); a set
  // that lost all its members is deleted.
  void Emit(std::string_view event);

 private:
  engine::ExecContext& ctx_;
  engine::Key* const key_;
  uint64_t size_;
  data::ElementChanges changes_;
  // Of changed members, nothing for one that was deleted.
  absl::flat_hash_map<std::string_view, std::optional<double>> changed_;
};

// A member and its score, copied out of a set.
using ScoredMember = std::pair<std::string, double>;

// Makes the key a sorted set of these members, which are different ones, or deletes it when there
// are none. Clients hear of it as `event`. False, with WRONGTYPE replied, when the key must not be
// replaced.
[[nodiscard]] bool StoreSortedSet(engine::ExecContext& ctx, std::string_view name,
                                  const std::vector<ScoredMember>& members, std::string_view event);

// What ZADD and GEOADD may be told.
struct AddOptions {
  bool nx = false;
  bool xx = false;
  bool gt = false;
  bool lt = false;
  bool ch = false;    // the reply counts changed scores, too
  bool incr = false;  // one pair, whose score is added; the reply is the sum
};

// Adds members, as views, to the sorted set args[1] and replies. REQUIRES: options don't clash.
void AddMembers(engine::ExecContext& ctx, const AddOptions& options,
                const std::vector<std::pair<std::string_view, double>>& members);

// Replies `n` members, with their scores in pairs (RESP3) or in turn (RESP2): the header, then each
// of them.
void ReplyScoredHeader(engine::ExecContext& ctx, uint64_t n, bool with_scores);
void ReplyScored(engine::ExecContext& ctx, std::string_view member, double score, bool with_scores);

}  // namespace holdfast::commands
