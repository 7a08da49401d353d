// Arbitrary bytes as forwarded requests, replies and cancels: nothing crashes, and what decodes
// encodes to the same bytes.
//
// The first byte of the input chooses what the rest is.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "engine/peer_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0: {
      holdfast::engine::PeerRequest request;
      if (!DecodePeerRequest(bytes, &request).ok()) break;
      CHECK(EncodePeerRequest(request) == bytes);
      break;
    }
    case 1: {
      holdfast::engine::PeerReply reply;
      if (!DecodePeerReply(bytes, &reply).ok()) break;
      CHECK(EncodePeerReply(reply) == bytes);
      CHECK(!reply.TakeBytes().empty());
      break;
    }
    default: {
      holdfast::engine::PeerCancel cancel;
      if (!DecodePeerCancel(bytes, &cancel).ok()) break;
      CHECK(EncodePeerCancel(cancel) == bytes);
      break;
    }
  }
  return 0;
}
