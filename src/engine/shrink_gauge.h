// When a partition's store is worth compacting (P35). LevelDB compacts by what is written; of
// records that were deleted it keeps the bytes until as much is written again, which may be never.
//
// Due is a partition whose keys take less than half of what they once took since the last pass. A
// steady load never gets there, however much it overwrites, deletes and makes anew: its garbage
// goes with LevelDB's own compactions. A shrinking partition is rewritten at each halving, so that
// all passes together rewrite at most twice what was deleted; and a partition that is filled and
// emptied over and over inside the write-behind is left alone, because little of it reaches the
// store.
//
// Counts only; no thread of its own.
#pragma once

#include <algorithm>
#include <cstdint>

namespace holdfast::engine {

class ShrinkGauge {
 public:
  // Less garbage than this is not worth a pass.
  static constexpr uint64_t kMinGarbageBytes = uint64_t{4} << 20;

  // The partition's store takes `bytes` when it is opened.
  void Opened(uint64_t bytes) { stored_bytes_ = peak_bytes_ = bytes; }
  // A write of `written` bytes has brought the store up to keys of `live` bytes, roughly.
  void Written(uint64_t written, uint64_t live) {
    stored_bytes_ += written;
    peak_bytes_ = std::max(peak_bytes_, live);
  }
  // The keys take `live` bytes now.
  bool Due(uint64_t live) const {
    const uint64_t worth = std::max(live, kMinGarbageBytes);
    return Excess(peak_bytes_, live) >= worth && Excess(stored_bytes_, live) >= worth;
  }
  // A pass begins, which leaves `live` bytes. What is deleted while it runs counts for the next
  // one.
  void PassBegins(uint64_t live) { stored_bytes_ = peak_bytes_ = live; }

 private:
  static uint64_t Excess(uint64_t held, uint64_t live) { return held > live ? held - live : 0; }

  uint64_t stored_bytes_ = 0;  // at most so much is in the store, garbage included
  uint64_t peak_bytes_ = 0;    // the most that the keys took
};

}  // namespace holdfast::engine
