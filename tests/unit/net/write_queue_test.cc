#include "net/write_queue.h"

#include "base/rng.h"  // before doctest, whose CHECK replaces base's

#include <doctest/doctest.h>
#include <sys/uio.h>

#include <algorithm>
#include <string>
#include <utility>

namespace holdfast::net {
namespace {

// What a system call would see of the front.
std::string Front(const WriteQueue& queue, int max_parts) {
  iovec parts[64];
  const int n = queue.Front(parts, max_parts);
  std::string all;
  for (int i = 0; i < n; ++i) {
    CHECK(parts[i].iov_len > 0);
    all.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
  }
  return all;
}

TEST_CASE("a write queue gives back what was put in") {
  // Against the dumbest model: one string.
  Rng rng(7);
  for (int round = 0; round < 200; ++round) {
    WriteQueue queue;
    std::string model;
    char next = 'a';
    for (int step = 0; step < 200; ++step) {
      const uint64_t what = rng.Below(4);
      // Sizes around the thresholds of copying and of a chunk.
      const size_t sizes[] = {1, 3, 200, 511, 512, 600, 8191, 8192, 20'000};
      if (what <= 1) {
        std::string piece(sizes[rng.Below(9)], next++);
        if (next > 'z') next = 'a';
        if (what == 0) {
          queue.Append(piece);
          model += piece;
        } else {
          const size_t offset = queue.empty() ? rng.Below(piece.size() + 1) : 0;
          model += piece.substr(offset);
          queue.AppendOwned(std::move(piece), offset);
        }
      } else {
        const std::string front = Front(queue, 1 + static_cast<int>(rng.Below(64)));
        REQUIRE(front == model.substr(0, front.size()));
        REQUIRE(front.empty() == model.empty());
        const size_t n = front.empty() ? 0 : rng.Below(front.size() + 1);
        queue.Consume(n);
        model.erase(0, n);
      }
      REQUIRE(queue.bytes() == model.size());
      REQUIRE(queue.empty() == model.empty());
    }
  }
}

TEST_CASE("small pieces share chunks") {
  WriteQueue queue;
  for (int i = 0; i < 10'000; ++i) queue.Append("+OK\r\n");
  iovec parts[64];
  CHECK(queue.Front(parts, 64) <= 6);
  CHECK(queue.bytes() == 50'000);
}

TEST_CASE("a large owned string is not copied") {
  WriteQueue queue;
  std::string big(1'000'000, 'x');
  const void* const bytes = big.data();
  queue.AppendOwned(std::move(big), 10);
  iovec part;
  REQUIRE(queue.Front(&part, 1) == 1);
  CHECK(part.iov_base == static_cast<const char*>(bytes) + 10);
  CHECK(part.iov_len == 999'990);
}

TEST_CASE("clearing forgets everything") {
  WriteQueue queue;
  queue.AppendOwned(std::string(1000, 'a'), 500);
  queue.Append("tail");
  queue.Clear();
  CHECK(queue.empty());
  queue.Append("new");
  CHECK(Front(queue, 64) == "new");
}

}  // namespace
}  // namespace holdfast::net
