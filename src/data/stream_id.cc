#include "data/stream_id.h"

#include "base/bytes.h"

namespace holdfast::data {

bool StreamId::Increment() {
  if (*this == Max()) return false;
  if (++seq == 0) ++ms;
  return true;
}

bool StreamId::Decrement() {
  if (is_zero()) return false;
  if (seq-- == 0) --ms;
  return true;
}

std::string StreamId::Text() const { return std::to_string(ms) + "-" + std::to_string(seq); }

void StreamId::AppendTo(std::string* out) const {
  AppendFixed64BE(out, ms);
  AppendFixed64BE(out, seq);
}

StreamId StreamId::Load(const char* bytes) {
  return {LoadFixed64BE(bytes), LoadFixed64BE(bytes + sizeof(uint64_t))};
}

bool ReadStreamId(ByteReader* in, StreamId* id) {
  std::string_view bytes;
  if (!in->ReadBytes(StreamId::kBytes, &bytes)) return false;
  *id = StreamId::Load(bytes.data());
  return true;
}

}  // namespace holdfast::data
