#include "storage/io_thread.h"

#include <pthread.h>

#include <utility>

#include "base/check.h"

namespace holdfast::storage {

IoThread::IoThread(std::string name, size_t max_tasks)
    : name_(std::move(name)), max_tasks_(max_tasks) {
  CHECK(name_.size() <= 15);
  CHECK(max_tasks_ > 0);
  thread_ = std::thread([this] { Run(); });
}

IoThread::~IoThread() { Stop(); }

bool IoThread::TryPost(Task&& task) {
  CHECK(task != nullptr);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_ || tasks_.size() >= max_tasks_) return false;
    tasks_.push_back(std::move(task));
    pending_.fetch_add(1, std::memory_order_relaxed);
  }
  wake_.notify_one();
  return true;
}

void IoThread::Stop() {
  CHECK_MSG(std::this_thread::get_id() != thread_.get_id(), "an I/O thread cannot wait for itself");
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  const std::lock_guard<std::mutex> lock(join_mutex_);
  if (thread_.joinable()) thread_.join();
}

void IoThread::Run() {
  pthread_setname_np(pthread_self(), name_.c_str());
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    {
      Task task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      // The task and what it captured are gone before pending() says so.
    }
    pending_.fetch_sub(1, std::memory_order_release);
    lock.lock();
  }
}

}  // namespace holdfast::storage
