#include "resp/writer.h"

#include <cstring>

#include "base/numbers.h"

namespace holdfast::resp {
namespace {

// Up to this size a bulk string is put together on the stack and appended once.
constexpr size_t kSmallBulkBytes = 96;
// prefix, 20 digits, CR, LF
constexpr size_t kMaxHeaderBytes = 24;

// Writes <prefix><value>\r\n to `buffer` of kMaxHeaderBytes; returns its length.
size_t FormatHeader(char prefix, int64_t value, char* buffer) {
  buffer[0] = prefix;
  size_t n = 1;
  if (value >= 0 && value < 10) {
    buffer[n++] = static_cast<char>('0' + value);
  } else {
    n += FormatInt64(value, buffer + 1);
  }
  buffer[n] = '\r';
  buffer[n + 1] = '\n';
  return n + 2;
}

bool IsLineEnd(char c) { return c == '\r' || c == '\n'; }

}  // namespace

void Writer::Header(char prefix, int64_t value) {
  char buffer[kMaxHeaderBytes];
  out_->append(buffer, FormatHeader(prefix, value, buffer));
}

void Writer::HeaderAt(size_t mark, char prefix, size_t n) {
  CHECK(mark <= out_->size());
  char buffer[kMaxHeaderBytes];
  const size_t length = FormatHeader(prefix, static_cast<int64_t>(n), buffer);
  out_->insert(mark, buffer, length);
}

void Writer::Line(char prefix, std::string_view text) {
  out_->push_back(prefix);
  const size_t begin = out_->size();
  out_->append(text);
  // Error texts quote what clients sent; a line end in it would start a reply of the client's own
  // making.
  for (size_t i = begin; i < out_->size(); ++i) {
    if (IsLineEnd((*out_)[i])) (*out_)[i] = ' ';
  }
  out_->append("\r\n", 2);
}

void Writer::Simple(std::string_view text) { Line('+', text); }

void Writer::Error(std::string_view text) {
  while (!text.empty() && IsLineEnd(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsLineEnd(text.back())) text.remove_suffix(1);
  Line('-', text);
}

void Writer::Bulk(std::string_view bytes) {
  char buffer[kMaxHeaderBytes + kSmallBulkBytes + 2];
  const size_t header = FormatHeader('$', static_cast<int64_t>(bytes.size()), buffer);
  if (bytes.size() > kSmallBulkBytes) {
    out_->append(buffer, header);
    out_->append(bytes);
    out_->append("\r\n", 2);
    return;
  }
  if (!bytes.empty()) std::memcpy(buffer + header, bytes.data(), bytes.size());
  const size_t end = header + bytes.size();
  buffer[end] = '\r';
  buffer[end + 1] = '\n';
  out_->append(buffer, end + 2);
}

void Writer::BulkInteger(int64_t value) {
  char buffer[kMaxHeaderBytes];
  Bulk(std::string_view(buffer, FormatInt64(value, buffer)));
}

void Writer::Null() {
  if (resp3()) {
    out_->append("_\r\n", 3);
  } else {
    out_->append("$-1\r\n", 5);
  }
}

void Writer::NullArray() {
  if (resp3()) {
    out_->append("_\r\n", 3);
  } else {
    out_->append("*-1\r\n", 5);
  }
}

void Writer::Map(size_t n) {
  if (resp3()) {
    Header('%', static_cast<int64_t>(n));
  } else {
    Header('*', static_cast<int64_t>(2 * n));
  }
}

void Writer::MapAt(size_t mark, size_t n) {
  if (resp3()) {
    HeaderAt(mark, '%', n);
  } else {
    HeaderAt(mark, '*', 2 * n);
  }
}

void Writer::NumberText(std::string_view text) {
  if (resp3()) {
    Line(',', text);
  } else {
    Bulk(text);
  }
}

void Writer::Double(double value) {
  char buffer[kMaxDoubleText];
  NumberText(std::string_view(buffer, FormatDouble(value, buffer)));
}

void Writer::HumanDouble(long double value) { NumberText(FormatLongDouble(value)); }

void Writer::Bool(bool value) {
  if (resp3()) {
    out_->append(value ? "#t\r\n" : "#f\r\n", 4);
  } else {
    Integer(value ? 1 : 0);
  }
}

void Writer::BigNumber(std::string_view digits) {
  if (resp3()) {
    Line('(', digits);
  } else {
    Bulk(digits);
  }
}

void Writer::Verbatim(std::string_view format, std::string_view text) {
  if (!resp3()) {
    Bulk(text);
    return;
  }
  Header('=', static_cast<int64_t>(text.size()) + 4);
  for (size_t i = 0; i < 3; ++i) out_->push_back(i < format.size() ? format[i] : ' ');
  out_->push_back(':');
  out_->append(text);
  out_->append("\r\n", 2);
}

}  // namespace holdfast::resp
