// Internal to config.cc and config_table.cc.
#pragma once

#include <string_view>
#include <vector>

namespace holdfast::engine {

// The words of `text`, which blanks and tabs separate. They point into `text`.
std::vector<std::string_view> SplitWords(std::string_view text);

}  // namespace holdfast::engine
