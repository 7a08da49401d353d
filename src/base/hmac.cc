#include "base/hmac.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/check.h"

namespace holdfast {

std::string HmacSha256(std::string_view key, std::string_view bytes) {
  std::string mac(kHmacBytes, '\0');
  unsigned size = 0;
  // A null key would mean the one of an earlier call.
  const char* const key_data = key.empty() ? "" : key.data();
  const unsigned char* const done =
      HMAC(EVP_sha256(), key_data, static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
           reinterpret_cast<unsigned char*>(mac.data()), &size);
  CHECK_MSG(done != nullptr && size == kHmacBytes, "libcrypto can't compute HMAC-SHA256");
  return mac;
}

bool EqualInConstantTime(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace holdfast
