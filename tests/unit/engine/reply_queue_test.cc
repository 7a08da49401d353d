#include "engine/reply_queue.h"

#include <doctest/doctest.h>

namespace holdfast::engine {
namespace {

void Ready(ReplyQueue* queue, const char* text) {
  queue->Begin(nullptr)->append(text);
  queue->CommitReady();
}

std::string Take(ReplyQueue* queue) {
  std::string out;
  queue->TakeReady(&out);
  return out;
}

TEST_CASE("replies leave in the order of their requests") {
  ReplyQueue queue;
  Ready(&queue, "a");
  const uint64_t slot = queue.Reserve();
  Ready(&queue, "c");
  const uint64_t second = queue.Reserve();
  CHECK(Take(&queue) == "a");
  CHECK(queue.open_slots() == 2);
  CHECK(queue.Fill(second, "d"));
  CHECK(Take(&queue) == "");
  CHECK(queue.Fill(slot, "b"));
  CHECK_FALSE(queue.Fill(slot, "again"));
  CHECK(Take(&queue) == "bcd");
  CHECK(queue.empty());
  CHECK(queue.bytes() == 0);
}

TEST_CASE("an abandoned reply leaves no trace") {
  ReplyQueue queue;
  Ready(&queue, "a");
  queue.Begin(nullptr)->append("dropped");
  queue.Abandon();
  Ready(&queue, "b");
  CHECK(Take(&queue) == "ab");
  queue.Begin(nullptr)->append("dropped");
  queue.Abandon();
  CHECK(queue.empty());
  CHECK(Take(&queue) == "");
}

TEST_CASE("slots are found however many replies went before") {
  ReplyQueue queue;
  uint64_t stale = queue.Reserve();
  queue.Fill(stale, "");
  for (int round = 0; round < 1000; ++round) {
    std::vector<uint64_t> slots;
    std::string expected;
    for (int i = 0; i < 7; ++i) {
      Ready(&queue, "r");
      slots.push_back(queue.Reserve());
      expected += "rs";
    }
    for (size_t i = slots.size(); i > 0; --i) CHECK(queue.Fill(slots[i - 1], "s"));
    CHECK(Take(&queue) == expected);
    CHECK_FALSE(queue.Fill(stale, "x"));
    stale = slots[0];
  }
  CHECK_FALSE(queue.Fill(1'000'000, "x"));
}

TEST_CASE("what is put before the last slot leaves behind everything that came earlier") {
  ReplyQueue queue;
  Ready(&queue, "a");
  const uint64_t early = queue.Reserve();
  const uint64_t slot = queue.Reserve();
  CHECK(queue.PutBefore(slot, "1"));
  CHECK(queue.PutBefore(slot, "2"));
  CHECK(queue.bytes() == 3);
  CHECK(Take(&queue) == "a");
  CHECK(queue.bytes() == 2);
  CHECK(queue.Fill(early, "b"));
  CHECK(Take(&queue) == "b12");
  CHECK(queue.bytes() == 0);
  CHECK(Take(&queue).empty());
  CHECK(queue.PutBefore(slot, "3"));
  CHECK(queue.Fill(slot, "c"));
  Ready(&queue, "d");
  CHECK(Take(&queue) == "3cd");
  CHECK(queue.empty());
  CHECK(queue.bytes() == 0);
}

TEST_CASE("nothing is put before a slot that is filled, gone or not the last") {
  ReplyQueue queue;
  CHECK_FALSE(queue.PutBefore(0, "x"));
  CHECK_FALSE(queue.PutBefore(1, "x"));
  const uint64_t first = queue.Reserve();
  CHECK(queue.PutBefore(first, "1"));
  const uint64_t second = queue.Reserve();
  CHECK_FALSE(queue.PutBefore(first, "x"));
  // One place at a time.
  CHECK_FALSE(queue.PutBefore(second, "x"));
  CHECK(queue.Fill(first, "a"));
  CHECK(Take(&queue) == "1a");
  CHECK(queue.PutBefore(second, "2"));
  CHECK(queue.Fill(second, "b"));
  CHECK_FALSE(queue.PutBefore(second, "x"));
  CHECK(Take(&queue) == "2b");
  CHECK_FALSE(queue.PutBefore(second, "x"));
}

}  // namespace
}  // namespace holdfast::engine
