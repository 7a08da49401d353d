// Arbitrary patterns and texts: GlobMatch agrees with the table-driven model.
//
// The first byte chooses whether case counts; the pattern ends at the first NUL, the text follows.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "../unit/base/glob_model.h"
#include "base/check.h"
#include "base/glob.h"

namespace {

// The model's table has (pattern + 1) * (text + 1) fields.
constexpr size_t kMaxText = 512;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const bool ignore_case = (data[0] & 1) != 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t middle = rest.find('\0');
  const std::string_view pattern = rest.substr(0, middle).substr(0, kMaxText);
  const std::string_view text =
      middle == std::string_view::npos ? "" : rest.substr(middle + 1).substr(0, kMaxText);
  const bool matches = holdfast::GlobMatch(pattern, text, ignore_case);
  CHECK(matches == holdfast::GlobModel(pattern, ignore_case).Matches(text));
  return 0;
}
