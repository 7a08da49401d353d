// A sorted set: members with scores, in the order of score and then of the member's bytes.
//
// An element's record is member -> score, as the 8 bytes of an IEEE 754 double, little-endian.
// Records are found by their member, so the score's bytes need no order. A score is never NaN; zero
// and minus zero are different scores of the same rank.
//
// A small sorted set is one run of bytes in order, which is searched from the front. A large one is
// a hash table of members (element_table.h) and a tree of the same elements by score
// (score_tree.h): a member is found in O(1); rank, and the ends of a range by rank, score or
// member, in O(log n). As in Redis it becomes large when it has more members, or a longer one, than
// EncodingLimits say, and stays so. That is the only step that takes more than O(log n) on a large
// one, and it is bounded by the limit.
#pragma once

#include <absl/functional/function_ref.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/rng.h"
#include "data/collection.h"
#include "data/element_table.h"
#include "data/score_tree.h"

namespace holdfast::data {

class SortedSetObject final : public Collection {
 public:
  struct Member {
    std::string_view name;
    double score = 0;
  };

  explicit SortedSetObject(const CollectionOptions& options) : options_(options) {}

  uint64_t size() const override { return large_ != nullptr ? large_->tree.size() : count_; }
  size_t MemoryBytes() const override;
  std::string_view encoding() const override { return large_ ? "skiplist" : "listpack"; }
  std::string Head() const override { return EncodeCount(size()); }
  void Put(std::string_view member, std::string_view score) override;
  bool Delete(std::string_view member) override;
  bool Contains(std::string_view member) const override { return Score(member).has_value(); }
  void ForEach(const std::function<void(std::string_view member, std::string_view score)>& visit)
      const override;

  std::optional<double> Score(std::string_view member) const;
  // How many members come before it.
  std::optional<uint64_t> Rank(std::string_view member) const;
  // How many members at the beginning `is_before` says yes to. REQUIRES: it says no to every member
  // behind one that it says no to.
  uint64_t CountBefore(absl::FunctionRef<bool(const Member& member)> is_before) const;
  // Visits members from `rank` on, in order or backwards, until `visit` returns false. What is
  // visited is valid until the next change.
  void Walk(uint64_t rank, bool backwards,
            absl::FunctionRef<bool(const Member& member)> visit) const;
  // Visits members from `cursor` (0 = the beginning), about `count` of them; returns the cursor to
  // go on from, 0 at the end. A small one is visited as a whole.
  uint64_t Scan(uint64_t cursor, size_t count,
                absl::FunctionRef<void(const Member& member)> visit) const;
  // One of the members. REQUIRES: size() > 0.
  Member Random(Rng* rng) const;

  // A score's bytes in a record. False for other bytes, and for NaN.
  static std::string EncodeScore(double score);
  [[nodiscard]] static bool DecodeScore(std::string_view bytes, double* score);

 private:
  struct Large {
    explicit Large(uint64_t hash_seed) : table(hash_seed) {}
    ElementTable table;  // owns the elements
    ScoreTree tree;
  };
  // An entry of the small form.
  struct Place {
    size_t begin = 0;
    size_t end = 0;
    Member member;
  };

  Place At(size_t begin) const;
  bool FindSmall(std::string_view member, Place* place) const;
  void PutSmall(std::string_view member, double score);
  void PutLarge(std::string_view member, double score);
  void BecomeLarge();

  const CollectionOptions options_;
  std::string small_;             // entries in order: score length member, see .cc
  uint64_t count_ = 0;            // of members in small_
  std::unique_ptr<Large> large_;  // the large form
};

}  // namespace holdfast::data
