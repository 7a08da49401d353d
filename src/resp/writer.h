// Replies, appended to a string that the caller owns, in the protocol that the client chose with
// HELLO. The RESP2 forms of RESP3 types are those that Redis 7.0 sends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"

namespace holdfast::resp {

// Cheap to make and to copy; one thread. Allocates nothing beyond what the string's growth takes.
// The writer does not count elements: after Array(n) exactly n replies must follow.
class Writer {
 public:
  // `out` must outlive the writer. REQUIRES: protocol is 2 or 3.
  explicit Writer(std::string* out, int protocol = 2) : out_(out), protocol_(protocol) {
    CHECK(out != nullptr);
    CHECK(protocol == 2 || protocol == 3);
  }

  int protocol() const { return protocol_; }
  bool resp3() const { return protocol_ == 3; }
  std::string* out() const { return out_; }

  // Bytes that are RESP already (a reply that was recorded or forwarded), as they are.
  void Raw(std::string_view bytes) { out_->append(bytes); }

  // +OK
  void Ok() { out_->append("+OK\r\n", 5); }
  // +text. CR and LF inside become blanks.
  void Simple(std::string_view text);
  // -text; `text` is the whole line with its prefix, such as "ERR syntax error". CR and LF at its
  // ends are cut and become blanks inside, as in Redis: they would end the reply early.
  void Error(std::string_view text);
  // :value
  void Integer(int64_t value) {
    if (value == 0) {
      out_->append(":0\r\n", 4);
    } else if (value == 1) {
      out_->append(":1\r\n", 4);
    } else {
      Header(':', value);
    }
  }
  // $length CRLF bytes CRLF
  void Bulk(std::string_view bytes);
  // The integer's decimal text as a bulk string.
  void BulkInteger(int64_t value);
  // Only the header of a bulk string: the caller appends exactly `bytes` bytes to out() and calls
  // BulkEnd(). For values that are copied from several pieces.
  void BulkBegin(size_t bytes) { Header('$', static_cast<int64_t>(bytes)); }
  void BulkEnd() { out_->append("\r\n", 2); }

  // RESP2 $-1, RESP3 _
  void Null();
  // RESP2 *-1, RESP3 _ (there is only one null)
  void NullArray();

  // Headers: `n` counts elements, for a map pairs (RESP2: an array of 2n). Push is an array in
  // RESP2, as pub/sub messages are.
  void Array(size_t n) { Header('*', static_cast<int64_t>(n)); }
  void Map(size_t n);
  void Set(size_t n) { Header(protocol_ == 3 ? '~' : '*', static_cast<int64_t>(n)); }
  void Push(size_t n) { Header(protocol_ == 3 ? '>' : '*', static_cast<int64_t>(n)); }

  // For a number of elements that is known only behind them: `const size_t mark = w.Mark();`,
  // the elements, `w.ArrayAt(mark, n)`. Moves what was written since the mark by the header's few
  // bytes.
  size_t Mark() const { return out_->size(); }
  void ArrayAt(size_t mark, size_t n) { HeaderAt(mark, '*', n); }
  void MapAt(size_t mark, size_t n);
  void SetAt(size_t mark, size_t n) { HeaderAt(mark, protocol_ == 3 ? '~' : '*', n); }

  // Seventeen significant digits (%.17g), "inf", "-inf", "nan". RESP2: a bulk string.
  void Double(double value);
  // As INCRBYFLOAT prints (at most 17 digits behind the point, no exponent). RESP2: a bulk string.
  void HumanDouble(long double value);
  // RESP2 :1 and :0
  void Bool(bool value);
  // The decimal text of an integer of any size. RESP2: a bulk string.
  void BigNumber(std::string_view digits);
  // Text with a format of three letters ("txt", "mkd"); a shorter format is filled with blanks, a
  // longer one is cut. RESP2: a bulk string without the format.
  void Verbatim(std::string_view format, std::string_view text);

 private:
  // <prefix><value>CRLF
  void Header(char prefix, int64_t value);
  void HeaderAt(size_t mark, char prefix, size_t n);
  void NumberText(std::string_view text);
  void Line(char prefix, std::string_view text);

  std::string* out_;
  int protocol_;
};

}  // namespace holdfast::resp
