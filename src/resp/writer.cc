#include "resp/writer.h"

#include "base/check.h"
#include "base/numbers.h"

namespace holdfast::resp {

// The type, the number and CRLF in one append: this is most of what a reply is.
void Writer::Header(char type, int64_t number) {
  char buffer[1 + 20 + 2];
  buffer[0] = type;
  size_t n = 1;
  if (number >= 0 && number < 10) {
    buffer[n++] = static_cast<char>('0' + number);
  } else {
    n += FormatInt64(number, buffer + 1);
  }
  buffer[n++] = '\r';
  buffer[n++] = '\n';
  out_->append(buffer, n);
}

void Writer::Simple(std::string_view text) {
  out_->push_back('+');
  out_->append(text);
  out_->append("\r\n", 2);
}

void Writer::Error(std::string_view text) {
  out_->push_back('-');
  const size_t begin = out_->size();
  out_->append(text);
  for (size_t i = begin; i < out_->size(); ++i) {
    if ((*out_)[i] == '\r' || (*out_)[i] == '\n') (*out_)[i] = ' ';
  }
  out_->append("\r\n", 2);
}

void Writer::Integer(int64_t value) { Header(':', value); }

void Writer::Bulk(std::string_view bytes) {
  Header('$', static_cast<int64_t>(bytes.size()));
  out_->append(bytes);
  out_->append("\r\n", 2);
}

void Writer::BulkInteger(int64_t value) {
  char buffer[20];
  Bulk({buffer, FormatInt64(value, buffer)});
}

void Writer::Null() {
  if (protocol_ >= 3) {
    out_->append("_\r\n", 3);
  } else {
    out_->append("$-1\r\n", 5);
  }
}

void Writer::NullArray() {
  if (protocol_ >= 3) {
    out_->append("_\r\n", 3);
  } else {
    out_->append("*-1\r\n", 5);
  }
}

void Writer::Array(size_t elements) { Header('*', static_cast<int64_t>(elements)); }

void Writer::Map(size_t pairs) {
  if (protocol_ >= 3) {
    Header('%', static_cast<int64_t>(pairs));
  } else {
    Header('*', static_cast<int64_t>(pairs * 2));
  }
}

void Writer::Set(size_t elements) {
  Header(protocol_ >= 3 ? '~' : '*', static_cast<int64_t>(elements));
}

void Writer::Push(size_t elements) {
  Header(protocol_ >= 3 ? '>' : '*', static_cast<int64_t>(elements));
}

void Writer::Double(double value) {
  const std::string text = FormatDouble(value);
  if (protocol_ < 3) {
    Bulk(text);
    return;
  }
  out_->push_back(',');
  out_->append(text);
  out_->append("\r\n", 2);
}

void Writer::Bool(bool value) {
  if (protocol_ >= 3) {
    out_->append(value ? "#t\r\n" : "#f\r\n", 4);
  } else {
    Header(':', value ? 1 : 0);
  }
}

void Writer::BigNumber(std::string_view digits) {
  if (protocol_ < 3) {
    Bulk(digits);
    return;
  }
  out_->push_back('(');
  out_->append(digits);
  out_->append("\r\n", 2);
}

void Writer::Verbatim(std::string_view format, std::string_view text) {
  CHECK(format.size() == 3);
  if (protocol_ < 3) {
    Bulk(text);
    return;
  }
  Header('=', static_cast<int64_t>(text.size() + 4));
  out_->append(format);
  out_->push_back(':');
  out_->append(text);
  out_->append("\r\n", 2);
}

}  // namespace holdfast::resp
