#include "net/mailbox.h"

#include <iterator>
#include <utility>

#include "base/check.h"

namespace holdfast::net {

Mailbox::Mailbox(EventLoop* loop, size_t limit)
    : limit_(limit), more_(loop, [this] { RunTasks(); }), notifier_(loop, [this] {
        // A notification that comes while a rest is waiting for its turn must not make this turn
        // longer.
        if (!more_.scheduled()) RunTasks();
      }) {
  CHECK(limit > 0);
}

Mailbox::~Mailbox() = default;

void Mailbox::PostFromAnyThread(Task task) {
  // Counted before it can be taken, so that the count never falls below zero.
  pending_.fetch_add(1, std::memory_order_relaxed);
  {
    std::lock_guard lock(mutex_);
    incoming_.push_back(std::move(task));
  }
  notifier_.Notify();
}

void Mailbox::Splice(std::vector<Task>* tasks) {
  pending_.fetch_add(tasks->size(), std::memory_order_relaxed);
  {
    std::lock_guard lock(mutex_);
    if (incoming_.empty()) {
      // The usual case: buffers wander between sender and receiver, nothing is allocated.
      incoming_.swap(*tasks);
    } else {
      incoming_.insert(incoming_.end(), std::make_move_iterator(tasks->begin()),
                       std::make_move_iterator(tasks->end()));
    }
  }
  tasks->clear();
  notifier_.Notify();
}

void Mailbox::RunTasks() {
  size_t budget = kTasksPerTurn;
  while (budget > 0) {
    if (next_ == running_.size()) {
      running_.clear();
      next_ = 0;
      std::lock_guard lock(mutex_);
      if (incoming_.empty()) return;
      running_.swap(incoming_);
    }
    // Out of the vector first: what a task holds is released when it is done.
    Task task = std::move(running_[next_++]);
    task();
    --budget;
    pending_.fetch_sub(1, std::memory_order_relaxed);
  }
  // Also when running_ is used up: the notification for what came in meanwhile may be the one that
  // this call answered.
  more_.Schedule();
}

}  // namespace holdfast::net
