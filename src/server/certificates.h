// The TLS side of the options.
#pragma once

#include <memory>

#include "base/status.h"
#include "engine/config.h"
#include "net/tls.h"

namespace holdfast::server {

// Reads the certificates and keys that `config` names; null when nothing of it is encrypted. Blocks
// on the disk. The error names the option or the file, and has OpenSSL's reason.
Result<std::shared_ptr<const net::TlsContext>> ReadCertificates(const engine::Config& config);

}  // namespace holdfast::server
