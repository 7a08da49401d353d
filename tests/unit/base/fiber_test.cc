#include "base/fiber.h"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace holdfast {
namespace {

TEST_CASE("work stops in the middle and goes on") {
  Fiber fiber(size_t{256} << 10);
  std::vector<int> seen;
  CHECK_FALSE(fiber.Run([&] {
    CHECK(fiber.inside());
    std::string local = "kept";
    for (int i = 0; i < 3; ++i) {
      seen.push_back(i);
      fiber.Pause();
    }
    CHECK(local == "kept");
  }));
  CHECK(seen == std::vector<int>{0});
  CHECK_FALSE(fiber.inside());
  CHECK_FALSE(fiber.Resume());
  CHECK_FALSE(fiber.Resume());
  CHECK_FALSE(fiber.idle());
  CHECK(fiber.Resume());
  CHECK(fiber.idle());
  CHECK(seen == std::vector<int>{0, 1, 2});
}

TEST_CASE("one stack serves many pieces of work, and two of them at a time") {
  Fiber a(size_t{256} << 10);
  Fiber b(size_t{256} << 10);
  int done = 0;
  for (int i = 0; i < 1000; ++i) {
    CHECK_FALSE(a.Run([&] {
      a.Pause();
      ++done;
    }));
    CHECK_FALSE(b.Run([&] {
      b.Pause();
      ++done;
    }));
    CHECK(a.Resume());
    CHECK(b.Resume());
    CHECK(a.Run([&] { ++done; }));
  }
  CHECK(done == 3000);
}

TEST_CASE("exceptions stay inside") {
  Fiber fiber(size_t{256} << 10);
  bool caught = false;
  CHECK(fiber.Run([&] {
    try {
      throw std::runtime_error("inside");
    } catch (const std::exception&) {
      caught = true;
    }
  }));
  CHECK(caught);
}

}  // namespace
}  // namespace holdfast
