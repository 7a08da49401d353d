// A stack of its own for work that may have to stop in the middle and go on later, on the thread
// that runs it. The stack's lowest page can't be touched, so that an overflow is a crash and not a
// corruption.
//
// One thread; one piece of work at a time. Exceptions must not leave the work.
#pragma once

#include <absl/functional/any_invocable.h>

#include <cstddef>
#include <memory>

namespace holdfast {

class Fiber {
 public:
  // Memory is taken as it is used.
  explicit Fiber(size_t stack_bytes);
  // REQUIRES: idle().
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Runs `work` until it returns (true) or pauses (false). REQUIRES: idle().
  bool Run(absl::AnyInvocable<void()> work);
  // Goes on behind Pause; as Run. REQUIRES: it has paused.
  bool Resume();
  // From inside of the work: returns when Resume is called.
  void Pause();
  // Nothing has begun that isn't over.
  bool idle() const { return idle_; }
  // The work is running now.
  bool inside() const { return inside_; }

 private:
  struct Contexts;
  static void Main(unsigned high, unsigned low);
  void SwitchIn();
  void SwitchOut();

  std::unique_ptr<Contexts> contexts_;
  absl::AnyInvocable<void()> work_;
  bool idle_ = true;
  bool inside_ = false;
};

}  // namespace holdfast
