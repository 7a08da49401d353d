#include "base/fiber.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

#include "base/check.h"

// The sanitizers have to be told of other stacks. They take over longjmp, so that only
// swapcontext switches there.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HOLDFAST_FIBER_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define HOLDFAST_FIBER_TSAN 1
#endif
#endif
#if defined(HOLDFAST_FIBER_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(HOLDFAST_FIBER_TSAN)
#include <sanitizer/tsan_interface.h>
#endif
#if defined(HOLDFAST_FIBER_ASAN) || defined(HOLDFAST_FIBER_TSAN)
#define HOLDFAST_FIBER_SWAPS 1
#endif

namespace holdfast {

struct Fiber::Contexts {
  ucontext_t outside_context;
  ucontext_t inside_context;
#if !defined(HOLDFAST_FIBER_SWAPS)
  // swapcontext asks the kernel for the signal mask each time; these don't.
  jmp_buf outside;
  jmp_buf inside;
#endif
  bool entered = false;
  char* memory = nullptr;
  size_t bytes = 0;
  size_t guard = 0;
#if defined(HOLDFAST_FIBER_ASAN)
  void* fake_stack_inside = nullptr;
  void* fake_stack_outside = nullptr;
  const void* outside_bottom = nullptr;
  size_t outside_size = 0;
#endif
#if defined(HOLDFAST_FIBER_TSAN)
  void* tsan_inside = nullptr;
  void* tsan_outside = nullptr;
#endif
};

Fiber::Fiber(size_t stack_bytes) : contexts_(std::make_unique<Contexts>()) {
  Contexts& c = *contexts_;
  c.guard = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  c.bytes = (stack_bytes + c.guard - 1) / c.guard * c.guard + c.guard;
  void* memory = mmap(nullptr, c.bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
  CHECK_MSG(memory != MAP_FAILED, "no memory for the stack of a fiber");
  c.memory = static_cast<char*>(memory);
  CHECK(mprotect(c.memory, c.guard, PROT_NONE) == 0);
  CHECK(getcontext(&c.inside_context) == 0);
  c.inside_context.uc_stack.ss_sp = c.memory + c.guard;
  c.inside_context.uc_stack.ss_size = c.bytes - c.guard;
  c.inside_context.uc_link = nullptr;
  // makecontext hands over ints.
  const auto self = reinterpret_cast<uintptr_t>(this);
  makecontext(&c.inside_context, reinterpret_cast<void (*)()>(&Fiber::Main), 2,
              static_cast<unsigned>(self >> 32), static_cast<unsigned>(self));
#if defined(HOLDFAST_FIBER_TSAN)
  c.tsan_inside = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
  CHECK(idle_);
#if defined(HOLDFAST_FIBER_TSAN)
  __tsan_destroy_fiber(contexts_->tsan_inside);
#endif
  munmap(contexts_->memory, contexts_->bytes);
}

void Fiber::Main(unsigned high, unsigned low) {
  auto* self = reinterpret_cast<Fiber*>((static_cast<uintptr_t>(high) << 32) | low);
#if defined(HOLDFAST_FIBER_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, &self->contexts_->outside_bottom,
                                  &self->contexts_->outside_size);
#endif
  for (;;) {
    self->work_();
    self->work_ = nullptr;
    self->idle_ = true;
    self->SwitchOut();
  }
}

void Fiber::SwitchIn() {
  Contexts& c = *contexts_;
  inside_ = true;
#if defined(HOLDFAST_FIBER_ASAN)
  __sanitizer_start_switch_fiber(&c.fake_stack_outside, c.memory + c.guard, c.bytes - c.guard);
#endif
#if defined(HOLDFAST_FIBER_TSAN)
  c.tsan_outside = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(c.tsan_inside, 0);
#endif
#if defined(HOLDFAST_FIBER_SWAPS)
  swapcontext(&c.outside_context, &c.inside_context);
#else
  if (_setjmp(c.outside) == 0) {
    if (c.entered) _longjmp(c.inside, 1);
    c.entered = true;
    setcontext(&c.inside_context);
  }
#endif
#if defined(HOLDFAST_FIBER_ASAN)
  __sanitizer_finish_switch_fiber(c.fake_stack_outside, nullptr, nullptr);
#endif
  inside_ = false;
}

void Fiber::SwitchOut() {
  Contexts& c = *contexts_;
#if defined(HOLDFAST_FIBER_ASAN)
  __sanitizer_start_switch_fiber(&c.fake_stack_inside, c.outside_bottom, c.outside_size);
#endif
#if defined(HOLDFAST_FIBER_TSAN)
  __tsan_switch_to_fiber(c.tsan_outside, 0);
#endif
#if defined(HOLDFAST_FIBER_SWAPS)
  swapcontext(&c.inside_context, &c.outside_context);
#else
  if (_setjmp(c.inside) == 0) _longjmp(c.outside, 1);
#endif
#if defined(HOLDFAST_FIBER_ASAN)
  __sanitizer_finish_switch_fiber(c.fake_stack_inside, &c.outside_bottom, &c.outside_size);
#endif
}

bool Fiber::Run(absl::AnyInvocable<void()> work) {
  CHECK(idle_ && !inside_);
  work_ = std::move(work);
  idle_ = false;
  SwitchIn();
  return idle_;
}

bool Fiber::Resume() {
  CHECK(!idle_ && !inside_);
  SwitchIn();
  return idle_;
}

void Fiber::Pause() {
  CHECK(inside_);
  SwitchOut();
}

}  // namespace holdfast
