// Times a piece of work that no client asked for, for LATENCY; does nothing while that is off.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/partition.h"

namespace holdfast::engine {

class LatencyTimer {
 public:
  LatencyTimer(PartitionHost* host, std::string_view event)
      : host_(host->config().latency_monitor_threshold_ms > 0 ? host : nullptr),
        event_(event),
        begin_ns_(host_ == nullptr ? 0 : host->clock().MonotonicNs()) {}
  ~LatencyTimer() {
    if (host_ != nullptr) host_->NoteLatency(event_, host_->clock().MonotonicNs() - begin_ns_);
  }
  LatencyTimer(const LatencyTimer&) = delete;
  LatencyTimer& operator=(const LatencyTimer&) = delete;

 private:
  PartitionHost* const host_;
  const std::string_view event_;
  const int64_t begin_ns_;
};

}  // namespace holdfast::engine
