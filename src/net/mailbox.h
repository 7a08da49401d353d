// Messages between cores: tasks that one thread has another's loop run.
//
//     sender's turn:  outbox.Post(task) …            (no lock, no system call)
//     its end:        outbox.Flush()                 (one lock, at most one system call)
//     receiver:       runs them in its next turn, at most kTasksPerTurn a turn
//
// What one Outbox (or one thread, for PostFromAnyThread) posts runs in that order. Nothing is ever
// dropped: the bound is kept by senders, who ask congested() and stop taking in new work.
#pragma once

#include <absl/functional/any_invocable.h>

#include <atomic>
#include <cstddef>
#include <mutex>
#include <vector>

#include "net/event_loop.h"

namespace holdfast::net {

using Task = absl::AnyInvocable<void()>;

// The receiving end, of one loop.
class Mailbox {
 public:
  // `limit` > 0: congested above this many tasks that have not run. Loop thread.
  explicit Mailbox(EventLoop* loop, size_t limit = 16 * 1024);
  // Loop thread. REQUIRES: no other thread posts any more; not inside a task. Tasks that have not
  // run are destroyed without running.
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // Any thread; for threads that are no core (log, persister). Costs a lock a call, and a system
  // call when the loop sleeps.
  void PostFromAnyThread(Task task);

  // Tasks posted (and flushed) that have not run. Any thread; exact on no thread.
  size_t pending() const { return pending_.load(std::memory_order_relaxed); }
  // Senders should take in no new work for this target. Any thread.
  bool congested() const { return pending() > limit_; }

  static constexpr size_t kTasksPerTurn = 4096;

 private:
  friend class Outbox;
  // Moves all of `tasks` in and leaves it empty. Any thread.
  void Splice(std::vector<Task>* tasks);
  // Loop thread.
  void RunTasks();

  const size_t limit_;
  std::mutex mutex_;
  std::vector<Task> incoming_;  // guarded by mutex_
  alignas(64) std::atomic<size_t> pending_{0};
  std::vector<Task> running_;  // taken from incoming_; those before next_ have run
  size_t next_ = 0;
  NextTurn more_;
  Notifier notifier_;
};

// The sending end: what one core has for one target in this turn. Thread of the sending core only.
class Outbox {
 public:
  // The target must outlive the outbox's last Flush.
  explicit Outbox(Mailbox* target) : target_(target) {}
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  void Post(Task task) { tasks_.push_back(std::move(task)); }
  // Hands everything over; call it at the end of the turn.
  void Flush() {
    if (!tasks_.empty()) target_->Splice(&tasks_);
  }
  // Tasks that were posted and not flushed.
  size_t size() const { return tasks_.size(); }
  // The target has more than its limit unhandled, counting what is still here: stop reading from
  // clients whose requests go there.
  bool congested() const { return target_->pending() + tasks_.size() > target_->limit_; }

 private:
  Mailbox* const target_;
  std::vector<Task> tasks_;
};

}  // namespace holdfast::net
