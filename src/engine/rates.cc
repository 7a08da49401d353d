#include "engine/rates.h"

namespace holdfast::engine {

void RateMeter::Sample(int64_t now_ms, const Totals& totals) {
  const int64_t passed_ms = now_ms - last_ms_;
  if (last_ms_ != 0 && passed_ms < kIntervalMs) return;
  const bool reset = totals.commands < last_.commands || totals.input_bytes < last_.input_bytes ||
                     totals.output_bytes < last_.output_bytes;
  if (last_ms_ != 0 && !reset) {
    const auto rate = [passed_ms](uint64_t now, uint64_t before) {
      return (now - before) * 1000 / static_cast<uint64_t>(passed_ms);
    };
    samples_[next_] = {rate(totals.commands, last_.commands),
                       rate(totals.input_bytes, last_.input_bytes),
                       rate(totals.output_bytes, last_.output_bytes)};
    next_ = (next_ + 1) % kSamples;
  }
  last_ms_ = now_ms;
  last_ = totals;
}

RateMeter::Totals RateMeter::PerSecond() const {
  Totals sum;
  for (const Totals& sample : samples_) {
    sum.commands += sample.commands;
    sum.input_bytes += sample.input_bytes;
    sum.output_bytes += sample.output_bytes;
  }
  return {sum.commands / kSamples, sum.input_bytes / kSamples, sum.output_bytes / kSamples};
}

}  // namespace holdfast::engine
