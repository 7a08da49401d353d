// The log as a core sees it: hand over records, hear when they are durable.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "storage/file_system.h"
#include "storage/wal.h"

namespace holdfast::storage {

// Methods are for the loop thread of the owning core, unless they say otherwise.
class Log {
 public:
  Log() = default;
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  virtual ~Log() = default;

  // Queues the records and returns their ticket; tickets count up from 1. Everything queued while
  // a frame is being written goes into the next frame, in order. Takes the batch and leaves an
  // empty one that may have a used buffer. REQUIRES: the batch is not empty.
  virtual uint64_t Submit(WalBatch&& batch) = 0;

  // Every batch with this ticket or a lower one is durable. Any thread.
  virtual uint64_t durable_ticket() const = 0;

  // Bytes submitted and not yet durable. Any thread.
  virtual uint64_t pending_bytes() const = 0;

  // True when so much is pending that the core must stop taking in work. Submit goes on working for
  // a while (the turn may be finished), but at twice the limit it blocks.
  virtual bool saturated() const = 0;

  // Asks for the removal of segments, see WalWriter. Happens later; only the latest index of each
  // partition counts.
  virtual void RemoveObsolete(const AppliedIndexes& applied) = 0;

  // Free bytes of the disk that holds the log, sampled at most every 100 ms while the log is in
  // use and every second while it is not (P43). Any thread.
  virtual uint64_t free_bytes() const = 0;

  // Bytes of log segments on disk that this core has written in this boot. Any thread.
  virtual uint64_t segment_bytes() const = 0;
};

struct LogOptions {
  uint64_t max_pending_bytes = uint64_t{64} << 20;
  // Called on the log thread after each frame became durable: wake the loop. Must not block.
  std::function<void()> on_durable;
  // Called once on the log thread when the log failed; must not return in production, where it is
  // Fatal(). When it returns (tests), nothing becomes durable any more.
  std::function<void(const Status&)> on_failure;  // empty: Fatal()
};

// The log with a thread of its own.
class LogThread final : public Log {
 public:
  // `name` (at most 15 bytes) names the thread. `fs` must outlive this.
  LogThread(std::string name, FileSystem* fs, std::string directory,
            std::unique_ptr<WalWriter> writer, LogOptions options);
  // Stop().
  ~LogThread() override;

  uint64_t Submit(WalBatch&& batch) override;
  uint64_t durable_ticket() const override { return durable_.load(std::memory_order_acquire); }
  uint64_t pending_bytes() const override { return pending_.load(std::memory_order_relaxed); }
  bool saturated() const override { return pending_bytes() >= options_.max_pending_bytes; }
  void RemoveObsolete(const AppliedIndexes& applied) override;
  uint64_t free_bytes() const override { return free_bytes_.load(std::memory_order_relaxed); }
  uint64_t segment_bytes() const override { return segment_bytes_.load(std::memory_order_relaxed); }

  // Writes everything submitted, then ends the thread. on_durable may be called until it returns.
  void Stop();

  // Frames written. Any thread.
  uint64_t frames() const { return frames_.load(std::memory_order_relaxed); }

 private:
  void Run();
  bool WaitForWork(std::vector<WalBatch>* batches, AppliedIndexes* applied, uint64_t* ticket);
  void WriteFrame(std::vector<WalBatch>* batches, uint64_t ticket);
  void Fail(const Status& status);
  void SampleFreeBytes(bool always);

  const std::string name_;
  FileSystem* const fs_;
  const std::string directory_;
  const LogOptions options_;
  std::unique_ptr<WalWriter> writer_;  // log thread only

  std::atomic<uint64_t> durable_{0};
  std::atomic<uint64_t> pending_{0};
  std::atomic<uint64_t> free_bytes_{UINT64_MAX};
  std::atomic<uint64_t> segment_bytes_{0};
  std::atomic<uint64_t> frames_{0};

  std::mutex mutex_;
  std::condition_variable work_;  // the log thread waits for work
  std::condition_variable room_;  // Submit waits at the hard limit
  std::vector<WalBatch> queue_;
  std::vector<WalBatch> spare_;  // cleared batches, for reuse
  AppliedIndexes obsolete_;
  uint64_t next_ticket_ = 1;
  bool sleeping_ = false;
  bool stopping_ = false;
  bool failed_ = false;  // set by the log thread only, which may read it without the mutex

  int64_t sampled_at_ns_ = 0;
  std::thread thread_;
};

// The log without a thread, for simulation: frames are written when the owner says so. One thread.
class ManualLog final : public Log {
 public:
  ManualLog(FileSystem* fs, std::string directory, std::unique_ptr<WalWriter> writer,
            LogOptions options);

  uint64_t Submit(WalBatch&& batch) override;
  uint64_t durable_ticket() const override { return durable_; }
  uint64_t pending_bytes() const override { return pending_; }
  bool saturated() const override { return pending_ >= options_.max_pending_bytes; }
  void RemoveObsolete(const AppliedIndexes& applied) override;
  uint64_t free_bytes() const override;
  uint64_t segment_bytes() const override { return writer_->bytes(); }

  // Writes everything submitted as one frame, then removes what was asked for. Returns the writer's
  // status after calling on_failure; nothing happens once it has failed.
  Status Step();
  // Whether Step() would do anything.
  bool has_work() const { return !queue_.empty() || !obsolete_.empty(); }

 private:
  FileSystem* const fs_;
  const std::string directory_;
  const LogOptions options_;
  std::unique_ptr<WalWriter> writer_;
  std::vector<WalBatch> queue_;
  AppliedIndexes obsolete_;
  uint64_t next_ticket_ = 1;
  uint64_t durable_ = 0;
  uint64_t pending_ = 0;
  bool failed_ = false;
};

}  // namespace holdfast::storage
