// Lengths and strings as Redis writes them into its files and DUMP payloads; dump.h has the format.
// Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace holdfast::data {

void AppendRdbLength(std::string* out, uint64_t length);
void AppendRdbString(std::string* out, std::string_view value);

// A length, or (with `*special`) the number of a special form. False when the bytes are neither.
[[nodiscard]] bool ReadRdbLength(ByteReader* in, uint64_t* length, bool* special);
// False also for a string of more than kMaxDumpValue bytes.
[[nodiscard]] bool ReadRdbString(ByteReader* in, std::string* value);

}  // namespace holdfast::data
