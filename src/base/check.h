// Assertions that stay on in production: a broken invariant must end the process before it can
// lose or invent data.
#pragma once

namespace holdfast {

// Prints the failed condition with its place to stderr and aborts. Any thread.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              const char* message);

}  // namespace holdfast

#define CHECK(condition)                                           \
  do {                                                             \
    if (__builtin_expect(!(condition), 0)) {                       \
      ::holdfast::CheckFailed(__FILE__, __LINE__, #condition, ""); \
    }                                                              \
  } while (false)

// `message` says what the broken invariant means; it is a C string.
#define CHECK_MSG(condition, message)                                   \
  do {                                                                  \
    if (__builtin_expect(!(condition), 0)) {                            \
      ::holdfast::CheckFailed(__FILE__, __LINE__, #condition, message); \
    }                                                                   \
  } while (false)
