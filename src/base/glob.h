// Redis's glob-style patterns: * ? [a-z] [^a] and \ to escape.
#pragma once

#include <string_view>

namespace holdfast {

// Whether all of `text` matches `pattern`. Time is bounded by O(pattern * text): a mismatch after a
// star backtracks to the last star only, which is enough since stars are greedy-equivalent.
[[nodiscard]] bool GlobMatch(std::string_view pattern, std::string_view text,
                             bool ignore_case = false);

}  // namespace holdfast
