// DUMP payloads: one value in the form that RESTORE takes, here and in Redis.
//
//     type(1) | value | RDB version(u16 LE) | CRC64 of everything before(u64 LE)
//
// type 0 is a string, with Redis's RDB string encoding as the value. Type 1 is a list: the
// number of items as an RDB length, then each as an RDB string; type 18 is Redis's quicklist
// (dump.cc), which is read but not written. Type 2 is a set: the number of
// members as an RDB length, then each as an RDB string; type 11, which is read but not written, is
// one of integers as an RDB string that holds an intset (dump.cc). Type 4 is a hash: the number
// of fields as an RDB length, then each field and its value as RDB strings; type 16 is one as well,
// as an RDB string that holds a listpack (listpack.h), which is read but not written. Type 5 is a
// sorted set: the number of members as an RDB length, then each as an RDB string with its score, a
// double in 8 bytes LE; type 17 is one as well, as an RDB string that holds a listpack of members
// and scores as text, which is read but not written.
// Type 19 is a stream; 15, of Redis 5 and 6, and 21, of 7.2, are read (stream_dump.h). Types 240
// (lock) and 241 (sequence) are Holdfast's own, far from the numbers that Redis gives out; their
// value is that of their meta record (record.h), encoded as an RDB string. Redis answers "Bad data
// format" to them.
//
// An RDB string is a length and the bytes, or one of the special forms:
//     00xxxxxx                 length, 6 bits        11000000 i8       an integer in decimal
//     01xxxxxx x               length, 14 bits BE    11000001 i16 LE   "
//     10000000 u32 BE          length                11000010 i32 LE   "
//     10000001 u64 BE          length                11000011 length length LZF-compressed bytes
// LZF is read but not written. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "data/collection.h"
#include "data/object.h"

namespace holdfast::data {

// The RDB version that payloads are written with: Redis 7.0's.
inline constexpr uint16_t kDumpVersion = 10;
// The highest one that is read: strings are the same up to Redis 8.
inline constexpr uint16_t kMaxDumpVersion = 12;
// The longest value that DecodeDump makes, in bytes.
inline constexpr uint64_t kMaxDumpValue = uint64_t{512} << 20;

// The payload of an object's value: expiry, revision and fence stay behind.
std::string EncodeDump(const Object& object);

struct DumpedValue {
  ObjectType type = ObjectType::kString;
  std::string value;        // as in the meta record; of a collection, its head
  ElementChanges elements;  // of a collection
};

// Reads a payload. InvalidArgument with one of Redis's two texts, to be replied after "ERR ":
// "DUMP payload version or checksum are wrong" or "Bad data format".
Status DecodeDump(std::string_view payload, DumpedValue* dumped);

// ---- Parts, for payloads that hold something else (FUNCTION DUMP).

// Appends an RDB string; takes one from the front of `in`, false when there is none.
void AppendDumpString(std::string* out, std::string_view value);
[[nodiscard]] bool TakeDumpString(std::string_view* in, std::string* value);
// Appends the version and the checksum of everything before.
void AppendDumpFooter(std::string* out);
// Checks them and gives what stands before; the first of DecodeDump's errors.
Status CheckDumpFooter(std::string_view payload, std::string_view* body);

}  // namespace holdfast::data
