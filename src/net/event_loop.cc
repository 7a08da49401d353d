#include "net/event_loop.h"

#include <uv.h>

#include <algorithm>

#include "base/check.h"
#include "base/clock.h"

namespace holdfast::net {

struct EventLoop::Hooks {
  uv_prepare_t turn_end;  // just before the wait for I/O
  uv_check_t after_wait;  // after the callbacks of the I/O that was ready
  uv_idle_t spin;         // while active, the wait doesn't block
  uv_async_t wake;        // the one descriptor through which other threads end the wait

  template <typename Handle>
  static EventLoop* LoopOf(Handle* handle) {
    return static_cast<EventLoop*>(handle->loop->data);
  }
};

EventLoop::EventLoop()
    : loop_(std::make_unique<uv_loop_t>()),
      hooks_(std::make_unique<Hooks>()),
      read_buffer_(std::make_unique<char[]>(kReadBufferBytes)) {
  CHECK_MSG(uv_loop_init(loop_.get()) == 0, "no descriptors left for an event loop");
  uv_loop_t* uv = loop_.get();
  CHECK(uv_prepare_init(uv, &hooks_->turn_end) == 0);
  CHECK(uv_check_init(uv, &hooks_->after_wait) == 0);
  CHECK(uv_idle_init(uv, &hooks_->spin) == 0);
  CHECK_MSG(uv_async_init(uv, &hooks_->wake,
                          [](uv_async_t* handle) {
                            EventLoop* loop = Hooks::LoopOf(handle);
                            loop->EnterTurn();
                            loop->RunNotified();
                          }) == 0,
            "no descriptors left for an event loop");
  uv->data = this;
  uv_prepare_start(&hooks_->turn_end,
                   [](uv_prepare_t* handle) { Hooks::LoopOf(handle)->EndTurn(); });
  uv_check_start(&hooks_->after_wait, [](uv_check_t* handle) { Hooks::LoopOf(handle)->RunDue(); });
}

EventLoop::~EventLoop() {
  CHECK_MSG(thread_.load() == std::thread::id(), "an event loop was destroyed while it runs");
  CHECK_MSG(std::all_of(notifiers_.begin(), notifiers_.end(), [](Notifier* n) { return !n; }),
            "a notifier outlives its event loop");
  uv_prepare_stop(&hooks_->turn_end);
  uv_check_stop(&hooks_->after_wait);
  uv_close(reinterpret_cast<uv_handle_t*>(&hooks_->turn_end), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&hooks_->after_wait), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&hooks_->spin), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&hooks_->wake), nullptr);
  uv_walk(
      loop_.get(),
      [](uv_handle_t* handle, void*) {
        CHECK_MSG(uv_is_closing(handle), "a timer, listener or connection outlives its event loop");
      },
      nullptr);
  // Objects that were destroyed are freed by their close callbacks, which come from here.
  CHECK(uv_run(loop_.get(), UV_RUN_DEFAULT) == 0);
  CHECK(uv_loop_close(loop_.get()) == 0);
}

void EventLoop::Run() {
  CHECK_MSG(thread_.load() == std::thread::id(), "an event loop runs on one thread at a time");
  thread_.store(std::this_thread::get_id());
  // A Stop() from before this is seen at the end of the first turn, which doesn't block then.
  uv_run(loop_.get(), UV_RUN_DEFAULT);
  // The last wait may have run callbacks; their turn gets its end too.
  if (in_turn_) FinishTurn();
  stop_.store(false);
  asleep_.store(true);
  thread_.store(std::thread::id());
}

void EventLoop::Stop() {
  stop_.store(true);
  Wake();
}

bool EventLoop::InLoopThread() const {
  const std::thread::id runs = thread_.load(std::memory_order_relaxed);
  return runs == std::thread::id() || runs == std::this_thread::get_id();
}

void EventLoop::OnTurnEnd(absl::AnyInvocable<bool()> callback) {
  CHECK(InLoopThread());
  turn_end_ = std::move(callback);
}

int64_t EventLoop::now_ns() const {
  return in_turn_ ? turn_start_ns_ : SystemClock()->MonotonicNs();
}

std::span<char> EventLoop::write_buffer() {
  if (write_buffer_ == nullptr) write_buffer_ = std::make_unique<char[]>(kWriteBufferBytes);
  return {write_buffer_.get(), kWriteBufferBytes};
}

void EventLoop::NoteHandshake(int64_t ns) {
  handshake_ns_ = handshake_turn_ == turns_ ? handshake_ns_ + ns : ns;
  handshake_turn_ = turns_;
}

int64_t EventLoop::TakeMaxTurnNs() { return std::exchange(max_turn_ns_, 0); }

void EventLoop::BeginTurn() {
  in_turn_ = true;
  turn_start_ns_ = SystemClock()->MonotonicNs();
  // From here on notifications are found at the turn's end. A notifying thread that still reads
  // the old value makes one system call too many, nothing else.
  asleep_.store(false, std::memory_order_relaxed);
}

void EventLoop::FinishTurn() {
  EnterTurn();
  RunNotified();
  if (turn_end_ && turn_end_()) turn_requested_ = true;
  ++turns_;
  max_turn_ns_ = std::max(max_turn_ns_, SystemClock()->MonotonicNs() - turn_start_ns_);
  in_turn_ = false;
}

void EventLoop::EndTurn() {
  FinishTurn();
  bool spin = std::exchange(turn_requested_, false);
  // What is due already (after a Stop) goes first, in its own turn.
  if (due_.empty()) {
    due_.swap(scheduled_);
    for (NextTurn* next : due_) {
      if (next != nullptr) next->list_ = &due_;
    }
  }
  spin = spin || !due_.empty();
  if (stop_.exchange(false)) {
    uv_stop(loop_.get());
    spin = true;
  }
  if (!spin) {
    asleep_.store(true);  // sequentially consistent; see the member
    spin = notified_.load();
    if (spin) asleep_.store(false, std::memory_order_relaxed);
  }
  // Neither makes a system call, nor does anything when it is so already.
  if (spin) {
    uv_idle_start(&hooks_->spin, [](uv_idle_t*) {});
  } else {
    uv_idle_stop(&hooks_->spin);
  }
}

void EventLoop::RunDue() {
  if (due_.empty()) return;
  EnterTurn();
  // Callbacks may cancel entries (which sets them to nullptr), but add none to this list.
  for (size_t i = 0; i < due_.size(); ++i) {
    if (NextTurn* next = std::exchange(due_[i], nullptr)) next->Run();
  }
  due_.clear();
}

void EventLoop::RunNotified() {
  // A callback that runs a nested RunNotified would skip notifiers; there is no way to do so.
  CHECK(!running_notifiers_);
  if (!notified_.load(std::memory_order_relaxed) || !notified_.exchange(false)) return;
  running_notifiers_ = true;
  for (size_t i = 0; i < notifiers_.size(); ++i) {
    Notifier* n = notifiers_[i];
    if (n == nullptr || !n->pending_.load(std::memory_order_relaxed)) continue;
    // Cleared before the callback looks at what was posted: what is posted after the look is
    // notified again.
    n->pending_.exchange(false, std::memory_order_acq_rel);
    n->callback_();
  }
  running_notifiers_ = false;
  std::erase(notifiers_, nullptr);
}

void EventLoop::Wake() {
  // An exchange rather than a store: it continues the release sequence of other threads' wakes, so
  // that the loop, which reads the last of them, sees the pending_ of all of them.
  notified_.exchange(true);
  if (asleep_.load()) uv_async_send(&hooks_->wake);
}

// ---- Notifier

Notifier::Notifier(EventLoop* loop, absl::AnyInvocable<void()> callback)
    : loop_(loop), callback_(std::move(callback)) {
  CHECK(loop_->InLoopThread());
  loop_->notifiers_.push_back(this);
}

Notifier::~Notifier() {
  CHECK(loop_->InLoopThread());
  auto& all = loop_->notifiers_;
  const auto self = std::find(all.begin(), all.end(), this);
  CHECK(self != all.end());
  *self = nullptr;
  if (!loop_->running_notifiers_) std::erase(all, nullptr);
}

void Notifier::Notify() {
  // Whoever set it first wakes the loop (or is about to); the loop clears it before the callback.
  if (pending_.exchange(true, std::memory_order_acq_rel)) return;
  loop_->Wake();
}

// ---- NextTurn

// Not in the header: inlined there, gcc 12 takes the move of a function without captures for a use
// of uninitialized memory.
NextTurn::NextTurn(EventLoop* loop, absl::AnyInvocable<void()> callback)
    : loop_(loop), callback_(std::move(callback)) {}

NextTurn::~NextTurn() {
  Cancel();
  if (destroyed_ != nullptr) *destroyed_ = true;
}

void NextTurn::Schedule() {
  if (list_ != nullptr) return;
  list_ = &loop_->scheduled_;
  index_ = list_->size();
  list_->push_back(this);
}

void NextTurn::Cancel() {
  if (list_ == nullptr) return;
  CHECK((*list_)[index_] == this);
  (*list_)[index_] = nullptr;
  list_ = nullptr;
}

void NextTurn::Run() {
  list_ = nullptr;
  bool destroyed = false;
  destroyed_ = &destroyed;
  // The callback lives here while it runs, so that it may destroy this object.
  absl::AnyInvocable<void()> callback = std::move(callback_);
  callback();
  if (destroyed) return;
  destroyed_ = nullptr;
  callback_ = std::move(callback);
}

// ---- Timer

struct Timer::State {
  uv_timer_t handle;
  absl::AnyInvocable<void()> callback;
  uint64_t changes = 0;  // Start and Stop calls: tells whether the callback made one

  static void OnTimer(uv_timer_t* handle) {
    auto* state = static_cast<State*>(handle->data);
    static_cast<EventLoop*>(handle->loop->data)->EnterTurn();
    // The callback lives here while it runs, so that it may restart or destroy the timer. The state
    // itself is freed by a close callback, which doesn't come from inside this call.
    absl::AnyInvocable<void()> callback = std::move(state->callback);
    const uint64_t changes = state->changes;
    callback();
    if (state->changes == changes) state->callback = std::move(callback);
  }
};

Timer::Timer(EventLoop* loop) : state_(new State) {
  CHECK(loop->InLoopThread());
  CHECK(uv_timer_init(loop->uv(), &state_->handle) == 0);
  state_->handle.data = state_;
}

Timer::~Timer() {
  ++state_->changes;
  state_->callback = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&state_->handle),
           [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

void Timer::Start(uint64_t ms, uint64_t repeat_ms, absl::AnyInvocable<void()> callback) {
  ++state_->changes;
  state_->callback = std::move(callback);
  // libuv counts from the time at which the turn began, cut to milliseconds: without the update a
  // timer started late in a long turn, and without the added one any timer, would be early.
  uv_update_time(state_->handle.loop);
  CHECK(uv_timer_start(&state_->handle, State::OnTimer, ms == 0 ? 0 : ms + 1, repeat_ms) == 0);
}

void Timer::Stop() {
  ++state_->changes;
  state_->callback = nullptr;
  uv_timer_stop(&state_->handle);
}

bool Timer::active() const {
  return uv_is_active(reinterpret_cast<const uv_handle_t*>(&state_->handle)) != 0;
}

// ---- SignalWatcher

struct SignalWatcher::State {
  uv_signal_t handle;
  absl::AnyInvocable<void()> callback;
  bool closed = false;
};

SignalWatcher::SignalWatcher(EventLoop* loop, int signo, absl::AnyInvocable<void()> callback)
    : state_(new State) {
  CHECK(loop->InLoopThread());
  CHECK(uv_signal_init(loop->uv(), &state_->handle) == 0);
  state_->handle.data = state_;
  state_->callback = std::move(callback);
  const int error = uv_signal_start(
      &state_->handle,
      [](uv_signal_t* handle, int) {
        auto* state = static_cast<State*>(handle->data);
        static_cast<EventLoop*>(handle->loop->data)->EnterTurn();
        absl::AnyInvocable<void()> run = std::move(state->callback);
        run();
        if (!state->closed) state->callback = std::move(run);
      },
      signo);
  CHECK_MSG(error == 0, "a signal that can't be caught");
}

SignalWatcher::~SignalWatcher() {
  state_->closed = true;
  state_->callback = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&state_->handle),
           [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

}  // namespace holdfast::net
