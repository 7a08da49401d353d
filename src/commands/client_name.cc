#include "commands/client_name.h"

#include <algorithm>
#include <cstddef>

namespace holdfast::commands {

bool IsPlainName(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '!' && c <= '~'; });
}

bool ConstantTimeEquals(std::string_view given, std::string_view secret) {
  // A wrong length is folded into the difference; every byte given is looked at either way.
  volatile unsigned difference = given.size() == secret.size() ? 0U : 1U;
  for (size_t i = 0; i < given.size(); ++i) {
    const char expected = secret.empty() ? '\0' : secret[i % secret.size()];
    difference = difference | static_cast<unsigned char>(given[i] ^ expected);
  }
  return difference == 0;
}

}  // namespace holdfast::commands
