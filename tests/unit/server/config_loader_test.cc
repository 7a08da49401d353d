#include "server/config_loader.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "engine/version.h"

namespace holdfast::server {
namespace {

using engine::Config;

// A directory that is gone at the end of the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string path = (std::filesystem::temp_directory_path() / "holdfast-XXXXXX").string();
    REQUIRE(mkdtemp(path.data()) != nullptr);
    path_ = path;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }

  std::string Write(const std::string& name, const std::string& text) const {
    const std::string path = path_ + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

 private:
  std::string path_;
};

std::string Read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
}

Result<LoadedConfig> Load(std::vector<std::string> arguments,
                          std::vector<std::string> variables = {}) {
  std::vector<const char*> argv = {"holdfast"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  std::vector<const char*> environment;
  for (const std::string& variable : variables) environment.push_back(variable.c_str());
  environment.push_back(nullptr);
  return LoadConfig(static_cast<int>(argv.size()), argv.data(), environment.data());
}

Config Loaded(std::vector<std::string> arguments, std::vector<std::string> variables = {}) {
  const Result<LoadedConfig> loaded = Load(std::move(arguments), std::move(variables));
  INFO(loaded.status().message());
  REQUIRE(loaded.ok());
  return loaded.value().config;
}

std::string Fault(std::vector<std::string> arguments, std::vector<std::string> variables = {}) {
  const Result<LoadedConfig> loaded = Load(std::move(arguments), std::move(variables));
  return loaded.ok() ? "" : loaded.status().message();
}

bool Same(const Config& a, const Config& b) {
  for (const engine::Option& option : engine::Options()) {
    if (GetOption(a, option) != GetOption(b, option)) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("without anything the defaults hold") {
  CHECK(Same(Loaded({}), Config()));
  CHECK(Load({}).value().file.empty());
  CHECK_FALSE(Load({}).value().exit);
}

TEST_CASE("flags win over variables, variables over the file") {
  const TemporaryDirectory directory;
  const std::string file =
      directory.Write("h.yaml", "port: 1001\ntimeout: 11\nmaxclients: 21\nlog-level: debug\n");
  const Config config = Loaded({"--config", file, "--port", "1003"},
                               {"PATH=/bin", "HOLDFAST_PORT=1002", "HOLDFAST_TIMEOUT=12"});
  CHECK(config.port == 1003);
  CHECK(config.timeout_s == 12);
  CHECK(config.maxclients == 21);
  CHECK(config.log_level == LogLevel::kDebug);
}

TEST_CASE("the file is the first free argument, --config or HOLDFAST_CONFIG") {
  const TemporaryDirectory directory;
  const std::string file = directory.Write("h.yaml", "port: 7001\n");
  CHECK(Loaded({file}).port == 7001);
  CHECK(Loaded({"--timeout", "5", file}).port == 7001);
  CHECK(Loaded({"--config=" + file}).port == 7001);
  CHECK(Loaded({}, {"HOLDFAST_CONFIG=" + file}).port == 7001);
  CHECK(Load({file}).value().file == file);
  CHECK(Fault({file, file}) == "'" + file + "': a configuration file was given already");
  CHECK(Fault({file, "--config", file}) == "flag --config: a configuration file was given already");
  CHECK(Fault({file + ".not"}) == file + ".not: No such file or directory");
  CHECK(Fault({std::filesystem::path(file).parent_path().string()}).ends_with("Is a directory"));
}

TEST_CASE("flags take a value behind a blank or an equals sign") {
  CHECK(Loaded({"--port=7002"}).port == 7002);
  CHECK(Loaded({"--port", "1", "--port", "7003"}).port == 7003);
  CHECK(Loaded({"--requirepass="}).requirepass.empty());
  CHECK(Loaded({"--requirepass", ""}).requirepass.empty());
  CHECK(Loaded({"--requirepass=--a=b"}).requirepass == "--a=b");
  CHECK(Loaded({"--slowlog-log-slower-than", "-1"}).slowlog_slower_than_us == -1);
  CHECK(Loaded({"--bind", "127.0.0.1 ::1"}).bind.size() == 2);
  CHECK(Loaded({"--loglevel", "warning"}).log_level == LogLevel::kWarning);
  CHECK(Loaded({"--save", "", "--appendonly", "yes"}).save.empty());
}

TEST_CASE("a wrong flag or variable is named with its place") {
  CHECK(Fault({"--foo", "1"}) == "flag --foo: there is no such option; try --help");
  CHECK(Fault({"--foo=1"}) == "flag --foo: there is no such option; try --help");
  CHECK(Fault({"-p", "1"}) == "flag -p: there is no such flag; try --help");
  CHECK(Fault({"--port"}) ==
        "flag --port: a value is missing (one that begins with -- goes behind an =)");
  CHECK(Fault({"--port", "--bind", "::1"}) ==
        "flag --port: a value is missing (one that begins with -- goes behind an =)");
  CHECK(Fault({"--port", "x"}) ==
        "flag --port: 'port': 'x': argument couldn't be parsed into an integer");
  CHECK(Fault({"--maxmemory", "5tb"}) ==
        "flag --maxmemory: 'maxmemory': '5tb': argument must be a memory value");
  CHECK(Fault({"--appendfsync", "everysec"}) ==
        "flag --appendfsync: 'appendfsync': 'everysec': can't set immutable config");
  CHECK(Fault({}, {"HOLDFAST_PROT=1"}) == "variable HOLDFAST_PROT: there is no such option");
  CHECK(Fault({}, {"HOLDFAST_PORT=tcp://10.0.0.1:6379"}) ==
        "variable HOLDFAST_PORT: 'port': 'tcp://10.0.0.1:6379': argument couldn't be parsed into "
        "an integer");
  CHECK(Fault({}, {"HOLDFAST_LOG_LEVEL=debug", "HOLDFAST_LOGLEVEL=notice"}) ==
        "variable HOLDFAST_LOGLEVEL: 'log-level' is given twice");
}

TEST_CASE("a fault in the file is named with its line") {
  const TemporaryDirectory directory;
  const auto fault = [&directory](const std::string& text) {
    const std::string file = directory.Write("h.yaml", text);
    const std::string message = Fault({file});
    REQUIRE(message.starts_with(file + ":"));
    return message.substr(file.size() + 1);
  };
  CHECK(fault("port: 1\n\n# x\nprot: 2\n") == "4: unknown option 'prot'");
  CHECK(fault("port: 1\nmaxmemory: 1 gb\n") ==
        "2: 'maxmemory': '1 gb': argument must be a memory value");
  CHECK(fault("log-level: debug\nport: 1\nloglevel: debug\n") == "3: 'loglevel' is given twice");
  CHECK(fault("port: 1\nport: 1\n") == "2: 'port' is given twice");
  CHECK(fault("requirepass:\n") == "1: 'requirepass' needs one value (\"\" is the empty one)");
  CHECK(fault("port: [1, 2]\n") == "1: 'port' needs one value");
  CHECK(fault("port: {a: 1}\n") == "1: 'port' needs one value");
  CHECK(fault("bind: [[127.0.0.1]]\n") == "1: 'bind' needs one value");
  CHECK(fault("- port\n") == "1: the file must hold lines of 'name: value'");
  CHECK(fault("just words\n") == "1: the file must hold lines of 'name: value'");
  CHECK(fault("? [a]\n: 1\n").ends_with(": the file must hold lines of 'name: value'"));
  CHECK(fault("port: 1\ndir: [x\n").find("not valid YAML: ") != std::string::npos);
  CHECK(fault("port: 1\n# \xc3\xb6\ndir: \"x\\\"\nport: 2\n") ==
        "3: the quotes of the value of 'dir' aren't closed");
  CHECK(fault("dir: 'x''\nport: 2\n") == "1: the quotes of the value of 'dir' aren't closed");
  CHECK(fault("port: 1\n---\nport: 2\n") == " the file must hold one YAML document");
  CHECK(fault("port: 1\n\ttimeout: 1\n").find("not valid YAML: ") != std::string::npos);
  CHECK(Fault({directory.Write("big.yaml", std::string(2 << 20, '#'))}).find("1 MiB") !=
        std::string::npos);
}

TEST_CASE("a secret's value is in no message") {
  const std::string message = Fault({"--port", "x", "--requirepass", "hunter2"});
  CHECK(message.find("hunter2") == std::string::npos);
  CHECK(message.find("'x'") != std::string::npos);
}

TEST_CASE("values may be lists where an option takes several") {
  const TemporaryDirectory directory;
  const std::string file = directory.Write(
      "h.yaml", "bind:\n- 127.0.0.1\n- ::1\nlatency-tracking-info-percentiles: [50, 99]\n");
  const Config config = Loaded({file});
  CHECK(config.bind == std::vector<std::string>{"127.0.0.1", "::1"});
  CHECK(config.latency_percentiles == std::vector<double>{50, 99});
}

TEST_CASE("quoted values end at their quotes") {
  const TemporaryDirectory directory;
  const std::string file = directory.Write(
      "h.yaml",
      "# \xc3\xb6\nlog-file: 'it''s'\nrequirepass: \"a\\\"b\"\npidfile: ''\ndir: 'a\n b'\n");
  const Config config = Loaded({file});
  CHECK(config.log_file == "it's");
  CHECK(config.requirepass == "a\"b");
  CHECK(config.pidfile.empty());
  CHECK(config.dir == "a b");
}

TEST_CASE("an empty file, or one of comments, changes nothing") {
  const TemporaryDirectory directory;
  CHECK(Same(Loaded({directory.Write("a.yaml", "")}), Config()));
  CHECK(Same(Loaded({directory.Write("b.yaml", "# only words\n")}), Config()));
}

TEST_CASE("the shipped file sets every option to its default") {
  CHECK(Same(Loaded({"conf/holdfast.yaml"}), Config()));
}

TEST_CASE("questions are answered instead of serving") {
  const LoadedConfig help = Load({"--port", "1", "--help"}).value();
  CHECK(help.exit);
  CHECK(help.text.find("--maxmemory-policy") != std::string::npos);
  const LoadedConfig version = Load({"--version"}).value();
  CHECK(version.exit);
  CHECK(version.text.find(engine::kVersion) != std::string::npos);
  const LoadedConfig check = Load({"--check-config", "--port", "1"}).value();
  CHECK(check.exit);
  CHECK(check.text == "the configuration is valid\n");
  CHECK(Fault({"--check-config", "--port", "65536"}) != "");

  const LoadedConfig print = Load({"--print-config", "--requirepass", "a\"b: #"}).value();
  CHECK(print.exit);
  const TemporaryDirectory directory;
  CHECK(Loaded({directory.Write("p.yaml", print.text)}).requirepass == "a\"b: #");
}

TEST_CASE("CONFIG REWRITE keeps what is there and changes only values") {
  Config config;
  config.port = 7000;
  config.maxmemory_bytes = 3ULL << 30;
  config.timeout_s = 9;
  config.bind = {"127.0.0.1", "::1"};
  config.requirepass = "pass: \"word\" #1";
  const std::string old_text =
      "# my file\n"
      "port: 6379   # the port\n"
      "\n"
      "maxmemory: 3072mb  # stays as it is spelled\n"
      "bind:\n"
      "  # a comment inside\n"
      "  - 127.0.0.1\n"
      "# before the timeout\n"
      "timeout: 5\n"
      "loglevel: notice";
  const Result<std::string> rewritten = RewriteText(old_text, config);
  REQUIRE(rewritten.ok());
  CHECK(rewritten.value() ==
        "# my file\n"
        "port: 7000\n"
        "\n"
        "maxmemory: 3072mb  # stays as it is spelled\n"
        "bind: \"127.0.0.1 ::1\"\n"
        "# before the timeout\n"
        "timeout: 9\n"
        "loglevel: notice\n"
        "requirepass: \"pass: \\\"word\\\" #1\"\n");
  CHECK(RewriteText(rewritten.value(), config).value() == rewritten.value());

  // An option that returned to its default is written, too, when the file names it.
  CHECK(RewriteText("timeout: 5\n", Config()).value() == "timeout: 0\n");
  CHECK(RewriteText("", Config()).value().empty());
}

TEST_CASE("CONFIG REWRITE survives every option at once") {
  Config config;
  const auto set = [&config](std::string_view name, std::string_view value) {
    REQUIRE(SetOption(&config, *engine::FindOption(name), value).ok());
  };
  set("durability", "os");
  set("maxmemory-policy", "allkeys-lru");
  set("maxmemory-clients", "7%");
  set("save", "60 1 30 2");
  set("latency-tracking", "no");
  set("latency-tracking-info-percentiles", "");
  set("client-output-buffer-limit", "normal 1kb 2kb 3");
  set("dir", "/var/lib/h\xc3\xb6ld fast");
  set("log-file", "null");
  const TemporaryDirectory directory;
  const std::string file =
      directory.Write("h.yaml", RewriteText(engine::DocumentedFile(Config()), config).value());
  CHECK(Same(Loaded({file}), config));
  const std::string empty = directory.Write("e.yaml", RewriteText("", config).value());
  CHECK(Same(Loaded({empty}), config));
}

TEST_CASE("CONFIG REWRITE keeps a password of any bytes") {
  Config config;
  config.requirepass = std::string("\xff\x00\n\xc3\xb6\"'", 7);
  const TemporaryDirectory directory;
  const std::string file = directory.Write("h.yaml", RewriteText("", config).value());
  CHECK(Loaded({file}).requirepass == config.requirepass);
}

TEST_CASE("CONFIG REWRITE refuses what wouldn't read back as it is, and changes nothing") {
  Config config;
  config.port = 7000;
  config.requirepass = "x";
  const std::string one_line = "{port: 7000, requirepass: y}\n";
  CHECK(RewriteText(one_line, config).status().code() == Code::kUnsupported);
  const TemporaryDirectory directory;
  const std::string file = directory.Write("h.yaml", one_line);
  CHECK_FALSE(RewriteFile(file, config).ok());
  CHECK(Read(file) == one_line);
}

TEST_CASE("the file is replaced as a whole and keeps its permissions") {
  const TemporaryDirectory directory;
  const std::string file = directory.Write("h.yaml", "port: 1\n");
  REQUIRE(chmod(file.c_str(), 0600) == 0);
  Config config;
  config.port = 2;
  CHECK(RewriteFile(file, config).ok());
  CHECK(Read(file) == "port: 2\n");
  struct stat after;
  REQUIRE(stat(file.c_str(), &after) == 0);
  CHECK((after.st_mode & 0777) == 0600);
  const auto parent = std::filesystem::path(file).parent_path();
  CHECK(std::distance(std::filesystem::directory_iterator(parent),
                      std::filesystem::directory_iterator()) == 1);
  CHECK_FALSE(RewriteFile(file + ".not", config).ok());
}

}  // namespace holdfast::server
