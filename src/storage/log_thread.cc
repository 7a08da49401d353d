#include "storage/log_thread.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

namespace holdfast::storage {
namespace {

constexpr size_t kSpareBatches = 4;
constexpr int64_t kSampleNs = 100'000'000;

// An idle log still looks at the disk now and then: writes that were refused because it was full
// must be let in again when somebody has made room.
constexpr std::chrono::seconds kIdle{1};

void Merge(const AppliedIndexes& from, AppliedIndexes* into) {
  for (const auto& [partition, index] : from) {
    uint64_t& known = (*into)[partition];
    known = std::max(known, index);
  }
}

void ReportFailure(const LogOptions& options, const Status& status) {
  if (options.on_failure) {
    options.on_failure(status);
  } else {
    Fatal("the log failed, ending so that nothing unsafe is acknowledged: " + status.message());
  }
}

}  // namespace

LogThread::LogThread(std::string name, FileSystem* fs, std::string directory,
                     std::unique_ptr<WalWriter> writer, LogOptions options)
    : name_(std::move(name)),
      fs_(fs),
      directory_(std::move(directory)),
      options_(std::move(options)),
      writer_(std::move(writer)) {
  CHECK(name_.size() <= 15);
  CHECK(writer_ != nullptr);
  SampleFreeBytes(true);
  segment_bytes_ = writer_->bytes();
  thread_ = std::thread([this] { Run(); });
}

LogThread::~LogThread() { Stop(); }

uint64_t LogThread::Submit(WalBatch&& batch) {
  CHECK(!batch.empty());
  std::unique_lock<std::mutex> lock(mutex_);
  // The caller should have stopped taking in work long before; this only keeps memory bounded.
  room_.wait(lock, [this] { return failed_ || pending_bytes() < 2 * options_.max_pending_bytes; });
  CHECK(!stopping_);
  pending_.fetch_add(batch.bytes(), std::memory_order_relaxed);
  queue_.push_back(std::move(batch));
  if (spare_.empty()) {
    batch = WalBatch();
  } else {
    batch = std::move(spare_.back());
    spare_.pop_back();
  }
  const uint64_t ticket = next_ticket_++;
  // A log thread that is writing looks at the queue by itself; only a sleeping one costs a call.
  const bool wake = std::exchange(sleeping_, false);
  lock.unlock();
  if (wake) work_.notify_one();
  return ticket;
}

void LogThread::RemoveObsolete(const AppliedIndexes& applied) {
  bool wake;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    Merge(applied, &obsolete_);
    wake = std::exchange(sleeping_, false);
  }
  if (wake) work_.notify_one();
}

void LogThread::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    sleeping_ = false;
  }
  work_.notify_one();
  if (thread_.joinable()) thread_.join();
}

// False when there is nothing left to do and the log is stopping. Nothing taken: an idle round.
bool LogThread::WaitForWork(std::vector<WalBatch>* batches, AppliedIndexes* applied,
                            uint64_t* ticket) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto has_work = [this] { return stopping_ || !queue_.empty() || !obsolete_.empty(); };
  if (!has_work()) {
    sleeping_ = true;
    work_.wait_for(lock, kIdle, has_work);
    sleeping_ = false;
  }
  if (queue_.empty() && obsolete_.empty()) return !stopping_;
  batches->swap(queue_);
  applied->swap(obsolete_);
  *ticket = next_ticket_ - 1;
  return true;
}

void LogThread::Run() {
  pthread_setname_np(pthread_self(), name_.c_str());
  std::vector<WalBatch> batches;
  AppliedIndexes applied;
  uint64_t ticket = 0;
  while (WaitForWork(&batches, &applied, &ticket)) {
    if (!batches.empty()) WriteFrame(&batches, ticket);
    // Removal comes after the records that were submitted before it was asked for.
    if (!applied.empty() && !failed_) {
      const Status status = writer_->RemoveObsolete(applied);
      if (!status.ok()) Fail(status);
    }
    applied.clear();
    segment_bytes_.store(writer_->bytes(), std::memory_order_relaxed);
    SampleFreeBytes(false);
  }
}

void LogThread::WriteFrame(std::vector<WalBatch>* batches, uint64_t ticket) {
  uint64_t bytes = 0;
  for (const WalBatch& batch : *batches) bytes += batch.bytes();
  if (!failed_) {
    const Status status = writer_->Append(*batches);
    if (status.ok()) {
      frames_.fetch_add(1, std::memory_order_relaxed);
      durable_.store(ticket, std::memory_order_release);
      pending_.fetch_sub(bytes, std::memory_order_relaxed);
      if (options_.on_durable) options_.on_durable();
    } else {
      Fail(status);
    }
  }
  for (WalBatch& batch : *batches) batch.Clear();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    while (!batches->empty() && spare_.size() < kSpareBatches) {
      spare_.push_back(std::move(batches->back()));
      batches->pop_back();
    }
  }
  batches->clear();
  room_.notify_one();
}

void LogThread::Fail(const Status& status) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (failed_) return;
    failed_ = true;
  }
  room_.notify_one();
  ReportFailure(options_, status);
}

void LogThread::SampleFreeBytes(bool always) {
  const int64_t now = SystemClock()->MonotonicNs();
  if (!always && now - sampled_at_ns_ < kSampleNs) return;
  sampled_at_ns_ = now;
  // Not knowing is no reason to stop: a full disk will say so itself.
  const auto free = fs_->FreeBytes(directory_);
  if (free.ok()) free_bytes_.store(free.value(), std::memory_order_relaxed);
}

ManualLog::ManualLog(FileSystem* fs, std::string directory, std::unique_ptr<WalWriter> writer,
                     LogOptions options)
    : fs_(fs),
      directory_(std::move(directory)),
      options_(std::move(options)),
      writer_(std::move(writer)) {
  CHECK(writer_ != nullptr);
}

uint64_t ManualLog::Submit(WalBatch&& batch) {
  CHECK(!batch.empty());
  pending_ += batch.bytes();
  queue_.push_back(std::move(batch));
  batch = WalBatch();
  return next_ticket_++;
}

void ManualLog::RemoveObsolete(const AppliedIndexes& applied) { Merge(applied, &obsolete_); }

uint64_t ManualLog::free_bytes() const {
  const auto free = fs_->FreeBytes(directory_);
  return free.ok() ? free.value() : UINT64_MAX;
}

Status ManualLog::Step() {
  if (failed_) return writer_->status();
  const uint64_t ticket = next_ticket_ - 1;
  Status status = writer_->Append(queue_);
  if (status.ok()) {
    const bool wrote = !queue_.empty();
    queue_.clear();
    pending_ = 0;
    durable_ = ticket;
    if (wrote && options_.on_durable) options_.on_durable();
    if (!obsolete_.empty()) status = writer_->RemoveObsolete(std::exchange(obsolete_, {}));
  }
  if (!status.ok()) {
    failed_ = true;
    ReportFailure(options_, status);
  }
  return status;
}

}  // namespace holdfast::storage
