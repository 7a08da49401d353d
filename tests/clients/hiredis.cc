// hiredis: hiredis <port> [no-locks]. See common.js for the agreement with tests/clients/run.
#include <hiredis/hiredis.h>
#include <poll.h>
#include <sys/time.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace {

int port = 0;
int checks = 0;

void Check(bool condition, const char* what, int line) {
  if (!condition) {
    std::fprintf(stderr, "hiredis.cc:%d: not so: %s\n", line, what);
    std::exit(1);
  }
  ++checks;
}
#define EXPECT(condition) Check((condition), #condition, __LINE__)

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};
using Context = std::unique_ptr<redisContext, FreeContext>;

Context Connect() {
  const timeval timeout = {30, 0};
  Context context(redisConnectWithTimeout("127.0.0.1", port, timeout));
  EXPECT(context != nullptr && context->err == 0);
  EXPECT(redisSetTimeout(context.get(), timeout) == REDIS_OK);
  return context;
}

// What tests/clients/run does for it.
void Order(const char* what) {
  std::printf("%s\n", what);
  std::fflush(stdout);
  char line[64];
  EXPECT(std::fgets(line, sizeof(line), stdin) != nullptr);
}

// Sends arguments that may hold any bytes.
Reply Command(const Context& c, std::initializer_list<std::string_view> args) {
  std::vector<const char*> data;
  std::vector<size_t> sizes;
  for (const std::string_view arg : args) {
    data.push_back(arg.data());
    sizes.push_back(arg.size());
  }
  void* reply = redisCommandArgv(c.get(), static_cast<int>(data.size()), data.data(), sizes.data());
  return Reply(static_cast<redisReply*>(reply));
}

bool Is(const Reply& reply, std::string_view text) {
  return reply != nullptr &&
         (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS) &&
         std::string_view(reply->str, reply->len) == text;
}
bool Is(const Reply& reply, long long number) {
  return reply != nullptr && reply->type == REDIS_REPLY_INTEGER && reply->integer == number;
}
bool IsNil(const Reply& reply) { return reply != nullptr && reply->type == REDIS_REPLY_NIL; }
bool IsError(const Reply& reply, std::string_view begin) {
  return reply != nullptr && reply->type == REDIS_REPLY_ERROR &&
         std::string_view(reply->str, reply->len).substr(0, begin.size()) == begin;
}

// Of the user of --acl; null without it.
const char* const user = std::getenv("CLIENTS_USER");
const char* const password = std::getenv("CLIENTS_PASSWORD");

// hiredis leaves it to the program, after a reconnection as well.
void Login(const Context& c) {
  if (user != nullptr) EXPECT(Is(Command(c, {"AUTH", user, password}), "OK"));
}

void Strings(const Context& c) {
  EXPECT(Is(Command(c, {"PING"}), "PONG"));
  EXPECT(Is(Command(c, {"SET", "key", "value"}), "OK"));
  EXPECT(Is(Command(c, {"GET", "key"}), "value"));
  EXPECT(IsNil(Command(c, {"GET", "missing"})));
  EXPECT(IsNil(Command(c, {"SET", "key", "x", "NX"})));
  EXPECT(Is(Command(c, {"APPEND", "key", "s"}), 6));
  EXPECT(Is(Command(c, {"INCRBY", "number", "42"}), 42));
  std::string binary;
  for (int i = 0; i < 512; ++i) binary += static_cast<char>(i);
  EXPECT(Is(Command(c, {"SET", binary, binary}), "OK"));
  EXPECT(Is(Command(c, {"GET", binary}), binary));
  const std::string large(3000000, 'x');
  EXPECT(Is(Command(c, {"SET", "large", large}), "OK"));
  EXPECT(Is(Command(c, {"GET", "large"}), large));
  const Reply values = Command(c, {"MGET", "key", "missing", "number"});
  EXPECT(values != nullptr && values->type == REDIS_REPLY_ARRAY && values->elements == 3);
  EXPECT(values->element[1]->type == REDIS_REPLY_NIL);
  EXPECT(std::string(values->element[2]->str) == "42");
}

void Expiry(const Context& c) {
  EXPECT(Is(Command(c, {"SET", "e", "1", "EX", "100"}), "OK"));
  const Reply ttl = Command(c, {"TTL", "e"});
  EXPECT(ttl != nullptr && ttl->integer > 90 && ttl->integer <= 100);
  EXPECT(Is(Command(c, {"PEXPIRE", "e", "60"}), 1));
  bool gone = false;
  for (int i = 0; i < 6000 && !gone; ++i) {
    gone = IsNil(Command(c, {"GET", "e"}));
    if (!gone) poll(nullptr, 0, 5);
  }
  EXPECT(gone);
  EXPECT(Is(Command(c, {"TTL", "e"}), -2));
}

void Transactions(const Context& c, const Context& other) {
  EXPECT(Is(Command(c, {"MULTI"}), "OK"));
  EXPECT(Is(Command(c, {"SET", "t", "1"}), "QUEUED"));
  EXPECT(Is(Command(c, {"INCR", "t"}), "QUEUED"));
  const Reply done = Command(c, {"EXEC"});
  EXPECT(done != nullptr && done->type == REDIS_REPLY_ARRAY && done->elements == 2);
  EXPECT(done->element[1]->integer == 2);
  EXPECT(Is(Command(c, {"WATCH", "t"}), "OK"));
  EXPECT(Is(Command(other, {"SET", "t", "theirs"}), "OK"));
  EXPECT(Is(Command(c, {"MULTI"}), "OK"));
  EXPECT(Is(Command(c, {"SET", "t", "mine"}), "QUEUED"));
  EXPECT(IsNil(Command(c, {"EXEC"})));
  EXPECT(Is(Command(c, {"GET", "t"}), "theirs"));
}

void Pipelines(const Context& c) {
  constexpr int kCount = 2000;
  for (int i = 0; i < kCount; ++i) {
    EXPECT(redisAppendCommand(c.get(), "SET p:%d %d", i, i) == REDIS_OK);
    EXPECT(redisAppendCommand(c.get(), "GET p:%d", i) == REDIS_OK);
  }
  for (int i = 0; i < 2 * kCount; ++i) {
    void* raw = nullptr;
    EXPECT(redisGetReply(c.get(), &raw) == REDIS_OK);
    const Reply reply(static_cast<redisReply*>(raw));
    EXPECT(Is(reply, i % 2 == 0 ? "OK" : std::to_string(i / 2)));
  }
}

void Scans(const Context& c) {
  std::set<std::string> found;
  std::string cursor = "0";
  do {
    const Reply part = Command(c, {"SCAN", cursor, "MATCH", "p:*", "COUNT", "100"});
    EXPECT(part != nullptr && part->type == REDIS_REPLY_ARRAY && part->elements == 2);
    cursor = part->element[0]->str;
    for (size_t i = 0; i < part->element[1]->elements; ++i)
      found.insert(part->element[1]->element[i]->str);
  } while (cursor != "0");
  EXPECT(found.size() == 2000);
}

void Errors(const Context& c) {
  EXPECT(IsError(Command(c, {"INCR", "key"}), "ERR value is not an integer or out of range"));
  EXPECT(IsError(Command(c, {"NOSUCH", "x"}), "ERR unknown command"));
  EXPECT(IsError(Command(c, {"GET"}), "ERR wrong number of arguments"));
  EXPECT(Is(Command(c, {"PING"}), "PONG"));
}

bool OneIsBlocked(const Context& c) {
  const Reply info = Command(c, {"INFO", "clients"});
  return info != nullptr && std::strstr(info->str, "blocked_clients:1\r\n") != nullptr;
}

void Locks(const Context& c, const Context& other) {
  const Reply token = Command(c, {"LOCK", "lock", "me", "60000"});
  EXPECT(token != nullptr && token->type == REDIS_REPLY_INTEGER && token->integer > 0);
  EXPECT(IsNil(Command(other, {"LOCK", "lock", "you", "60000"})));
  EXPECT(redisAppendCommand(other.get(), "LOCK lock you 60000 WAIT 30000") == REDIS_OK);
  int sent = 0;
  while (sent == 0) EXPECT(redisBufferWrite(other.get(), &sent) == REDIS_OK);
  bool blocked = false;
  for (int i = 0; i < 6000 && !blocked; ++i) {
    blocked = OneIsBlocked(c);
    if (!blocked) poll(nullptr, 0, 5);
  }
  EXPECT(blocked);
  EXPECT(Is(Command(c, {"UNLOCK", "lock", "me"}), 1));
  void* raw = nullptr;
  EXPECT(redisGetReply(other.get(), &raw) == REDIS_OK);
  const Reply next(static_cast<redisReply*>(raw));
  EXPECT(next->type == REDIS_REPLY_INTEGER && next->integer > token->integer);
  const std::string fence = std::to_string(next->integer);
  EXPECT(Is(Command(other, {"SET", "guarded", "x", "FENCE", fence}), "OK"));
  EXPECT(IsError(Command(c, {"SET", "guarded", "y", "FENCE", std::to_string(token->integer)}),
                 "FENCED "));
}

void Refusals(const Context& c) {
  if (user == nullptr) return;
  const std::string_view denied = "NOPERM this user has no permissions to ";
  EXPECT(IsError(Command(c, {"GET", "!key"}), denied));
  EXPECT(IsError(Command(c, {"PUBLISH", "!channel", "x"}), denied));
  EXPECT(IsError(Command(c, {"CONFIG", "SET", "timeout", "0"}), denied));
  const Context stranger = Connect();
  EXPECT(IsError(Command(stranger, {"GET", "key"}), "NOAUTH "));
  EXPECT(IsError(Command(stranger, {"AUTH", user, "wrong"}), "WRONGPASS "));
  EXPECT(IsError(Command(stranger, {"GET", "key"}), "NOAUTH "));
}

void Reconnect(const Context& c) {
  EXPECT(Is(Command(c, {"SET", "kept", "over the restart"}), "OK"));
  Order("RESTART");
  EXPECT(Command(c, {"PING"}) == nullptr && c->err != 0);
  EXPECT(redisReconnect(c.get()) == REDIS_OK);
  Login(c);
  EXPECT(Is(Command(c, {"GET", "kept"}), "over the restart"));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const std::string_view number(argv[1]);
  if (std::from_chars(number.data(), number.data() + number.size(), port).ec != std::errc())
    return 2;
  const bool with_locks = argc < 3 || std::strcmp(argv[2], "no-locks") != 0;
  const Context c = Connect();
  const Context other = Connect();
  Login(c);
  Login(other);
  Order("FLUSHALL");
  Refusals(c);
  Strings(c);
  Expiry(c);
  Transactions(c, other);
  Pipelines(c);
  Scans(c);
  Errors(c);
  if (with_locks) Locks(c, other);
  Reconnect(c);
  std::printf("%d checks\n", checks);
  return 0;
}
