// What tests of TLS share: certificates made on the spot, and OpenSSL's own client.
#pragma once

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "net/tls.h"
#include "net_test_util.h"

namespace holdfast::net {

// A folder that goes with the object.
class TestFolder {
 public:
  TestFolder() {
    char name[] = "/tmp/holdfast-tls-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// A certificate and its key, as files.
struct TestCertificate {
  std::string cert_file;
  std::string key_file;
  X509* cert = nullptr;
  EVP_PKEY* key = nullptr;

  TestCertificate() = default;
  TestCertificate(TestCertificate&& o) noexcept
      : cert_file(std::move(o.cert_file)),
        key_file(std::move(o.key_file)),
        cert(std::exchange(o.cert, nullptr)),
        key(std::exchange(o.key, nullptr)) {}
  ~TestCertificate() {
    X509_free(cert);
    EVP_PKEY_free(key);
  }
};

inline void WritePem(const std::string& file, const std::function<int(BIO*)>& write) {
  BIO* out = BIO_new_file(file.c_str(), "w");
  REQUIRE(out != nullptr);
  REQUIRE(write(out) == 1);
  BIO_free(out);
}

// `issuer` null: it signs itself, as a CA. `rsa`: its handshakes cost more. Ends `valid_s` seconds
// from now.
inline TestCertificate MakeCertificate(const TestFolder& folder, const std::string& name,
                                       const TestCertificate* issuer, bool rsa = false,
                                       long valid_s = 3600, const std::string& password = "") {
  TestCertificate made;
  made.cert_file = folder.File(name + ".crt");
  made.key_file = folder.File(name + ".key");
  made.key = rsa ? EVP_RSA_gen(2048u) : EVP_EC_gen("P-256");
  REQUIRE(made.key != nullptr);
  made.cert = X509_new();
  X509_set_version(made.cert, X509_VERSION_3);
  static long serial = 0;
  ASN1_INTEGER_set(X509_get_serialNumber(made.cert), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(made.cert), -7200);
  X509_gmtime_adj(X509_getm_notAfter(made.cert), valid_s);
  X509_set_pubkey(made.cert, made.key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made.cert), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  const X509* parent = issuer == nullptr ? made.cert : issuer->cert;
  X509_set_issuer_name(made.cert, X509_get_subject_name(parent));
  X509_EXTENSION* basic = X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints,
                                              issuer == nullptr ? "critical,CA:TRUE" : "CA:FALSE");
  REQUIRE(X509_add_ext(made.cert, basic, -1) == 1);
  X509_EXTENSION_free(basic);
  REQUIRE(X509_sign(made.cert, issuer == nullptr ? made.key : issuer->key, EVP_sha256()) > 0);
  WritePem(made.cert_file, [&](BIO* out) { return PEM_write_bio_X509(out, made.cert); });
  WritePem(made.key_file, [&](BIO* out) {
    return PEM_write_bio_PrivateKey(
        out, made.key, password.empty() ? nullptr : EVP_aes_256_cbc(), nullptr, 0, nullptr,
        password.empty() ? nullptr : const_cast<char*>(password.c_str()));
  });
  return made;
}

// A client on a non-blocking socket, which the test drives between turns of the loop.
class TlsClient {
 public:
  struct Setup {
    const TestCertificate* certificate = nullptr;
    int version = 0;                 // TLS1_2_VERSION, …; 0: any
    SSL_SESSION* session = nullptr;  // to resume
    int receive_buffer = 0;
  };
  TlsClient(uint16_t port, const Setup& setup) : client(port, setup.receive_buffer) {
    context_ = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(context_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT);
    if (setup.version != 0) {
      SSL_CTX_set_min_proto_version(context_, setup.version);
      SSL_CTX_set_max_proto_version(context_, setup.version);
    }
    if (setup.certificate != nullptr) {
      SSL_CTX_use_certificate(context_, setup.certificate->cert);
      SSL_CTX_use_PrivateKey(context_, setup.certificate->key);
    }
    ssl = SSL_new(context_);
    if (setup.session != nullptr) SSL_set_session(ssl, setup.session);
    SSL_set_fd(ssl, client.fd());
    const int flags = fcntl(client.fd(), F_GETFL);
    fcntl(client.fd(), F_SETFL, flags | O_NONBLOCK);
    // What is sent one after the other is there at once.
    const int on = 1;
    setsockopt(client.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    SSL_set_msg_callback(
        ssl, [](int write, int, int type, const void* header, size_t, SSL*, void* self) {
          // Application data, as the header has it.
          if (type != SSL3_RT_HEADER || write != 0) return;
          auto* records = &static_cast<TlsClient*>(self)->data_records;
          if (static_cast<const unsigned char*>(header)[0] == SSL3_RT_APPLICATION_DATA) ++*records;
        });
    SSL_set_msg_callback_arg(ssl, this);
  }
  ~TlsClient() {
    SSL_free(ssl);
    SSL_CTX_free(context_);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  // True when it is over, one way or the other.
  bool Handshake() {
    if (done || failed) return true;
    ERR_clear_error();
    const int n = SSL_connect(ssl);
    done = n == 1;
    if (!done) Note(n);
    return done || failed;
  }
  // As Client's, of what is encrypted.
  size_t Send(std::string_view bytes) {
    size_t total = 0;
    while (total < bytes.size() && !failed) {
      ERR_clear_error();
      size_t n = 0;
      if (SSL_write_ex(ssl, bytes.data() + total, bytes.size() - total, &n) != 1) {
        Note(0);
        break;
      }
      total += n;
    }
    return total;
  }
  void Receive(size_t max = SIZE_MAX) {
    char buffer[16 * 1024];
    while (max > 0 && !failed && !eof) {
      ERR_clear_error();
      size_t n = 0;
      if (SSL_read_ex(ssl, buffer, std::min(max, sizeof buffer), &n) != 1) {
        Note(0);
        break;
      }
      received.append(buffer, n);
      max -= n;
    }
  }

  Client client;
  SSL* ssl = nullptr;
  std::string received;
  int data_records = 0;  // also what TLS 1.3 hides as such
  bool done = false;
  bool failed = false;
  bool eof = false;  // by close_notify

 private:
  void Note(int result) {
    const int reason = SSL_get_error(ssl, result);
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) return;
    if (reason == SSL_ERROR_ZERO_RETURN) {
      eof = true;
    } else {
      failed = true;
    }
  }

  SSL_CTX* context_ = nullptr;
};

inline constexpr int kVersions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

inline std::string TlsPattern(size_t n) {
  std::string s(n, '\0');
  for (size_t i = 0; i < n; ++i) s[i] = static_cast<char>((i * 37 + i / 253) & 0xff);
  return s;
}

// A server at which connections are encrypted, with everything that belongs to it.
struct TlsServer {
  TestFolder folder;
  TestCertificate ca = MakeCertificate(folder, "ca", nullptr);
  TestCertificate other_ca = MakeCertificate(folder, "other-ca", nullptr);
  TestCertificate own = MakeCertificate(folder, "server", &ca);
  TestCertificate known = MakeCertificate(folder, "known", &ca);
  TestCertificate stranger = MakeCertificate(folder, "stranger", &other_ca);
  TlsSlot slot;
  Server server;

  explicit TlsServer(TlsAuth auth = TlsAuth::kNo) {
    TlsOptions options = Options();
    options.auth_clients = auth;
    Use(options);
    server.encrypt = [this] { return slot.Get()->Accept(); };
  }

  TlsOptions Options() const {
    TlsOptions options;
    options.cert_file = own.cert_file;
    options.key_file = own.key_file;
    options.ca_cert_file = ca.cert_file;
    options.auth_clients = TlsAuth::kNo;
    options.peers = true;
    return options;
  }
  void Use(const TlsOptions& options) {
    auto built = TlsContext::Build(options);
    if (!built.ok()) FAIL(built.status().message());
    slot.Set(built.value());
  }

  struct Pair {
    std::unique_ptr<TlsClient> client;
    Server::Peer* peer = nullptr;
    Connection& connection() const { return *peer->connection; }
    Recorder& handler() const { return peer->handler; }
  };
  // Connects, without a handshake.
  Pair Dial(const TlsClient::Setup& setup = {}) {
    const size_t before = server.peers.size();
    Pair pair;
    pair.client = std::make_unique<TlsClient>(server.port, setup);
    REQUIRE(server.Until([&] { return server.peers.size() > before; }));
    pair.peer = server.peers.back().get();
    return pair;
  }
  // And shakes hands.
  Pair Connect(const TlsClient::Setup& setup = {}) {
    Pair pair = Dial(setup);
    REQUIRE(server.Until([&] {
      return pair.client->Handshake() && (pair.handler().encrypted == 1 || pair.client->failed);
    }));
    REQUIRE(pair.client->done);
    return pair;
  }
  // Whether the server takes such a client.
  bool Takes(const TlsClient::Setup& setup) {
    Pair pair = Dial(setup);
    REQUIRE(server.Until([&] {
      pair.client->Handshake();
      return pair.handler().encrypted == 1 || pair.handler().closed == 1;
    }));
    CHECK(pair.handler().encrypted + pair.handler().closed == 1);
    if (pair.handler().closed == 1) last_error = pair.connection().CloseText();
    return pair.handler().encrypted == 1;
  }
  std::string last_error;
};

}  // namespace holdfast::net
