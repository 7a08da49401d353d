// TLS by OpenSSL, on the sockets and loops of this folder.
//
//   TlsOptions ──Build──▶ TlsContext (certificates, ciphers, sessions; never changes)
//                              │ Accept, AcceptPeer, DialPeer
//                              ▼
//                         TlsStream (one connection's) ──▶ net::Connection
//
// New certificates make a new context, which a TlsSlot hands out from then on; connections keep
// the one that they were made from, so that none of them is dropped.
//
// OpenSSL reads and writes the socket itself, by a BIO of ours: compared with a pair of memory BIOs
// that is a copy less each way. "Read ahead" makes one recv of what would be two a record (header,
// body); replies are put together to records of up to 16 KB, and up to eight records are sent
// together: each send wakes the peer, which costs more than to copy a record.
//
// What the kernel doesn't take is kept here, so that OpenSSL never has to wait to write: when it
// does, and the peer asks for new keys meanwhile, it gives the connection up ("bad length", as of
// 3.0). That is eight records at most, which Write doesn't count as taken before they are out: so
// Connection's queue holds plain text only and counts as it does without TLS. Handshake messages
// and answers to new keys may come on top; what is too much stops the reading.
//
// OpenSSL gives both of its buffers (17 KB each) back whenever they are empty
// (SSL_MODE_RELEASE_BUFFERS): an idle connection holds 15 KB, with a certificate of its own 24.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"

struct iovec;
struct ssl_ctx_st;
struct ssl_st;

namespace holdfast::net {

// The outcome of moving bytes: how many, or why none were.
struct IoResult {
  size_t bytes = 0;
  int error = 0;     // errno; 0 also at EOF
  bool eof = false;  // reading only
  bool would_block() const;
};

// Whether clients have to show a certificate.
enum class TlsAuth : uint8_t {
  kYes,       // one that the CA has signed
  kNo,        // they aren't asked for any
  kOptional,  // none or a good one
};

// As the options of the same names, with Redis's meanings. Empty strings: not given.
struct TlsOptions {
  std::string cert_file;
  std::string key_file;
  std::string key_file_pass;
  // What this node shows to nodes that it dials; empty: the same as to clients.
  std::string client_cert_file;
  std::string client_key_file;
  std::string client_key_file_pass;
  std::string dh_params_file;
  std::string ca_cert_file;
  std::string ca_cert_dir;
  TlsAuth auth_clients = TlsAuth::kYes;
  std::string protocols;     // "TLSv1.2 TLSv1.3"; empty: both
  std::string ciphers;       // of TLS 1.2
  std::string ciphersuites;  // of TLS 1.3
  bool prefer_server_ciphers = false;
  bool session_caching = true;
  int64_t session_cache_size = 20480;
  int64_t session_cache_timeout_s = 300;
  // Other nodes are dialed and let in, which needs a CA.
  bool peers = false;
};

// The end of one encrypted connection. One thread at a time, which may change between calls.
class TlsStream {
 public:
  enum class Step : uint8_t {
    kDone,      // the handshake is over
    kWantRead,  // it goes on when the peer has sent more
    kClosed,    // the peer left
    kFailed,    // see error()
  };

  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // Which socket to read and write: connected, non-blocking, open while calls are made. Again when
  // the connection went to another owner.
  void Attach(int fd) { fd_ = fd; }
  // Whether it is the end that was dialed.
  bool accepts() const;

  // Takes the handshake as far as it goes without waiting.
  Step Handshake();
  bool handshake_done() const { return handshake_done_; }

  // ---- Any time.

  // There is something to Flush when the kernel takes more.
  bool wants_write() const { return !unsent_.empty(); }
  // So much of it that nothing is read before.
  bool congested() const { return unsent_.size() > kMaxUnsentBytes; }
  // errno of a failure, or 0.
  int Flush();

  // ---- After the handshake. A failure (EPROTO, or the system's errno) is final.

  // Reads until `into` is full or nothing more has arrived. EOF with or without TLS's own goodbye:
  // requests and frames tell where they end, so cutting one off isn't mistaken for its end.
  IoResult Read(std::span<char> into);
  // Something has arrived that isn't in the kernel any more: no event will tell of it.
  bool input_waits() const { return input_waits_; }

  // Writes of the parts, in their order, what the kernel takes, at most kMaxWriteBytes. Small parts
  // and records are put together in `scratch`, of at least kScratchBytes. What it doesn't take has
  // to come first in the next call, though it may have moved.
  IoResult Write(const iovec* parts, int count, std::span<char> scratch);

  // Says goodbye as well as that goes without waiting. Nothing is written or read afterwards.
  void Shutdown();

  // Why it failed, for a log: OpenSSL's words, or the system's. Empty: it didn't.
  const std::string& error() const { return error_; }
  // "TLSv1.3 TLS_AES_256_GCM_SHA384"; after the handshake.
  std::string Describe() const;

  // What one record carries.
  static constexpr size_t kRecordBytes = 16 * 1024;
  // What it takes besides, at most: header, vector, checksum and padding of any cipher.
  static constexpr size_t kRecordOverhead = 512;
  static constexpr size_t kBatchRecords = 8;
  static constexpr size_t kBatchBytes = kBatchRecords * (kRecordBytes + kRecordOverhead);
  static constexpr size_t kScratchBytes = kRecordBytes + kBatchBytes;
  // So that one connection can't keep the others waiting.
  static constexpr size_t kMaxWriteBytes = 1024 * 1024;
  static constexpr size_t kMaxUnsentBytes = 2 * kBatchBytes;
  // OpenSSL takes up to 80 us to change keys, for 27 bytes of the peer's: a client that does
  // nothing else would keep a loop from all others. So many are free, then one per time and one per
  // bytes read; whoever wants more is closed. Others do it every few megabytes at most.
  static constexpr int64_t kMaxNewKeys = 64;
  static constexpr int64_t kNewKeysNs = 100'000'000;
  static constexpr uint64_t kNewKeysBytes = 64 * 1024;

 private:
  friend class TlsContext;
  struct Bio;  // the functions that OpenSSL calls
  // Takes `ssl` over.
  explicit TlsStream(ssl_st* ssl);
  // Before each call of OpenSSL, whose error queue belongs to the thread.
  void BeginCall(size_t read_budget);
  // Notes why a call failed (`reason` is what SSL_get_error made of it) and returns failure_.
  int Fail(int reason);
  // The peer has changed its keys.
  void NoteNewKeys();
  // The records that are sent together, during Write: what each takes of the caller's bytes, and
  // where it ends among the encrypted ones.
  struct Batch {
    struct Record {
      size_t plain = 0;
      size_t end = 0;
    };
    std::span<char> bytes;
    size_t used = 0;
    std::array<Record, kBatchRecords> records;
    size_t count = 0;
  };
  // Returns how many bytes of the caller's are out now; what isn't out is unsent_.
  size_t SendBatch(Batch* batch);

  ssl_st* const ssl_;
  int fd_ = -1;
  int io_error_ = 0;         // errno of the last system call that failed
  bool eof_ = false;         // the socket's
  bool more_ = false;        // the last recv brought as much as it was asked for
  size_t read_budget_ = 0;   // bytes that the present call may still take from the socket
  std::string unsent_;       // encrypted; waits for the kernel
  size_t unsent_plain_ = 0;  // bytes of the caller's, in records that aren't wholly out
  Batch* batch_ = nullptr;   // during Write
  bool handshake_done_ = false;
  bool input_waits_ = false;
  // How often the peer may change its keys at once, see kMaxNewKeys.
  int64_t new_keys_left_ = kMaxNewKeys;
  int64_t new_keys_ns_ = 0;      // monotonic: when that was last added to
  uint64_t new_keys_bytes_ = 0;  // what was read since
  bool too_many_keys_ = false;
  int failure_ = 0;  // errno; 0: it works
  std::string error_;
};

// Certificates and rules, for any number of connections. Any thread; never changes.
class TlsContext {
 public:
  // Reads the files; blocks on the disk. The error names the option or the file, and has OpenSSL's
  // reason.
  static Result<std::shared_ptr<const TlsContext>> Build(const TlsOptions& options);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // A client has connected.
  std::unique_ptr<TlsStream> Accept() const;
  // Another node has, or is dialed: either has to show a certificate of the CA. What address or
  // name the certificate is for doesn't matter: which node it is, is for replica/hello.h to find.
  std::unique_ptr<TlsStream> AcceptPeer() const;
  std::unique_ptr<TlsStream> DialPeer() const;

 private:
  TlsContext() = default;
  static std::unique_ptr<TlsStream> Stream(ssl_ctx_st* context, bool accepts, int verify);

  ssl_ctx_st* server_ = nullptr;
  ssl_ctx_st* client_ = nullptr;  // null unless options.peers
  int client_verify_ = 0;         // what clients have to show, in OpenSSL's flags
};

// The context in use. Any thread.
class TlsSlot {
 public:
  // Null before the first Set.
  std::shared_ptr<const TlsContext> Get() const {
    const std::lock_guard lock(mutex_);
    return context_;
  }
  void Set(std::shared_ptr<const TlsContext> context) {
    const std::lock_guard lock(mutex_);
    context_.swap(context);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const TlsContext> context_;
};

}  // namespace holdfast::net
