// The names under which COMMAND reports flags, ACL categories and what happens to keys.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace holdfast::commands {

// The names of the bits that are set, in the order in which Redis lists them.
std::vector<std::string_view> CommandFlagNames(uint32_t flags);
std::vector<std::string_view> KeyFlagNames(uint32_t flags);
// Without the "@".
std::vector<std::string_view> AclCategoryNames(uint32_t acl);

// The bit of an ACL category, in any case; nullopt when there is none of that name.
std::optional<uint32_t> FindAclCategory(std::string_view name);

}  // namespace holdfast::commands
