// The id of a stream's entry: milliseconds since 1970 UTC, or whatever the client says instead, and
// a sequence number among the entries of one millisecond. Any thread.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast {
class ByteReader;
}

namespace holdfast::data {

struct StreamId {
  uint64_t ms = 0;
  uint64_t seq = 0;

  static constexpr size_t kBytes = 16;
  static constexpr StreamId Max() { return {UINT64_MAX, UINT64_MAX}; }
  bool is_zero() const { return ms == 0 && seq == 0; }

  auto operator<=>(const StreamId&) const = default;

  // The neighbour. False at the last (first) id, which then stays.
  [[nodiscard]] bool Increment();
  [[nodiscard]] bool Decrement();

  // "ms-seq", as clients see it.
  std::string Text() const;
  // As it stands in a record: two big-endian numbers, which sort as ids do.
  void AppendTo(std::string* out) const;
  // REQUIRES: kBytes bytes.
  static StreamId Load(const char* bytes);
};

// Reads what AppendTo wrote. False when there are too few bytes.
[[nodiscard]] bool ReadStreamId(ByteReader* in, StreamId* id);

}  // namespace holdfast::data
