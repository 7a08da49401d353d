// A named thread with a bounded queue of tasks, for blocking work that must not run on a core's
// loop (PITFALLS P45, P54).
#pragma once

#include <absl/functional/any_invocable.h>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

namespace holdfast::storage {

// Runs tasks one after the other in the order in which they were posted.
class IoThread {
 public:
  using Task = absl::AnyInvocable<void()>;

  // More than any of its users has under way.
  static constexpr size_t kMaxTasks = 4096;

  // `name` (at most 15 bytes) is the thread's name for the operating system. `max_tasks` > 0 bounds
  // the tasks that wait, not counting the one that runs.
  explicit IoThread(std::string name, size_t max_tasks = kMaxTasks);
  // As Stop().
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  // False when the queue is full or the thread is stopping; `task` is untouched then and may be
  // posted again. Any thread.
  [[nodiscard]] bool TryPost(Task&& task);

  // Tasks that wait or run. Any thread.
  size_t pending() const { return pending_.load(std::memory_order_acquire); }

  // Runs what was posted, then ends the thread. Any thread but this one; more than once is fine.
  void Stop();

 private:
  void Run();

  const std::string name_;
  const size_t max_tasks_;
  std::atomic<size_t> pending_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> tasks_;
  bool stopping_ = false;
  std::mutex join_mutex_;
  std::thread thread_;
};

}  // namespace holdfast::storage
