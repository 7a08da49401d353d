#include "engine/config.h"

#include <doctest/doctest.h>

#include <fstream>
#include <set>
#include <sstream>

namespace holdfast::engine {
namespace {

std::string Get(const Config& config, std::string_view name) {
  const Option* option = FindOption(name);
  REQUIRE(option != nullptr);
  return GetOption(config, *option);
}

Status Set(Config* config, std::string_view name, std::string_view value) {
  const Option* option = FindOption(name);
  REQUIRE(option != nullptr);
  return SetOption(config, *option, value);
}

// The error of a CONFIG SET, or "OK".
std::string Change(Config* config, std::vector<std::string_view> arguments) {
  const Result<Config> changed = ChangeOptions(*config, arguments);
  if (!changed.ok()) return changed.status().message();
  *config = changed.value();
  return "OK";
}

std::vector<std::string> Names(const Config& config, std::vector<std::string_view> patterns) {
  std::vector<std::string> names;
  for (const auto& [name, value] : MatchOptions(config, patterns)) names.push_back(name);
  return names;
}

}  // namespace

TEST_CASE("the table is consistent") {
  std::set<std::string_view> names;
  std::set<std::string_view> sections;
  std::string_view section;
  for (const Option& option : Options()) {
    CAPTURE(option.name);
    CHECK(names.insert(option.name).second);
    if (!option.alias.empty()) CHECK(names.insert(option.alias).second);
    CHECK(option.meaning.ends_with('.'));
    CHECK(option.choices.empty() == (option.type != OptionType::kEnum));
    if (option.section != section) {
      CHECK_MESSAGE(sections.insert(option.section).second, "a section appears twice");
      section = option.section;
    }
    // A value that is shown can be given back, at the start and in the file's notation.
    Config config;
    const std::string shown = GetOption(config, option);
    CHECK(SetOption(&config, option, shown).ok());
    CHECK(SetOption(&config, option, FileValue(config, option)).ok());
    CHECK(GetOption(config, option) == shown);
  }
}

TEST_CASE("defaults arrive in the typed members") {
  const Config config;
  CHECK(config.port == 6379);
  CHECK(config.bind == std::vector<std::string>{"127.0.0.1"});
  CHECK(config.dir == "./data");
  CHECK(config.partitions == 1);
  CHECK(config.durability == Durability::kFsync);
  CHECK(config.maxclients == 10000);
  CHECK(config.max_bulk_bytes == 512ULL << 20);
  CHECK(config.query_buffer_limit_bytes == 1ULL << 30);
  CHECK(config.flush_max_bytes == 64ULL << 20);
  CHECK(config.log_level == LogLevel::kNotice);
  CHECK(config.latency_tracking);
  CHECK(config.latency_percentiles == std::vector<double>{50, 99, 99.9});
  CHECK(config.output_limits[static_cast<size_t>(ClientClass::kPubsub)].soft_seconds == 60);
}

TEST_CASE("every value has Redis's syntax and Redis's reason when it is wrong") {
  Config config;
  CHECK(Set(&config, "port", "x").message() == "argument couldn't be parsed into an integer");
  CHECK(Set(&config, "port", "").message() == "argument couldn't be parsed into an integer");
  CHECK(Set(&config, "port", "1.5").message() == "argument couldn't be parsed into an integer");
  CHECK(Set(&config, "port", "-1").message() == "argument must be between 0 and 65535 inclusive");
  CHECK(Set(&config, "port", "65536").message() ==
        "argument must be between 0 and 65535 inclusive");
  CHECK(Set(&config, "maxmemory", "10tb").message() == "argument must be a memory value");
  CHECK(Set(&config, "maxmemory", "-1").message() == "argument must be a memory value");
  CHECK(Set(&config, "maxmemory", "99999999999gb").message() == "argument must be a memory value");
  CHECK(Set(&config, "proto-max-bulk-len", "1k").message() ==
        "argument must be between 1048576 and 536870912 inclusive");
  CHECK(Set(&config, "latency-tracking", "true").message() == "argument must be 'yes' or 'no'");
  CHECK(Set(&config, "log-level", "loud").message() ==
        "argument(s) must be one of the following: debug, verbose, notice, warning, nothing");
  CHECK(config.port == 6379);
  CHECK(config.maxmemory_bytes == 0);

  CHECK(Set(&config, "MaxMemory", "100MB").ok());
  CHECK(config.maxmemory_bytes == 100ULL << 20);
  CHECK(Get(config, "maxmemory") == "104857600");
  CHECK(Set(&config, "maxmemory-policy", "Volatile-TTL").ok());
  CHECK(config.maxmemory_policy == MaxmemoryPolicy::kVolatileTtl);
  CHECK(Get(config, "maxmemory-policy") == "volatile-ttl");
  CHECK(Set(&config, "loglevel", "warning").ok());
  CHECK(config.log_level == LogLevel::kWarning);
  CHECK(Set(&config, "slowlog-log-slower-than", "-1").ok());
  CHECK(Get(config, "slowlog-log-slower-than") == "-1");
  CHECK(Set(&config, "durability", "os").ok());
  CHECK(Get(config, "appendfsync") == "no");
}

TEST_CASE("maxmemory-clients takes bytes or a percentage of maxmemory") {
  Config config;
  CHECK(Set(&config, "maxmemory-clients", "5%").ok());
  CHECK(Get(config, "maxmemory-clients") == "5%");
  CHECK(config.MaxmemoryClientsBytes() == 0);
  CHECK(Set(&config, "maxmemory", "1000").ok());
  CHECK(config.MaxmemoryClientsBytes() == 50);
  CHECK(Set(&config, "maxmemory", "8000000000gb").ok());
  CHECK(Set(&config, "maxmemory-clients", "100%").ok());
  CHECK(config.MaxmemoryClientsBytes() <= config.maxmemory_bytes);
  CHECK(config.MaxmemoryClientsBytes() > config.maxmemory_bytes / 100 * 99);
  CHECK(Set(&config, "maxmemory-clients", "1mb").ok());
  CHECK(config.MaxmemoryClientsBytes() == 1048576);
  CHECK(Set(&config, "maxmemory-clients", "101%").message() ==
        "percentage argument must be less or equal to 100");
  for (const char* wrong : {"-5%", "%", "5 %", "x", "-1", ""}) {
    CHECK(Set(&config, "maxmemory-clients", wrong).message() ==
          "argument must be a memory or percent value");
  }
  CHECK_FALSE(Set(&config, "maxmemory-clients", "18446744073709551615").ok());
  CHECK(config.MaxmemoryClientsBytes() == 1048576);
}

TEST_CASE("bind takes numeric addresses, separated by blanks") {
  Config config;
  CHECK(Set(&config, "bind", " 127.0.0.1  ::1\t* ").ok());
  CHECK(config.bind == std::vector<std::string>{"127.0.0.1", "::1", "0.0.0.0"});
  CHECK(Get(config, "bind") == "127.0.0.1 ::1 0.0.0.0");
  CHECK(Set(&config, "bind", "").message() == "at least one address is needed");
  CHECK(Set(&config, "bind", "127.0.0.1 localhost").message() ==
        "'localhost' is not a numeric IPv4 or IPv6 address");
  std::string many;
  for (int i = 0; i < 17; i++) many += "127.0.0.1 ";
  CHECK(Set(&config, "bind", many).message() == "Too many bind addresses specified.");
  CHECK(config.bind.size() == 3);
}

TEST_CASE("client-output-buffer-limit changes the named classes only, and never half") {
  Config config;
  CHECK(Get(config, "client-output-buffer-limit") ==
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
  CHECK(Set(&config, "client-output-buffer-limit", "replica 1mb 0 0 normal 10 5 3").ok());
  CHECK(Get(config, "client-output-buffer-limit") ==
        "normal 10 5 3 slave 1048576 0 0 pubsub 33554432 8388608 60");
  CHECK(Set(&config, "client-output-buffer-limit", "normal 1 2").message() ==
        "Wrong number of arguments in buffer limit configuration.");
  CHECK(Set(&config, "client-output-buffer-limit", "normal 1 1 1 master 1 1 1").message() ==
        "Invalid client class specified in buffer limit configuration.");
  for (const char* wrong : {"normal x 1 1", "normal 1 x 1", "normal 1 1 x", "normal 1 1 -1"}) {
    CHECK(Set(&config, "client-output-buffer-limit", wrong).message() ==
          "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
  }
  CHECK(config.output_limits[0].hard_bytes == 10);
}

TEST_CASE("no output buffer is without a bound") {
  CHECK(OutputLimit{}.HardBytes() == kOutputBufferCeiling);
  CHECK(OutputLimit{.hard_bytes = 7}.HardBytes() == 7);
  CHECK(OutputLimit{.hard_bytes = UINT64_MAX}.HardBytes() == kOutputBufferCeiling);
}

TEST_CASE("latency-tracking-info-percentiles print as Redis prints them") {
  Config config;
  CHECK(Get(config, "latency-tracking-info-percentiles") == "50 99 99.9");
  CHECK(Set(&config, "latency-tracking-info-percentiles", "0.0 50.0 100.0").ok());
  CHECK(Get(config, "latency-tracking-info-percentiles") == "0 50 100");
  CHECK_FALSE(Set(&config, "latency-tracking-info-percentiles", "10.0 50.0 a").ok());
  CHECK_FALSE(Set(&config, "latency-tracking-info-percentiles", "10.0 101.0").ok());
  CHECK_FALSE(Set(&config, "latency-tracking-info-percentiles", "-1").ok());
  CHECK_FALSE(Set(&config, "latency-tracking-info-percentiles", "inf").ok());
  CHECK(Get(config, "latency-tracking-info-percentiles") == "0 50 100");
  CHECK(Set(&config, "latency-tracking-info-percentiles", "").ok());
  CHECK(config.latency_percentiles.empty());
}

TEST_CASE("values that can't be other than they are accept just those") {
  Config config;
  CHECK(Set(&config, "appendonly", "yes").ok());
  CHECK(Set(&config, "appendonly", "no").message() == "can't set immutable config");
  CHECK(Set(&config, "databases", "17").message() == "can't set immutable config");
  CHECK(Set(&config, "slave-read-only", "yes").ok());
}

TEST_CASE("CONFIG GET matches names and aliases, each once") {
  const Config config;
  CHECK(Names(config, {"maxmemory"}) == std::vector<std::string>{"maxmemory"});
  CHECK(Names(config, {"LOGLEVEL"}) == std::vector<std::string>{"loglevel"});
  CHECK(Names(config, {"log*el"}) == std::vector<std::string>{"log-level", "loglevel"});
  CHECK(Names(config, {"maxmemory", "maxmemory*", "*of", "nothing"}) ==
        std::vector<std::string>{"maxmemory", "maxmemory-policy", "maxmemory-samples",
                                 "maxmemory-clients", "replicaof", "slaveof"});
  CHECK(Names(config, {"key-load-delay"}) == std::vector<std::string>{"key-load-delay"});
  CHECK(Names(config, {"key-load-*"}).empty());
  CHECK(Names(config, {""}).empty());
  CHECK(Names(config, {}).empty());
  CHECK(Names(config, {"*"}).size() > Options().size());  // with aliases, without the hidden one
}

TEST_CASE("CONFIG SET is all or nothing, with Redis's errors") {
  Config config;
  CHECK(Change(&config, {"maxmemory", "10000001", "save", "3000 5", "repl-backlog-size", "2mb"}) ==
        "OK");
  CHECK(config.maxmemory_bytes == 10000001);
  CHECK(Get(config, "save") == "3000 5");
  CHECK(Change(&config, {"maxmemory", "1", "foo", "1", "port", "x"}) ==
        "ERR Unknown option or number of arguments for CONFIG SET - 'foo'");
  CHECK(Change(&config, {"maxmemory", "1", "maxmemory-clients", "200%", "client-query-buffer-limit",
                         "invalid"}) ==
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory-clients') - percentage "
        "argument must be less or equal to 100");
  CHECK(Change(&config, {"maxmemory", "x"}) ==
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a "
        "memory value");
  CHECK(Change(&config, {"maxmemory", "1", "maxmemory", "2"}) ==
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - duplicate parameter");
  CHECK(Change(&config, {"log-level", "debug", "loglevel", "notice"}) ==
        "ERR CONFIG SET failed (possibly related to argument 'loglevel') - duplicate parameter");
  CHECK(Change(&config, {"daemonize", "yes"}) ==
        "ERR CONFIG SET failed (possibly related to argument 'daemonize') - can't set immutable "
        "config");
  CHECK(Change(&config, {"maxmemory", "1", "cores", "3"}) ==
        "ERR CONFIG SET failed (possibly related to argument 'cores') - can't set immutable "
        "config");
  CHECK(Change(&config, {"save", "3000"}) ==
        "ERR CONFIG SET failed (possibly related to argument 'save') - Invalid save parameters");
  CHECK(config.maxmemory_bytes == 10000001);
}

TEST_CASE("what CONFIG GET * answers can be set back") {
  Config config;
  const std::vector<std::string_view> all = {"*"};
  for (const auto& shown : MatchOptions(config, all)) {
    CAPTURE(shown.first);
    CHECK(Change(&config, {shown.first, shown.second}) == "OK");
  }
  CHECK(MatchOptions(config, all) == MatchOptions(Config(), all));
}

TEST_CASE("YAML scalars are quoted where they have to be") {
  CHECK(YamlScalar("6379") == "6379");
  CHECK(YamlScalar("./data") == "./data");
  CHECK(YamlScalar("50 99 99.9") == "50 99 99.9");
  CHECK(YamlScalar("-1") == "-1");
  CHECK(YamlScalar("5%") == "5%");
  CHECK(YamlScalar("") == "\"\"");
  CHECK(YamlScalar("::1") == "\"::1\"");
  CHECK(YamlScalar("null") == "\"null\"");
  CHECK(YamlScalar("a: b #c") == "\"a: b #c\"");
  CHECK(YamlScalar("say \"\\\n") == "\"say \\\"\\\\\\x0a\"");
}

TEST_CASE("conf/holdfast.yaml is the table written out") {
  std::ifstream in("conf/holdfast.yaml");
  REQUIRE_MESSAGE(in.good(), "run from the top folder of the repository");
  std::stringstream content;
  content << in.rdbuf();
  CHECK_MESSAGE(content.str() == DocumentedFile(Config()), "run `make conf`");
}

TEST_CASE("--help and the file have every option of the table that isn't only Redis's") {
  const std::string help = HelpText();
  const std::string file = DocumentedFile(Config());
  for (const Option& option : Options()) {
    CAPTURE(option.name);
    const bool listed = (option.flags & kRedisOnly) == 0;
    const std::string name(option.name);
    CHECK((help.find("\n  --" + name + " ") != std::string::npos) == listed);
    CHECK((file.find("\n" + name + ": ") != std::string::npos) == listed);
  }
  CHECK(VariableName("client-query-buffer-limit") == "HOLDFAST_CLIENT_QUERY_BUFFER_LIMIT");
}

}  // namespace holdfast::engine
