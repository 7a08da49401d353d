// Redis's listpack, the form in which small collections come in DUMP payloads.
//
//   bytes(u32 LE) elements(u16 LE, 65535: unknown) entry … 0xff
//
// An entry is its encoding, its bytes, and the length of both written backwards in 1 to 5 bytes:
//   0xxxxxxx                 integer 0..127         11110001 i16 LE     integer
//   10xxxxxx                 string of x bytes      11110010 i24 LE     "
//   110xxxxx x               integer, 13 bits       11110011 i32 LE     "
//   1110xxxx x               string, 12 bits        11110100 i64 LE     "
//   11110000 u32 LE          string
// Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::data {

// The elements, integers in decimal. False when the bytes are not exactly one listpack.
[[nodiscard]] bool ReadListpack(std::string_view bytes, std::vector<std::string>* elements);

}  // namespace holdfast::data
