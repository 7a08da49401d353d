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

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::data {

// The elements, integers in decimal. False when the bytes are not exactly one listpack.
[[nodiscard]] bool ReadListpack(std::string_view bytes, std::vector<std::string>* elements);

// Makes one, element by element.
class ListpackWriter {
 public:
  ListpackWriter();

  void Add(int64_t integer);
  // As an integer when it is the decimal text of one.
  void Add(std::string_view string);
  size_t bytes() const { return bytes_.size(); }
  // The whole listpack. REQUIRES: it takes less than 4 GiB. Nothing may follow.
  std::string Finish();

 private:
  // What was appended since `begin` is an element.
  void EndElement(size_t begin);

  std::string bytes_;
  uint64_t count_ = 0;
};

}  // namespace holdfast::data
