#include "net/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "base/numbers.h"

namespace holdfast::net {
namespace {

// What one Read may take from the socket beyond what its caller has room for, and what one step of
// a handshake may: messages that carry nothing (new keys, empty records) could otherwise keep
// OpenSSL reading for as long as they come.
constexpr size_t kReadSlackBytes = 64 * 1024;
// Sessions are resumed only where they were begun: one that a client began without a certificate
// is worth nothing at the port for peers, which wants one.
constexpr std::string_view kClientSessions = "holdfast";
constexpr std::string_view kPeerSessions = "holdfast peer";

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string SystemText(int error) { return std::generic_category().message(error); }

// What went wrong first in the last call of OpenSSL on this thread; what follows in its queue are
// consequences.
std::string OpensslText() {
  const unsigned long code = ERR_get_error();  // NOLINT: OpenSSL's type
  ERR_clear_error();
  if (code == 0) return "unknown error";
  if (ERR_SYSTEM_ERROR(code)) return SystemText(ERR_GET_REASON(code));
  const char* text = ERR_reason_error_string(code);
  return text != nullptr ? text : "error " + std::to_string(code);
}

IoResult SendTo(int fd, std::string_view bytes) {
  for (;;) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) return {.bytes = static_cast<size_t>(n)};
    if (errno != EINTR) return {.error = errno};
  }
}

}  // namespace

bool IoResult::would_block() const { return error == EAGAIN || error == EWOULDBLOCK; }

// ---- A stream

// OpenSSL's own socket BIO would raise SIGPIPE, and couldn't be told to stop reading.
struct TlsStream::Bio {
  static const BIO_METHOD* Method() {
    // Never freed: it has to outlive every stream.
    static const BIO_METHOD* const method = [] {
      BIO_METHOD* made =
          BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "holdfast socket");
      CHECK(made != nullptr);
      BIO_meth_set_read(made, Read);
      BIO_meth_set_write(made, Write);
      BIO_meth_set_ctrl(made, Control);
      return made;
    }();
    return method;
  }

  static int Read(BIO* bio, char* into, int size) {
    auto* stream = static_cast<TlsStream*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (size <= 0) return 0;
    const size_t wanted = std::min(static_cast<size_t>(size), stream->read_budget_);
    stream->more_ = false;
    if (wanted == 0) {
      // What is left in the kernel makes the next turn's event.
      BIO_set_retry_read(bio);
      return -1;
    }
    ssize_t n;
    do {
      n = ::recv(stream->fd_, into, wanted, 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
      stream->read_budget_ -= static_cast<size_t>(n);
      stream->more_ = static_cast<size_t>(n) == wanted;
      return static_cast<int>(n);
    }
    if (n == 0) {
      stream->eof_ = true;
      return 0;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      BIO_set_retry_read(bio);
    } else {
      stream->io_error_ = errno;
    }
    return -1;
  }

  static int Write(BIO* bio, const char* bytes, int size) {
    auto* stream = static_cast<TlsStream*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    const auto length = static_cast<size_t>(size);
    if (Batch* batch = stream->batch_; batch != nullptr) {
      CHECK(length <= batch->bytes.size() - batch->used);
      std::memcpy(batch->bytes.data() + batch->used, bytes, length);
      batch->used += length;
      return size;
    }
    size_t sent = 0;
    if (stream->unsent_.empty()) {
      const IoResult put = SendTo(stream->fd_, {bytes, length});
      if (put.error != 0 && !put.would_block()) {
        stream->io_error_ = put.error;
        return -1;
      }
      sent = put.bytes;
    }
    stream->unsent_.append(bytes + sent, length - sent);
    return size;
  }

  static long Control(BIO* bio, int command, long, void*) {  // NOLINT: OpenSSL's type
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) return static_cast<TlsStream*>(BIO_get_data(bio))->eof_ ? 1 : 0;
    return 0;
  }
};

TlsStream::TlsStream(ssl_st* ssl) : ssl_(ssl), new_keys_ns_(SystemClock()->MonotonicNs()) {
  BIO* bio = BIO_new(Bio::Method());
  CHECK(bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
  SSL_set_msg_callback_arg(ssl_, this);
  SSL_set_msg_callback(ssl_, [](int is_written, int, int content, const void* bytes, size_t size,
                                SSL*, void* stream) {
    if (is_written != 0 || content != SSL3_RT_HANDSHAKE || size == 0) return;
    if (*static_cast<const unsigned char*>(bytes) != SSL3_MT_KEY_UPDATE) return;
    static_cast<TlsStream*>(stream)->NoteNewKeys();
  });
}

TlsStream::~TlsStream() { SSL_free(ssl_); }

bool TlsStream::accepts() const { return SSL_is_server(ssl_) == 1; }

void TlsStream::BeginCall(size_t read_budget) {
  ERR_clear_error();
  io_error_ = 0;
  read_budget_ = read_budget;
  more_ = false;
}

int TlsStream::Fail(int reason) {
  if (too_many_keys_) {
    failure_ = EPROTO;
    error_ = "the peer changes its keys too often";
  } else if (reason == SSL_ERROR_SYSCALL && io_error_ != 0) {
    failure_ = io_error_;
    error_ = SystemText(io_error_);
  } else {
    failure_ = EPROTO;
    error_ = OpensslText();
    const long verified = SSL_get_verify_result(ssl_);  // NOLINT: OpenSSL's type
    if (verified != X509_V_OK) {
      error_ += std::string(" (") + X509_verify_cert_error_string(verified) + ")";
    }
  }
  ERR_clear_error();
  return failure_;
}

void TlsStream::NoteNewKeys() {
  const int64_t times = (SystemClock()->MonotonicNs() - new_keys_ns_) / kNewKeysNs;
  const auto reads = static_cast<int64_t>(new_keys_bytes_ / kNewKeysBytes);
  new_keys_ns_ += times * kNewKeysNs;
  new_keys_bytes_ %= kNewKeysBytes;
  new_keys_left_ = std::min(new_keys_left_ + times + reads, kMaxNewKeys);
  if (--new_keys_left_ >= 0) return;
  too_many_keys_ = true;
  // OpenSSL reads no further then: it holds hundreds of such messages already.
  SSL_set_shutdown(ssl_, SSL_get_shutdown(ssl_) | SSL_RECEIVED_SHUTDOWN);
}

TlsStream::Step TlsStream::Handshake() {
  CHECK(!handshake_done_);
  if (failure_ != 0) return Step::kFailed;
  BeginCall(kReadSlackBytes);
  const int done = SSL_do_handshake(ssl_);
  if (done == 1) {
    handshake_done_ = true;
    // The peer may have gone on in the same packet.
    input_waits_ = SSL_has_pending(ssl_) == 1;
    return Step::kDone;
  }
  const int reason = SSL_get_error(ssl_, done);
  if (reason == SSL_ERROR_WANT_READ) return Step::kWantRead;
  const bool left = eof_;
  Fail(reason);
  return left ? Step::kClosed : Step::kFailed;
}

int TlsStream::Flush() {
  if (failure_ != 0 || unsent_.empty()) return failure_;
  const IoResult put = SendTo(fd_, unsent_);
  if (put.error != 0 && !put.would_block()) {
    io_error_ = put.error;
    return Fail(SSL_ERROR_SYSCALL);
  }
  if (put.bytes == unsent_.size()) {
    std::string().swap(unsent_);
  } else {
    unsent_.erase(0, put.bytes);
  }
  return 0;
}

IoResult TlsStream::Read(std::span<char> into) {
  CHECK(handshake_done_);
  if (failure_ != 0) return {.error = failure_};
  if (congested()) return {.error = EAGAIN};
  input_waits_ = false;
  BeginCall(into.size() + kReadSlackBytes);
  size_t total = 0;
  while (total < into.size()) {
    size_t n = 0;
    if (SSL_read_ex(ssl_, into.data() + total, into.size() - total, &n) == 1) {
      total += n;
      new_keys_bytes_ += n;
      if (SSL_has_pending(ssl_) == 0 && !more_) return {.bytes = total};
      continue;
    }
    const int reason = SSL_get_error(ssl_, 0);
    if (reason == SSL_ERROR_WANT_READ) {
      return total > 0 ? IoResult{.bytes = total} : IoResult{.error = EAGAIN};
    }
    const bool ended = !too_many_keys_ && (reason == SSL_ERROR_ZERO_RETURN || eof_);
    const int error = ended ? 0 : Fail(reason);
    // What came before it is served first; the next call finds the same again.
    input_waits_ = total > 0;
    if (total > 0) return {.bytes = total};
    return {.error = error, .eof = ended};
  }
  input_waits_ = SSL_has_pending(ssl_) == 1;
  return {.bytes = total};
}

size_t TlsStream::SendBatch(Batch* batch) {
  if (batch->used == 0) return 0;
  CHECK(unsent_.empty());
  const IoResult put = SendTo(fd_, {batch->bytes.data(), batch->used});
  if (put.error != 0 && !put.would_block()) {
    io_error_ = put.error;
    Fail(SSL_ERROR_SYSCALL);
    return 0;
  }
  size_t out = 0;
  for (size_t i = 0; i < batch->count; ++i) {
    const Batch::Record& record = batch->records[i];
    (record.end <= put.bytes ? out : unsent_plain_) += record.plain;
  }
  unsent_.append(batch->bytes.data() + put.bytes, batch->used - put.bytes);
  batch->used = batch->count = 0;
  return out;
}

IoResult TlsStream::Write(const iovec* parts, int count, std::span<char> scratch) {
  CHECK(handshake_done_ && scratch.size() >= kScratchBytes);
  if (const int error = Flush(); error != 0) return {.error = error};
  if (!unsent_.empty()) return {.error = EAGAIN};
  BeginCall(0);
  int i = 0;
  size_t offset = 0;  // what is written of parts[i]
  const auto advance = [&](size_t bytes) {
    while (i < count && bytes >= parts[i].iov_len - offset) {
      bytes -= parts[i++].iov_len - offset;
      offset = 0;
    }
    CHECK(i < count || bytes == 0);
    offset += bytes;
  };
  // The records that the last call left behind are out now.
  size_t total = std::exchange(unsent_plain_, 0);
  advance(total);
  Batch batch;
  batch.bytes = scratch.subspan(kRecordBytes, kBatchBytes);
  size_t taken = total;
  while (i < count && taken < kMaxWriteBytes && unsent_.empty() && failure_ == 0) {
    const char* bytes = static_cast<const char*>(parts[i].iov_base) + offset;
    size_t size = std::min(parts[i].iov_len - offset, kRecordBytes);
    if (size < kRecordBytes && i + 1 < count) {
      std::memcpy(scratch.data(), bytes, size);
      bytes = scratch.data();
      for (int j = i + 1; j < count && size < kRecordBytes; ++j) {
        const size_t part = std::min(parts[j].iov_len, kRecordBytes - size);
        if (part > 0) std::memcpy(scratch.data() + size, parts[j].iov_base, part);
        size += part;
      }
    }
    if (size == 0) break;  // nothing but empty parts is left
    size_t written = 0;
    batch_ = &batch;
    const bool done = SSL_write_ex(ssl_, bytes, size, &written) == 1;
    batch_ = nullptr;
    if (!done) {
      Fail(SSL_get_error(ssl_, 0));
      break;
    }
    batch.records[batch.count++] = {written, batch.used};
    taken += written;
    advance(written);
    if (batch.count == kBatchRecords) total += SendBatch(&batch);
  }
  if (failure_ == 0) total += SendBatch(&batch);
  if (total > 0) return {.bytes = total};
  if (failure_ != 0) return {.error = failure_};
  return unsent_.empty() ? IoResult{} : IoResult{.error = EAGAIN};
}

void TlsStream::Shutdown() {
  if (!handshake_done_ || failure_ != 0) return;
  BeginCall(0);
  (void)SSL_shutdown(ssl_);
  ERR_clear_error();
  failure_ = EPIPE;
}

std::string TlsStream::Describe() const {
  return std::string(SSL_get_version(ssl_)) + " " + SSL_get_cipher_name(ssl_);
}

// ---- A context

namespace {

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using ContextPtr = std::unique_ptr<SSL_CTX, FreeContext>;

// "tls-cert-file: /etc/cert.pem: No such file or directory", with OpenSSL's reason.
Status TlsFault(std::string_view option, const std::string& value) {
  std::string text(option);
  if (!value.empty()) text += ": " + value;
  return Status::InvalidArgument(text + ": " + OpensslText());
}

Status SetProtocols(SSL_CTX* context, const std::string& protocols) {
  bool v12 = protocols.empty();
  bool v13 = protocols.empty();
  std::istringstream words(protocols);
  for (std::string word; words >> word;) {
    if (EqualsIgnoreCase(word, "TLSv1.2")) {
      v12 = true;
    } else if (EqualsIgnoreCase(word, "TLSv1.3")) {
      v13 = true;
    } else {
      return Status::InvalidArgument("tls-protocols: '" + word +
                                     "' is none of TLSv1.2 and TLSv1.3");
    }
  }
  if (!v12 && !v13) return Status::InvalidArgument("tls-protocols: no protocol is named");
  SSL_CTX_set_min_proto_version(context, v12 ? TLS1_2_VERSION : TLS1_3_VERSION);
  SSL_CTX_set_max_proto_version(context, v13 ? TLS1_3_VERSION : TLS1_2_VERSION);
  return Status::Ok();
}

// Without a password an encrypted key is an error; OpenSSL would ask the terminal for one.
int GivePassword(char* into, int size, int, void* password) {
  const auto& text = *static_cast<const std::string*>(password);
  if (text.empty() || text.size() > static_cast<size_t>(size)) return -1;
  std::memcpy(into, text.data(), text.size());
  return static_cast<int>(text.size());
}

Status UseCertificate(SSL_CTX* context, std::string_view prefix, const std::string& cert_file,
                      const std::string& key_file, const std::string& key_file_pass) {
  const std::string name(prefix);
  if (cert_file.empty()) return Status::InvalidArgument(name + "cert-file is needed for TLS");
  if (key_file.empty()) return Status::InvalidArgument(name + "key-file is needed for TLS");
  if (SSL_CTX_use_certificate_chain_file(context, cert_file.c_str()) != 1) {
    return TlsFault(name + "cert-file", cert_file);
  }
  std::string password = key_file_pass;
  SSL_CTX_set_default_passwd_cb(context, GivePassword);
  SSL_CTX_set_default_passwd_cb_userdata(context, &password);
  const int used = SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM);
  SSL_CTX_set_default_passwd_cb_userdata(context, nullptr);
  SSL_CTX_set_default_passwd_cb(context, nullptr);
  if (used != 1) return TlsFault(name + "key-file", key_file);
  if (SSL_CTX_check_private_key(context) != 1) return TlsFault(name + "key-file", key_file);
  return Status::Ok();
}

Status UseAuthorities(SSL_CTX* context, const TlsOptions& options) {
  if (!options.ca_cert_file.empty() &&
      SSL_CTX_load_verify_file(context, options.ca_cert_file.c_str()) != 1) {
    return TlsFault("tls-ca-cert-file", options.ca_cert_file);
  }
  if (options.ca_cert_dir.empty()) return Status::Ok();
  // OpenSSL looks into it only when a certificate has to be verified.
  struct stat found {};
  if (stat(options.ca_cert_dir.c_str(), &found) != 0 || !S_ISDIR(found.st_mode)) {
    return Status::InvalidArgument("tls-ca-cert-dir: " + options.ca_cert_dir +
                                   ": there is no such directory");
  }
  if (SSL_CTX_load_verify_dir(context, options.ca_cert_dir.c_str()) != 1) {
    return TlsFault("tls-ca-cert-dir", options.ca_cert_dir);
  }
  return Status::Ok();
}

Status UseDhParams(SSL_CTX* context, const std::string& file) {
  if (file.empty()) {
    SSL_CTX_set_dh_auto(context, 1);
    return Status::Ok();
  }
  BIO* in = BIO_new_file(file.c_str(), "r");
  EVP_PKEY* params = in == nullptr ? nullptr : PEM_read_bio_Parameters(in, nullptr);
  BIO_free(in);
  if (params == nullptr) return TlsFault("tls-dh-params-file", file);
  if (SSL_CTX_set0_tmp_dh_pkey(context, params) == 1) return Status::Ok();
  EVP_PKEY_free(params);
  return TlsFault("tls-dh-params-file", file);
}

void SetSessions(SSL_CTX* context, const TlsOptions& options) {
  SSL_CTX_set_session_id_context(context, Bytes(kClientSessions), kClientSessions.size());
  if (!options.session_caching) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
    return;
  }
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER);
  SSL_CTX_sess_set_cache_size(context, options.session_cache_size);
  SSL_CTX_set_timeout(context, options.session_cache_timeout_s);
}

// What both ends have in common.
Result<ContextPtr> NewContext(const TlsOptions& options) {
  ERR_clear_error();
  ContextPtr context(SSL_CTX_new(TLS_method()));
  if (context == nullptr) return TlsFault("OpenSSL", "");
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_IGNORE_UNEXPECTED_EOF);
  // Partial writes: one record a call.
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context.get(), 1);
  RETURN_IF_ERROR(SetProtocols(context.get(), options.protocols));
  if (!options.ciphers.empty() &&
      SSL_CTX_set_cipher_list(context.get(), options.ciphers.c_str()) != 1) {
    return TlsFault("tls-ciphers", options.ciphers);
  }
  if (!options.ciphersuites.empty() &&
      SSL_CTX_set_ciphersuites(context.get(), options.ciphersuites.c_str()) != 1) {
    return TlsFault("tls-ciphersuites", options.ciphersuites);
  }
  RETURN_IF_ERROR(UseAuthorities(context.get(), options));
  return context;
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::Build(const TlsOptions& options) {
  if (options.ca_cert_file.empty() && options.ca_cert_dir.empty() &&
      (options.peers || options.auth_clients != TlsAuth::kNo)) {
    return Status::InvalidArgument(
        "tls-ca-cert-file or tls-ca-cert-dir is needed with tls-cluster and unless "
        "tls-auth-clients is no");
  }
  const std::shared_ptr<TlsContext> made(new TlsContext);
  Result<ContextPtr> server = NewContext(options);
  if (!server.ok()) return server.status();
  SSL_CTX* const context = server.value().get();
  RETURN_IF_ERROR(
      UseCertificate(context, "tls-", options.cert_file, options.key_file, options.key_file_pass));
  RETURN_IF_ERROR(UseDhParams(context, options.dh_params_file));
  if (options.prefer_server_ciphers) {
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
  }
  SetSessions(context, options);
  made->client_verify_ = options.auth_clients == TlsAuth::kNo ? SSL_VERIFY_NONE
                         : options.auth_clients == TlsAuth::kOptional
                             ? SSL_VERIFY_PEER
                             : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  if (options.peers) {
    Result<ContextPtr> client = NewContext(options);
    if (!client.ok()) return client.status();
    SSL_CTX* const dials = client.value().get();
    SSL_CTX_set_session_cache_mode(dials, SSL_SESS_CACHE_OFF);
    RETURN_IF_ERROR(options.client_cert_file.empty()
                        ? UseCertificate(dials, "tls-", options.cert_file, options.key_file,
                                         options.key_file_pass)
                        : UseCertificate(dials, "tls-client-", options.client_cert_file,
                                         options.client_key_file, options.client_key_file_pass));
    made->client_ = client.value().release();
  }
  made->server_ = server.value().release();
  return std::shared_ptr<const TlsContext>(made);
}

TlsContext::~TlsContext() {
  SSL_CTX_free(server_);
  SSL_CTX_free(client_);
}

std::unique_ptr<TlsStream> TlsContext::Stream(ssl_ctx_st* context, bool accepts, int verify) {
  SSL* ssl = SSL_new(context);
  CHECK_MSG(ssl != nullptr, "OpenSSL has no memory for a connection");
  SSL_set_verify(ssl, verify, nullptr);
  if (accepts) {
    SSL_set_accept_state(ssl);
  } else {
    SSL_set_connect_state(ssl);
  }
  return std::unique_ptr<TlsStream>(new TlsStream(ssl));
}

std::unique_ptr<TlsStream> TlsContext::Accept() const {
  return Stream(server_, true, client_verify_);
}

std::unique_ptr<TlsStream> TlsContext::AcceptPeer() const {
  std::unique_ptr<TlsStream> stream =
      Stream(server_, true, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
  SSL_set_session_id_context(stream->ssl_, Bytes(kPeerSessions), kPeerSessions.size());
  SSL_set_options(stream->ssl_, SSL_OP_NO_TICKET);
  SSL_set_num_tickets(stream->ssl_, 0);
  return stream;
}

std::unique_ptr<TlsStream> TlsContext::DialPeer() const {
  CHECK(client_ != nullptr);
  return Stream(client_, false, SSL_VERIFY_PEER);
}

}  // namespace holdfast::net
