// Limits and error texts that several of Holdfast's own commands share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast::commands {

// The longest lease of a lock, the longest wait for one and the longest EXTEND: ten years.
inline constexpr int64_t kLongestLeaseMs = int64_t{3650} * 24 * 3600 * 1000;
// The longest name of a lock's owner, in bytes.
inline constexpr size_t kMaxOwnerBytes = size_t{64} << 10;

inline constexpr std::string_view kBadRevision = "ERR revision is not an integer or out of range";

}  // namespace holdfast::commands
