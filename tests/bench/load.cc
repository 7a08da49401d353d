// A load generator for servers that speak RESP: some connections, each with a pipeline that is sent
// when all of the last one is answered, as redis-benchmark does it. Unlike that, it can put a WAIT
// behind the writes, counts errors instead of ending at the first, and knows the tail of latencies.
//
//   load --port N [--host H] [--clients 50] [--pipeline 1] [--seconds 5] [--requests N]
//        [--command set|get|mixed] [--keys 100000] [--bytes 64] [--wait N] [--wait-ms 0]
//        [--every S]
//
// Ends after --seconds or, when that is sooner, after --requests operations. --wait N: `WAIT N
// wait-ms` behind the last SET of each pipeline; it counts into the latency, not into the
// operations, and an answer below N is an error_wait. mixed: one SET in five. Prints one line:
// name=value, separated by blanks; latencies are of a whole pipeline, in microseconds. Before it,
// with --every, one line `sample …` for each so many seconds. A connection that is lost is an
// error_lost and is made anew; the program ends early when that fails for all of them.
#include <arpa/inet.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/numbers.h"
#include "base/rng.h"

namespace holdfast::bench {
namespace {

struct Options {
  std::string host = "127.0.0.1";
  uint64_t port = 0;
  uint64_t clients = 50;
  uint64_t pipeline = 1;
  double seconds = 5;
  std::string command = "set";
  uint64_t keys = 100'000;
  uint64_t bytes = 64;
  uint64_t wait = 0;
  uint64_t wait_ms = 0;
  uint64_t requests = UINT64_MAX;
  double every = 0;  // seconds
};

constexpr int kWriteSeconds = 10;  // a server that takes nothing for so long has lost us

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "load: %s\n", why.c_str());
  std::exit(1);
}

// Counts of latencies by size: exact to a thirty-second of the value.
class Histogram {
 public:
  void Add(uint64_t us) {
    ++counts_[BucketOf(us)];
    ++total_;
    max_ = std::max(max_, us);
  }
  uint64_t Percentile(double share) const {
    auto left = static_cast<uint64_t>(share * static_cast<double>(total_));
    for (size_t i = 0; i < counts_.size(); ++i) {
      if (counts_[i] > left) return std::min(UpperOf(i), max_);
      left -= counts_[i];
    }
    return max_;
  }
  uint64_t max() const { return max_; }

 private:
  static constexpr size_t kFine = 32;
  static size_t BucketOf(uint64_t us) {
    if (us < kFine) return us;
    const auto shift = static_cast<size_t>(58 - __builtin_clzll(us));
    return (shift + 1) * kFine + ((us >> shift) - kFine);
  }
  static uint64_t UpperOf(size_t bucket) {
    if (bucket < kFine) return bucket;
    const size_t shift = bucket / kFine - 1;
    return ((bucket % kFine + kFine + 1) << shift) - 1;
  }
  std::vector<uint64_t> counts_ = std::vector<uint64_t>(kFine * 60);
  uint64_t total_ = 0;
  uint64_t max_ = 0;
};

class Load {
 public:
  explicit Load(const Options& options) : options_(options), value_(options.bytes, 'v') {
    poll_ = epoll_create1(EPOLL_CLOEXEC);
    if (poll_ < 0) Die("epoll_create1 failed");
    for (size_t i = 0; i < options.clients; ++i) {
      connections_.push_back(std::make_unique<Connection>());
      if (!Connect(connections_.back().get())) {
        Die("can't connect: " + std::string(std::strerror(errno)));
      }
    }
  }

  void Run() {
    const int64_t begin_ns = NowNs();
    const int64_t end_ns = begin_ns + static_cast<int64_t>(options_.seconds * 1e9);
    const auto every_ns = static_cast<int64_t>(options_.every * 1e9);
    int64_t sampled_ns = begin_ns;
    for (const auto& connection : connections_) Send(connection.get());
    epoll_event events[256];
    for (int64_t now = NowNs(); now < end_ns && alive_ > 0 && done_ + failed_ < options_.requests;
         now = NowNs()) {
      if (every_ns > 0 && now - sampled_ns >= every_ns) {
        PrintSample(now - begin_ns, now - sampled_ns);
        sampled_ns = now;
      }
      const auto again = std::exchange(to_send_, {});
      for (Connection* connection : again) Send(connection);
      const int n = epoll_wait(poll_, events, 256, to_send_.empty() ? 100 : 0);
      for (int i = 0; i < n; ++i) OnReadable(static_cast<Connection*>(events[i].data.ptr));
    }
    Print(static_cast<double>(NowNs() - begin_ns) / 1e9);
  }

 private:
  struct Connection {
    int fd = -1;
    std::unique_ptr<redisReader, decltype(&redisReaderFree)> reader{nullptr, redisReaderFree};
    size_t missing = 0;     // replies
    size_t operations = 0;  // of those, the ones that count
    int64_t sent_ns = 0;
  };

  // False, with errno, when the server isn't there.
  bool Connect(Connection* connection) {
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) Die("socket failed");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(options_.port));
    if (inet_pton(AF_INET, options_.host.c_str(), &address.sin_addr) != 1) Die("bad --host");
    const timeval limit{kWriteSeconds, 0};
    setsockopt(connection->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(connection->fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      const int error = errno;
      close(connection->fd);
      connection->fd = -1;
      errno = error;
      return false;
    }
    const int on = 1;
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection->reader.reset(redisReaderCreate());
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = connection;
    if (epoll_ctl(poll_, EPOLL_CTL_ADD, connection->fd, &event) != 0) Die("epoll_ctl failed");
    ++alive_;
    return true;
  }

  void Append(std::string* out, std::initializer_list<std::string_view> words) {
    out->append("*").append(std::to_string(words.size())).append("\r\n");
    for (const std::string_view word : words) {
      out->append("$").append(std::to_string(word.size())).append("\r\n");
      out->append(word).append("\r\n");
    }
  }

  void Send(Connection* connection) {
    std::string out;
    bool wrote = false;
    for (size_t i = 0; i < options_.pipeline; ++i) {
      char key[32];
      std::snprintf(key, sizeof key, "key:%012llu",
                    static_cast<unsigned long long>(rng_.Below(options_.keys)));
      const bool set =
          options_.command == "set" || (options_.command == "mixed" && rng_.Chance(1, 5));
      if (set) {
        Append(&out, {"SET", key, value_});
      } else {
        Append(&out, {"GET", key});
      }
      wrote |= set;
    }
    connection->operations = connection->missing = options_.pipeline;
    if (options_.wait > 0 && wrote) {
      Append(&out, {"WAIT", std::to_string(options_.wait), std::to_string(options_.wait_ms)});
      ++connection->missing;
    }
    connection->sent_ns = NowNs();
    for (size_t sent = 0; sent < out.size();) {
      const ssize_t n = send(connection->fd, out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        Lost(connection);
        return;
      }
      sent += static_cast<size_t>(n);
    }
  }

  void OnReadable(Connection* connection) {
    char buffer[64 * 1024];
    const ssize_t n = read(connection->fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) return;
    if (n <= 0) {
      Lost(connection);
      return;
    }
    redisReaderFeed(connection->reader.get(), buffer, static_cast<size_t>(n));
    while (connection->missing > 0) {
      void* reply = nullptr;
      if (redisReaderGetReply(connection->reader.get(), &reply) != REDIS_OK) Die("not RESP");
      if (reply == nullptr) return;
      Count(connection, static_cast<redisReply*>(reply));
      freeReplyObject(reply);
      --connection->missing;
    }
    latencies_.Add(static_cast<uint64_t>((NowNs() - connection->sent_ns) / 1000));
    Send(connection);
  }

  void Count(Connection* connection, const redisReply* reply) {
    const bool is_wait = connection->operations == 0;
    if (!is_wait) --connection->operations;
    if (reply->type == REDIS_REPLY_ERROR) {
      const std::string text(reply->str, reply->len);
      ++errors_[text.substr(0, text.find(' '))];
      if (!is_wait) ++failed_;
    } else if (!is_wait) {
      ++done_;
    } else if (reply->integer < static_cast<int64_t>(options_.wait)) {
      ++errors_["wait"];
    }
  }

  // The new connection's pipeline is sent by Run.
  void Lost(Connection* connection) {
    ++errors_["lost"];
    close(connection->fd);
    connection->fd = -1;
    --alive_;
    if (Connect(connection)) to_send_.push_back(connection);
  }

  void PrintSample(int64_t since_begin_ns, int64_t since_last_ns) {
    std::printf(
        "sample seconds=%.0f ops_per_second=%.0f\n", static_cast<double>(since_begin_ns) / 1e9,
        static_cast<double>(done_ - sampled_done_) / static_cast<double>(since_last_ns) * 1e9);
    std::fflush(stdout);
    sampled_done_ = done_;
  }

  void Print(double seconds) const {
    std::printf("operations=%llu ops_per_second=%.0f p50=%llu p99=%llu p99.9=%llu max=%llu",
                static_cast<unsigned long long>(done_), static_cast<double>(done_) / seconds,
                static_cast<unsigned long long>(latencies_.Percentile(0.5)),
                static_cast<unsigned long long>(latencies_.Percentile(0.99)),
                static_cast<unsigned long long>(latencies_.Percentile(0.999)),
                static_cast<unsigned long long>(latencies_.max()));
    for (const auto& [name, count] : errors_) {
      std::printf(" error_%s=%llu", name.c_str(), static_cast<unsigned long long>(count));
    }
    std::printf("\n");
  }

  const Options options_;
  const std::string value_;
  int poll_ = -1;
  size_t alive_ = 0;
  std::vector<std::unique_ptr<Connection>> connections_;
  Rng rng_{1};
  uint64_t done_ = 0;
  uint64_t failed_ = 0;
  uint64_t sampled_done_ = 0;
  std::vector<Connection*> to_send_;
  std::map<std::string, uint64_t> errors_;
  Histogram latencies_;
};

bool ParseOptions(int argc, char** argv, Options* options) {
  if (argc % 2 == 0) return false;
  const std::map<std::string, uint64_t*> numbers = {
      {"--port", &options->port},       {"--clients", &options->clients},
      {"--wait", &options->wait},       {"--keys", &options->keys},
      {"--bytes", &options->bytes},     {"--pipeline", &options->pipeline},
      {"--wait-ms", &options->wait_ms}, {"--requests", &options->requests}};
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    const char* value = argv[i + 1];
    if (flag == "--host") {
      options->host = value;
    } else if (flag == "--command") {
      options->command = value;
    } else if (flag == "--seconds") {
      if (!ParseDouble(value, &options->seconds)) return false;
    } else if (flag == "--every") {
      if (!ParseDouble(value, &options->every)) return false;
    } else {
      const auto number = numbers.find(flag);
      if (number == numbers.end() || !ParseUint64(value, number->second)) return false;
    }
  }
  const std::string& command = options->command;
  return options->port > 0 && options->port < 65536 && options->clients > 0 &&
         options->pipeline > 0 && options->keys > 0 &&
         (command == "set" || command == "get" || command == "mixed");
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  holdfast::bench::Options options;
  if (!holdfast::bench::ParseOptions(argc, argv, &options)) {
    std::fprintf(stderr,
                 "usage: load --port N [--host H] [--clients N] [--pipeline N] [--seconds S] "
                 "[--requests N] [--command set|get|mixed] [--keys N] [--bytes N] [--wait N] "
                 "[--wait-ms N] [--every S]\n");
    return 2;
  }
  holdfast::bench::Load(options).Run();
  return 0;
}
