#include "base/clock.h"

#include <ctime>

namespace holdfast {
namespace {

int64_t Read(clockid_t id) {
  timespec ts;
  clock_gettime(id, &ts);
  return static_cast<int64_t>(ts.tv_sec) * 1'000'000'000 + ts.tv_nsec;
}

class RealClock final : public Clock {
 public:
  int64_t WallMs() const override { return Read(CLOCK_REALTIME) / 1'000'000; }
  int64_t WallUs() const override { return Read(CLOCK_REALTIME) / 1000; }
  int64_t MonotonicNs() const override { return Read(CLOCK_MONOTONIC); }
};

}  // namespace

Clock* SystemClock() {
  static RealClock clock;
  return &clock;
}

}  // namespace holdfast
