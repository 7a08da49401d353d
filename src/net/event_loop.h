// One thread's loop and what runs on it: timers, notifications from other threads, signals.
//
// A turn is one iteration of the loop: wait for I/O, run the callbacks of what is ready, run the
// turn's end. "Loop thread" below is the thread inside Run(); while nobody is inside Run(), any one
// thread may act as it (to set things up before the thread starts and to take them down after it
// ended).
#pragma once

#include <absl/functional/any_invocable.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "base/status.h"

struct uv_loop_s;

namespace holdfast::net {

class NextTurn;
class Notifier;

class EventLoop {
 public:
  // Ends the process when the operating system has no descriptor left for a loop.
  EventLoop();
  // REQUIRES: not running; every object that was made on this loop has been destroyed.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Turns until Stop(). A Stop() from before Run() counts. May be called again afterwards.
  void Run();
  // Makes Run() return when the current turn is over; several calls until then count as one. Any
  // thread.
  void Stop();
  // Whether the caller may touch what lives on this loop. Any thread.
  bool InLoopThread() const;

  // Sets (or with an empty callback removes) the function that ends each turn: it runs once a turn,
  // after all other callbacks and just before the loop would block. It returns true to have the
  // next turn begin at once instead. Loop thread; not inside the function itself.
  void OnTurnEnd(absl::AnyInvocable<bool()> callback);
  // The next wait for I/O doesn't block. Loop thread; for other threads there is Notifier.
  void RequestTurn() { turn_requested_ = true; }

  // CLOCK_MONOTONIC in nanoseconds, as of the turn's first callback: costs no clock read. Loop
  // thread.
  int64_t now_ns() const;
  // The longest turn since the last call, in nanoseconds, from the first callback after the wait to
  // the end of OnTurnEnd's; how late an event may have been served. Loop thread.
  int64_t TakeMaxTurnNs();
  // Turns since the start. Loop thread.
  uint64_t turns() const { return turns_; }

  // ---- For the other files of net.

  uv_loop_s* uv() { return loop_.get(); }
  // Every callback that libuv makes begins with this: the first one of a turn reads the clock.
  void EnterTurn() {
    if (!in_turn_) BeginTurn();
  }
  // One read's worth of bytes, shared by all connections of the loop; contents don't outlive the
  // callback.
  std::span<char> read_buffer() { return {read_buffer_.get(), kReadBufferBytes}; }
  static constexpr size_t kReadBufferBytes = 64 * 1024;
  // Where small pieces of output are put together; as the other, but it may be used while somebody
  // looks at what was read. Made by the first call.
  std::span<char> write_buffer();
  static constexpr size_t kWriteBufferBytes = 160 * 1024;

  // What TLS handshakes take of this turn is bounded, since a private key's signature alone takes
  // about a millisecond: one more step may be made while those before it took less than
  // kHandshakeNsPerTurn, and is to be noted. What has to wait is still there in the next turn.
  bool MayHandshake() const {
    return handshake_turn_ != turns_ || handshake_ns_ < kHandshakeNsPerTurn;
  }
  void NoteHandshake(int64_t ns);
  static constexpr int64_t kHandshakeNsPerTurn = 1'000'000;

 private:
  friend class NextTurn;
  friend class Notifier;
  struct Hooks;  // the handles of the loop itself

  void BeginTurn();
  // FinishTurn runs the last callbacks of a turn; EndTurn also decides whether the loop may block.
  void FinishTurn();
  void EndTurn();
  void RunDue();
  // Runs the callbacks of the notifiers that were notified.
  void RunNotified();
  // Called by Notifier::Notify on any thread.
  void Wake();

  std::unique_ptr<uv_loop_s> loop_;
  std::unique_ptr<Hooks> hooks_;
  std::unique_ptr<char[]> read_buffer_;
  std::unique_ptr<char[]> write_buffer_;
  absl::AnyInvocable<bool()> turn_end_;
  std::vector<Notifier*> notifiers_;  // nullptr: destroyed while they were being run
  std::vector<NextTurn*> scheduled_;  // in this turn, for the next one; nullptr: cancelled
  std::vector<NextTurn*> due_;        // in this turn; nullptr: cancelled or done
  bool running_notifiers_ = false;
  std::atomic<std::thread::id> thread_{};
  std::atomic<bool> stop_{false};
  bool in_turn_ = false;
  bool turn_requested_ = false;
  int64_t turn_start_ns_ = 0;
  int64_t max_turn_ns_ = 0;
  uint64_t turns_ = 0;
  uint64_t handshake_turn_ = UINT64_MAX;  // the last turn with a handshake in it
  int64_t handshake_ns_ = 0;              // what they took then

  // The two sides of "does the loop need a system call to notice a notification": a notifying
  // thread sets notified_, then looks at asleep_; the loop sets asleep_, then looks at notified_
  // and doesn't block if it is set. Both sequentially consistent, so at least one sees the other.
  alignas(64) std::atomic<bool> notified_{false};
  std::atomic<bool> asleep_{true};
};

// Calls back after a time, once or repeatedly. Loop thread only. May be destroyed at any time,
// also inside its own callback.
class Timer {
 public:
  explicit Timer(EventLoop* loop);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // First call not before `ms` milliseconds from now (the real now, however long the turn has
  // taken; 0 = in the next turn), then every `repeat_ms` (0 = never again). A repetition that was
  // missed because the loop was busy is skipped, never made up for. Starting a running timer
  // replaces its schedule and callback, also inside the callback.
  void Start(uint64_t ms, uint64_t repeat_ms, absl::AnyInvocable<void()> callback);
  void Stop();
  bool active() const;

 private:
  struct State;
  State* state_;  // freed by libuv's close callback
};

// Lets any thread have a callback run on the loop thread. Notifications coalesce: one callback
// follows after any number of Notify() calls, and each call is followed by (the beginning of) one.
// A system call is made only when the loop is waiting and has not been woken yet.
class Notifier {
 public:
  // Loop thread.
  Notifier(EventLoop* loop, absl::AnyInvocable<void()> callback);
  // Loop thread. REQUIRES: no other thread calls Notify() any more; not inside its own
  // callback.
  ~Notifier();
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  // Any thread. What the caller wrote before is visible to the callback.
  void Notify();

 private:
  friend class EventLoop;
  EventLoop* const loop_;
  absl::AnyInvocable<void()> callback_;
  alignas(64) std::atomic<bool> pending_{false};
};

// Runs a callback in the next turn, without a system call and without the loop blocking before it:
// for work that is cut into bounded pieces. I/O that is ready comes first. Loop thread only. May be
// destroyed at any time, also inside its own callback.
class NextTurn {
 public:
  NextTurn(EventLoop* loop, absl::AnyInvocable<void()> callback);
  ~NextTurn();
  NextTurn(const NextTurn&) = delete;
  NextTurn& operator=(const NextTurn&) = delete;

  // One callback follows, however often it is called before that.
  void Schedule();
  void Cancel();
  bool scheduled() const { return list_ != nullptr; }

 private:
  friend class EventLoop;
  void Run();

  EventLoop* const loop_;
  absl::AnyInvocable<void()> callback_;
  std::vector<NextTurn*>* list_ = nullptr;  // the loop's list that has this at index_
  size_t index_ = 0;
  bool* destroyed_ = nullptr;  // set while callback_ runs
};

// Calls back on the loop thread whenever the process receives the signal `signo`, whose default
// action doesn't happen any more. Loop thread only.
class SignalWatcher {
 public:
  // REQUIRES: signo can be caught.
  SignalWatcher(EventLoop* loop, int signo, absl::AnyInvocable<void()> callback);
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

 private:
  struct State;
  State* state_;
};

}  // namespace holdfast::net
