// P42: a torn tail is told from corruption.
#include <string>
#include <vector>

#include "base/rng.h"
#include "storage/wal.h"
#include "storage/wal_format.h"
#include "test_files.h"
#include "wal_model.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::storage {
namespace {

using wal_internal::AlignUp;
using wal_internal::kFrameHeaderBytes;

// A log of one segment with its frames' borders; border[i] is where frame i starts.
struct Log {
  std::string path;
  std::string bytes;  // without the zeros behind the last frame
  std::vector<size_t> borders;
  size_t filled = 0;  // size of the file

  size_t frames() const { return borders.size() - 1; }
  // The frame that holds byte `at`; the header counts as part of frame 0.
  size_t FrameOf(size_t at) const {
    size_t frame = 0;
    while (frame + 1 < frames() && at >= borders[frame + 1]) ++frame;
    return frame;
  }
};

constexpr size_t kFrames = 6;

Log MakeLog(SimFileSystem* fs, bool sync = true, uint64_t boot = 1) {
  Log log;
  WalOptions options;
  options.sync = sync;
  auto writer = NewWriter(fs, boot, 0, options);
  REQUIRE(writer.ok());
  log.borders = {wal_internal::kSegmentHeaderBytes};
  for (uint64_t i = 1; i <= kFrames; ++i) {
    const WalBatch batch = Entry(1, 1, i, std::string(20 + i * 7, static_cast<char>('a' + i)));
    REQUIRE(writer.value()->Append(batch).ok());
    log.borders.push_back(AlignUp(log.borders.back() + kFrameHeaderBytes + batch.bytes()));
  }
  log.path = SegmentFiles(*fs).back();
  const std::string contents = fs->Contents(log.path);
  log.filled = contents.size();
  log.bytes = contents.substr(0, log.borders.back());
  return log;
}

struct Setup {
  SimFileSystem fs;
  Log log;
  explicit Setup(bool sync = true) {
    REQUIRE(fs.CreateDirectory("/data").ok());
    log = MakeLog(&fs, sync);
  }

  // Recovers `bytes` as the segment; the frames found, or -1 when it is refused as corruption.
  int Try(std::string bytes, Status* status = nullptr) {
    fs.SetContents(log.path, std::move(bytes));
    Model model;
    const auto recovery = Recover(&fs, 2, &model);
    if (status != nullptr) *status = recovery.status();
    if (!recovery.ok()) {
      CHECK(recovery.status().code() == Code::kCorruption);
      return -1;
    }
    // A prefix, nothing invented.
    for (const auto& [index, entry] : model[1].entries) {
      CHECK(entry.payload == std::string(20 + index * 7, static_cast<char>('a' + index)));
    }
    CHECK(model[1].entries.size() == model[1].last());
    // What was cut is cut durably, and a second recovery finds the same and cuts nothing.
    fs.CrashLosingAll();
    Model again;
    const auto second = Recover(&fs, 3, &again);
    REQUIRE(second.ok());
    CHECK(second.value().torn_tails == 0);
    CHECK(again[1] == model[1]);
    return static_cast<int>(model[1].last());
  }
};

TEST_CASE("P42 a segment cut at any byte keeps its whole frames") {
  for (const bool fill : {false, true}) {
    Setup setup;
    for (size_t n = 0; n <= setup.log.bytes.size(); ++n) {
      std::string cut = setup.log.bytes.substr(0, n);
      if (fill) cut.resize(setup.log.filled, '\0');
      size_t whole = 0;
      while (whole < kFrames && setup.log.borders[whole + 1] <= n) ++whole;
      // The zeros that a frame is padded with may be those of the fill.
      if (fill && whole < kFrames) {
        const std::string rest = setup.log.bytes.substr(n, setup.log.borders[whole + 1] - n);
        if (rest.find_first_not_of('\0') == std::string::npos) ++whole;
      }
      CHECK(setup.Try(cut) == static_cast<int>(whole));
    }
  }
}

TEST_CASE("P42 a flipped bit in a frame that is not the last is refused, with its place") {
  Setup setup;
  const std::string good = setup.log.bytes + std::string(500, '\0');
  for (size_t bit = 0; bit < setup.log.bytes.size() * 8; ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    const size_t frame = setup.log.FrameOf(bit / 8);
    Status status;
    const int found = setup.Try(bytes, &status);
    if (frame + 1 < kFrames) {
      REQUIRE(found == -1);
      CHECK(Mentions(status, setup.log.path));
      const size_t place = bit / 8 < 64 ? 0 : setup.log.borders[frame];
      CHECK(Mentions(status, "offset " + std::to_string(place) + ":"));
    } else {
      // The last frame: nothing can tell it from one that was never finished.
      REQUIRE(found == static_cast<int>(kFrames) - 1);
    }
  }
}

TEST_CASE("P42 zeroed or overwritten stretches in the middle are refused") {
  Setup setup;
  Rng rng(5);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = setup.log.bytes;
    const size_t from = rng.Below(setup.log.borders[kFrames - 1]);
    const size_t to = from + 1 + rng.Below(setup.log.borders[kFrames - 1] - from);
    const bool zero = rng.Chance(1, 2);
    for (size_t i = from; i < to; ++i) bytes[i] = zero ? '\0' : static_cast<char>(rng.Next());
    if (bytes == setup.log.bytes) continue;
    CHECK(setup.Try(bytes) == -1);
  }
}

TEST_CASE("P42 junk behind the last frame, also old frames, is a torn tail") {
  Setup setup;
  Rng rng(6);
  for (int round = 0; round < 500; ++round) {
    std::string bytes = setup.log.bytes;
    const size_t junk = 1 + rng.Below(3000);
    for (size_t i = 0; i < junk; ++i) bytes += static_cast<char>(rng.Next());
    CHECK(setup.Try(bytes) == static_cast<int>(kFrames));
  }
  // Frames of this very segment, at another place.
  CHECK(setup.Try(setup.log.bytes + setup.log.bytes.substr(64)) == static_cast<int>(kFrames));
}

TEST_CASE("P42 with unsynced frames behind it, damage is a torn tail") {
  // Nothing says that these frames were durable: any of them may be missing after a crash.
  Setup setup(false);
  for (size_t frame = 0; frame < kFrames; ++frame) {
    std::string bytes = setup.log.bytes;
    bytes[setup.log.borders[frame] + 30] ^= 1;
    CHECK(setup.Try(bytes) == static_cast<int>(frame));
  }
}

TEST_CASE("P42 a segment that is not the last of its stream must be whole") {
  SimFileSystem fs;
  REQUIRE(fs.CreateDirectory("/data").ok());
  WalOptions options;
  options.segment_bytes = 1000;
  auto writer = NewWriter(&fs, 1, 0, options);
  REQUIRE(writer.ok());
  for (uint64_t i = 1; i <= 8; ++i) {
    REQUIRE(writer.value()->Append(Entry(1, 1, i, std::string(300, 'x'))).ok());
  }
  const std::vector<std::string> segments = SegmentFiles(fs);
  REQUIRE(segments.size() == 4);
  for (size_t segment = 0; segment < 3; ++segment) {
    const std::string good = fs.Contents(segments[segment]);
    const size_t end = 64 + 2 * AlignUp(24 + Entry(1, 1, 1, std::string(300, 'x')).bytes());
    for (const size_t n : {size_t{0}, size_t{10}, size_t{64}, size_t{100}, end / 2, end - 8}) {
      // Also a cut at a frame border, and zeros instead of a cut.
      for (const bool zeros : {false, true}) {
        std::string cut = good.substr(0, n);
        if (zeros) cut.resize(good.size(), '\0');
        fs.SetContents(segments[segment], cut);
        const auto recovery = Recover(&fs, 2, nullptr);
        REQUIRE(recovery.status().code() == Code::kCorruption);
        CHECK(Mentions(recovery.status(), segments[segment]));
      }
    }
    fs.SetContents(segments[segment], good);
  }
  // The last one may be torn, also in its header.
  const std::string good = fs.Contents(segments[3]);
  for (const size_t n : {size_t{0}, size_t{10}, size_t{64}, size_t{100}}) {
    fs.SetContents(segments[3], good.substr(0, n));
    Model model;
    REQUIRE(Recover(&fs, 2, &model).ok());
    CHECK(model[1].last() == 6);
    // It is still there and valid: its name tells that the boots before it were recovered.
    CHECK(SegmentFiles(fs).size() == 4);
    CHECK(fs.Contents(segments[3]).size() == 64);
    REQUIRE(Recover(&fs, 2, &model).ok());
  }
}

TEST_CASE("P42 the tail of an older boot was cut by the recovery after it") {
  Setup setup;
  const std::string torn = setup.log.bytes.substr(0, setup.log.bytes.size() - 8);
  setup.fs.SetContents(setup.log.path, torn);
  SUBCASE("torn while its boot is the newest: cut") { CHECK(setup.Try(torn) == kFrames - 1); }
  SUBCASE("torn although a newer boot exists: damaged since") {
    REQUIRE(NewWriter(&setup.fs, 2, 3).ok());
    const auto recovery = Recover(&setup.fs, 3, nullptr);
    CHECK(recovery.status().code() == Code::kCorruption);
  }
  SUBCASE("other cores of the newest boot may be torn too") {
    REQUIRE(NewWriter(&setup.fs, 1, 3).value()->Append(Entry(2, 1, 1, "x")).ok());
    const std::string second = SegmentFiles(setup.fs).back();
    setup.fs.SetContents(second, setup.fs.Contents(second).substr(0, 70));
    Model model;
    const auto recovery = Recover(&setup.fs, 2, &model);
    REQUIRE(recovery.ok());
    CHECK(recovery.value().torn_tails == 2);
    CHECK(model[1].last() == kFrames - 1);
    CHECK(model.count(2) == 0);
  }
}

TEST_CASE("P42 a crash or an error during recovery changes nothing that matters") {
  for (const Fault fault : {Fault::kIoError, Fault::kNoSpace, Fault::kShortWrite}) {
    for (const size_t cut : {size_t{30}, size_t{64}, size_t{150}, size_t{400}}) {
      bool failed = true;
      for (uint64_t nth = 1; failed; ++nth) {
        Setup setup;
        setup.fs.SetContents(setup.log.path, setup.log.bytes.substr(0, cut) + "junk");
        Model expected;
        {
          Setup clean;
          clean.fs.SetContents(clean.log.path, clean.log.bytes.substr(0, cut));
          REQUIRE(Recover(&clean.fs, 2, &expected).ok());
        }
        Rng rng(nth);
        setup.fs.FailNth(nth, fault);
        const auto first = Recover(&setup.fs, 2, nullptr);
        failed = setup.fs.fault_happened();
        CHECK(first.ok() != failed);
        setup.fs.ClearFaults();
        setup.fs.Crash(&rng);
        Model model;
        const auto second = Recover(&setup.fs, 3, &model);
        REQUIRE(second.status().message() == "");
        CHECK(model == expected);
      }
    }
  }
}

TEST_CASE("an unreadable segment is an error, not a torn tail") {
  Setup setup;
  bool failed = true;
  for (uint64_t nth = 1; failed; ++nth) {
    setup.fs.FailNth(FileCall::kRead, nth, Fault::kIoError);
    const auto recovery = Recover(&setup.fs, 2, nullptr);
    failed = setup.fs.fault_happened();
    CHECK((recovery.status().code() == Code::kIoError) == failed);
  }
  CHECK(setup.fs.Contents(setup.log.path).substr(0, setup.log.bytes.size()) == setup.log.bytes);
}

}  // namespace
}  // namespace holdfast::storage
