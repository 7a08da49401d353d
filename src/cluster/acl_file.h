// The file of ACL LOAD and SAVE. These block: not for a loop's thread.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace holdfast::cluster {

// At most 64 MiB.
Result<std::string> ReadAclText(const std::string& path);
// Puts a new file, durably, in the place of the present one; only its owner may read it. On failure
// the present one is as it was.
Status ReplaceAclText(const std::string& path, std::string_view text);

}  // namespace holdfast::cluster
