#include "data/sorted_set_object.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "data/tight.h"

namespace holdfast::data {
namespace {

// Scores are mostly integers, and those are short in the small form: a number above zero is one
// more than an integer in zigzag order (0, -1, 1, -2, …), and zero says that eight bytes of a
// double follow. All integers up to this are exact.
constexpr double kExactIntegers = 4503599627370496.0;  // 2^52

void AppendSmallScore(std::string* out, double score) {
  const bool minus_zero = score == 0 && std::signbit(score);
  if (std::fabs(score) <= kExactIntegers && score == std::trunc(score) && !minus_zero) {
    const auto integer = static_cast<int64_t>(score);
    const uint64_t zigzag =
        static_cast<uint64_t>(integer) << 1 ^ static_cast<uint64_t>(integer >> 63);
    AppendVarint(out, zigzag + 1);
    return;
  }
  AppendVarint(out, 0);
  out->append(SortedSetObject::EncodeScore(score));
}

double ReadSmallScore(ByteReader* in) {
  uint64_t number;
  CHECK(in->ReadVarint(&number));
  if (number > 0) {
    const uint64_t zigzag = number - 1;
    return static_cast<double>(static_cast<int64_t>(zigzag >> 1) ^
                               -static_cast<int64_t>(zigzag & 1));
  }
  std::string_view bytes;
  double score;
  CHECK(in->ReadBytes(sizeof score, &bytes) && SortedSetObject::DecodeScore(bytes, &score));
  return score;
}

double ScoreOf(const Element& element) {
  double score;
  CHECK(SortedSetObject::DecodeScore(element.value(), &score));
  return score;
}

}  // namespace

std::string SortedSetObject::EncodeScore(double score) {
  uint64_t bits;
  std::memcpy(&bits, &score, sizeof bits);
  std::string bytes;
  AppendFixed64(&bytes, bits);
  return bytes;
}

bool SortedSetObject::DecodeScore(std::string_view bytes, double* score) {
  if (bytes.size() != sizeof *score) return false;
  const uint64_t bits = LoadFixed64(bytes.data());
  std::memcpy(score, &bits, sizeof bits);
  return !std::isnan(*score);
}

size_t SortedSetObject::MemoryBytes() const {
  size_t bytes = sizeof *this;
  if (small_.capacity() > std::string().capacity()) bytes += small_.capacity() + 1;
  if (large_ != nullptr) {
    bytes += sizeof *large_ + large_->table.MemoryBytes() + large_->tree.MemoryBytes();
  }
  return bytes;
}

SortedSetObject::Place SortedSetObject::At(size_t begin) const {
  Place place;
  place.begin = begin;
  ByteReader in(std::string_view(small_).substr(begin));
  place.member.score = ReadSmallScore(&in);
  CHECK(in.ReadLengthPrefixed(&place.member.name));
  place.end = small_.size() - in.rest().size();
  return place;
}

bool SortedSetObject::FindSmall(std::string_view member, Place* place) const {
  for (size_t i = 0; i < small_.size(); i = place->end) {
    *place = At(i);
    if (place->member.name == member) return true;
  }
  return false;
}

std::optional<double> SortedSetObject::Score(std::string_view member) const {
  if (large_ != nullptr) {
    const Element* element = large_->table.Find(member);
    if (element == nullptr) return std::nullopt;
    return ScoreOf(*element);
  }
  Place place;
  if (!FindSmall(member, &place)) return std::nullopt;
  return place.member.score;
}

std::optional<uint64_t> SortedSetObject::Rank(std::string_view member) const {
  if (large_ != nullptr) {
    const Element* element = large_->table.Find(member);
    if (element == nullptr) return std::nullopt;
    const ScoreTree::Entry wanted{ScoreOf(*element), element};
    return large_->tree.CountBefore(
        [&](const ScoreTree::Entry& entry) { return ScoreTree::Less(entry, wanted); });
  }
  uint64_t rank = 0;
  for (size_t i = 0; i < small_.size(); ++rank) {
    const Place place = At(i);
    if (place.member.name == member) return rank;
    i = place.end;
  }
  return std::nullopt;
}

void SortedSetObject::Put(std::string_view member, std::string_view score) {
  double decoded;
  CHECK(DecodeScore(score, &decoded));
  if (large_ == nullptr) {
    PutSmall(member, decoded);
  } else {
    PutLarge(member, decoded);
  }
}

void SortedSetObject::PutSmall(std::string_view member, double score) {
  // One walk finds the old entry, and where the new one belongs.
  Place old;
  bool found = false;
  size_t at = small_.size();
  for (size_t i = 0; i < small_.size();) {
    const Place place = At(i);
    if (place.member.name == member) {
      old = place;
      found = true;
    } else if (at == small_.size() &&
               (place.member.score > score ||
                (place.member.score == score && place.member.name > member))) {
      at = i;
    }
    i = place.end;
  }
  const EncodingLimits& limits = options_.Limits();
  if (count_ + (found ? 0 : 1) > limits.sorted_set_entries.load(std::memory_order_relaxed) ||
      member.size() > limits.sorted_set_bytes.load(std::memory_order_relaxed)) {
    BecomeLarge();
    PutLarge(member, score);
    return;
  }
  std::string entry;
  AppendSmallScore(&entry, score);
  AppendLengthPrefixed(&entry, member);
  if (found) {
    small_.erase(old.begin, old.end - old.begin);
    if (at > old.begin) at -= old.end - old.begin;
  } else {
    ++count_;
  }
  ReplaceTight(&small_, at, 0, entry);
}

void SortedSetObject::PutLarge(std::string_view member, double score) {
  const Element* old = large_->table.Find(member);
  // An element with a new score of the same length stays the same element.
  if (old != nullptr) large_->tree.Erase({ScoreOf(*old), old});
  large_->tree.Insert({score, large_->table.Put(member, EncodeScore(score))});
}

void SortedSetObject::BecomeLarge() {
  large_ = std::make_unique<Large>(options_.hash_seed);
  for (size_t i = 0; i < small_.size();) {
    const Place place = At(i);
    PutLarge(place.member.name, place.member.score);
    i = place.end;
  }
  small_ = std::string();
  count_ = 0;
}

bool SortedSetObject::Delete(std::string_view member) {
  if (large_ != nullptr) {
    const Element* element = large_->table.Find(member);
    if (element == nullptr) return false;
    large_->tree.Erase({ScoreOf(*element), element});
    return large_->table.Delete(member);
  }
  Place place;
  if (!FindSmall(member, &place)) return false;
  ReplaceTight(&small_, place.begin, place.end - place.begin, "");
  --count_;
  return true;
}

void SortedSetObject::ForEach(
    const std::function<void(std::string_view member, std::string_view score)>& visit) const {
  Walk(0, false, [&visit](const Member& member) {
    visit(member.name, EncodeScore(member.score));
    return true;
  });
}

uint64_t SortedSetObject::CountBefore(
    absl::FunctionRef<bool(const Member& member)> is_before) const {
  if (large_ != nullptr) {
    return large_->tree.CountBefore([&](const ScoreTree::Entry& entry) {
      return is_before({entry.member(), entry.score});
    });
  }
  uint64_t before = 0;
  for (size_t i = 0; i < small_.size(); ++before) {
    const Place place = At(i);
    if (!is_before(place.member)) break;
    i = place.end;
  }
  return before;
}

void SortedSetObject::Walk(uint64_t rank, bool backwards,
                           absl::FunctionRef<bool(const Member& member)> visit) const {
  if (large_ != nullptr) {
    large_->tree.Walk(rank, backwards, [&visit](const ScoreTree::Entry& entry) {
      return visit({entry.member(), entry.score});
    });
    return;
  }
  if (rank >= count_) return;
  // The small form can only be read forwards.
  std::vector<Member> passed;
  if (backwards) passed.reserve(rank + 1);
  size_t at = 0;
  for (uint64_t i = 0; i < count_; ++i) {
    const Place place = At(at);
    at = place.end;
    if (backwards) {
      passed.push_back(place.member);
      if (i == rank) break;
    } else if (i >= rank && !visit(place.member)) {
      return;
    }
  }
  while (!passed.empty() && visit(passed.back())) passed.pop_back();
}

uint64_t SortedSetObject::Scan(uint64_t cursor, size_t count,
                               absl::FunctionRef<void(const Member& member)> visit) const {
  if (large_ != nullptr) {
    return large_->table.Scan(cursor, count, [&visit](const Element& element) {
      visit({element.key(), ScoreOf(element)});
    });
  }
  Walk(0, false, [&visit](const Member& member) {
    visit(member);
    return true;
  });
  return 0;
}

SortedSetObject::Member SortedSetObject::Random(Rng* rng) const {
  CHECK(size() > 0);
  Member chosen;
  Walk(rng->Below(size()), false, [&chosen](const Member& member) {
    chosen = member;
    return false;
  });
  return chosen;
}

}  // namespace holdfast::data
