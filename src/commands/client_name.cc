#include "commands/client_name.h"

#include <algorithm>

namespace holdfast::commands {

bool IsPlainName(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '!' && c <= '~'; });
}

}  // namespace holdfast::commands
