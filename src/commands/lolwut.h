// LOLWUT's picture.
#pragma once

#include <cstdint>
#include <string>

namespace holdfast::commands {

// A harbour with boats at their moorings, another one for each seed, and the version below it.
// Lines end with a newline.
std::string DrawLolwut(uint64_t seed);

}  // namespace holdfast::commands
