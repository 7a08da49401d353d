// The options that are read and shown by functions of their own.
#include <arpa/inet.h>

#include <cstdio>

#include "base/numbers.h"
#include "engine/acl_rules.h"
#include "engine/config.h"
#include "engine/config_values.h"
#include "engine/key_events.h"

namespace holdfast::engine {
namespace {

constexpr size_t kMaxBindAddresses = 16;  // as Redis
constexpr size_t kMaxPercentiles = 32;
constexpr size_t kMaxSavePoints = 64;

constexpr size_t kMaxSeeds = 64;

// "10.0.0.1:16379" or "[::1]:16379".
Status CheckAddress(std::string_view address) {
  const size_t colon = address.rfind(':');
  std::string host(address.substr(0, colon == std::string_view::npos ? 0 : colon));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  int64_t port;
  in6_addr parsed;
  if (host.empty() || !ParseInt64(address.substr(colon + 1), &port) || port < 1 || port > 65535 ||
      (inet_pton(AF_INET, host.c_str(), &parsed) != 1 &&
       inet_pton(AF_INET6, host.c_str(), &parsed) != 1)) {
    return Status::InvalidArgument("'" + std::string(address) +
                                   "' is not a numeric address with a port, like 10.0.0.1:16379");
  }
  return Status::Ok();
}

constexpr std::string_view kClassNames[kClientClasses] = {"normal", "slave", "pubsub"};

int ClassByName(std::string_view name) {
  if (EqualsIgnoreCase(name, "replica")) return static_cast<int>(ClientClass::kReplica);
  for (size_t i = 0; i < kClientClasses; i++) {
    if (EqualsIgnoreCase(name, kClassNames[i])) return static_cast<int>(i);
  }
  return -1;
}

// Classes that aren't named keep their limits.

}  // namespace

// --- bind ---------------------------------------------------------------------------------------

Status SetBind(Config* config, std::string_view value) {
  std::vector<std::string> addresses;
  for (std::string_view word : SplitWords(value)) {
    // "*" is how Redis's files say "every IPv4 address".
    std::string address(word == "*" ? "0.0.0.0" : word);
    in6_addr parsed;
    if (inet_pton(AF_INET, address.c_str(), &parsed) != 1 &&
        inet_pton(AF_INET6, address.c_str(), &parsed) != 1) {
      return Status::InvalidArgument("'" + address + "' is not a numeric IPv4 or IPv6 address");
    }
    addresses.push_back(std::move(address));
  }
  if (addresses.empty()) return Status::InvalidArgument("at least one address is needed");
  if (addresses.size() > kMaxBindAddresses) {
    return Status::InvalidArgument("Too many bind addresses specified.");
  }
  config->bind = std::move(addresses);
  return Status::Ok();
}

std::string GetBind(const Config& config) {
  std::string out;
  for (const std::string& address : config.bind) out += (out.empty() ? "" : " ") + address;
  return out;
}

// --- dir ----------------------------------------------------------------------------------------

Status SetDir(Config* config, std::string_view value) {
  if (value.empty() || value.find('\0') != std::string_view::npos) {
    return Status::InvalidArgument("argument must be the path of a directory");
  }
  config->dir = value;
  return Status::Ok();
}

std::string GetDir(const Config& config) { return config.dir; }

// --- addresses of other nodes -------------------------------------------------------------------

Status SetClusterAnnounce(Config* config, std::string_view value) {
  if (!value.empty()) RETURN_IF_ERROR(CheckAddress(value));
  config->cluster_announce = value;
  return Status::Ok();
}

std::string GetClusterAnnounce(const Config& config) { return config.cluster_announce; }

Status SetJoin(Config* config, std::string_view value) {
  std::vector<std::string> seeds;
  for (const std::string_view word : SplitWords(value)) {
    RETURN_IF_ERROR(CheckAddress(word));
    seeds.emplace_back(word);
  }
  if (seeds.size() > kMaxSeeds) return Status::InvalidArgument("more than 64 addresses");
  config->join = std::move(seeds);
  return Status::Ok();
}

std::string GetJoin(const Config& config) {
  std::string out;
  for (const std::string& seed : config.join) {
    if (!out.empty()) out += ' ';
    out += seed;
  }
  return out;
}

// --- client-output-buffer-limit -----------------------------------------------------------------

Status SetOutputLimits(Config* config, std::string_view value) {
  const std::vector<std::string_view> words = SplitWords(value);
  if (words.empty() || words.size() % 4 != 0) {
    return Status::InvalidArgument("Wrong number of arguments in buffer limit configuration.");
  }
  auto limits = config->output_limits;
  for (size_t i = 0; i < words.size(); i += 4) {
    const int index = ClassByName(words[i]);
    if (index < 0) {
      return Status::InvalidArgument(
          "Invalid client class specified in buffer limit configuration.");
    }
    OutputLimit& limit = limits[static_cast<size_t>(index)];
    if (!ParseMemorySize(words[i + 1], &limit.hard_bytes) ||
        !ParseMemorySize(words[i + 2], &limit.soft_bytes) ||
        !ParseInt64(words[i + 3], &limit.soft_seconds) || limit.soft_seconds < 0) {
      return Status::InvalidArgument(
          "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
    }
  }
  config->output_limits = limits;
  return Status::Ok();
}

std::string GetOutputLimits(const Config& config) {
  std::string out;
  for (size_t i = 0; i < kClientClasses; i++) {
    const OutputLimit& limit = config.output_limits[i];
    if (i > 0) out += ' ';
    out += std::string(kClassNames[i]) + ' ' + std::to_string(limit.hard_bytes) + ' ' +
           std::to_string(limit.soft_bytes) + ' ' + std::to_string(limit.soft_seconds);
  }
  return out;
}

// --- notify-keyspace-events ---------------------------------------------------------------------

Status SetKeyEvents(Config* config, std::string_view value) {
  if (ParseKeyEvents(value, &config->notify_key_events)) return Status::Ok();
  return Status::InvalidArgument("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
}

std::string GetKeyEvents(const Config& config) { return FormatKeyEvents(config.notify_key_events); }

// --- latency-tracking-info-percentiles ----------------------------------------------------------

Status SetPercentiles(Config* config, std::string_view value) {
  std::vector<double> percentiles;
  for (std::string_view word : SplitWords(value)) {
    double percentile;
    if (!ParseDouble(word, &percentile) || percentiles.size() == kMaxPercentiles) {
      return Status::InvalidArgument("Invalid latency-tracking-info-percentiles parameters");
    }
    if (!(percentile >= 0.0 && percentile <= 100.0)) {
      return Status::InvalidArgument(
          "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]");
    }
    percentiles.push_back(percentile);
  }
  config->latency_percentiles = std::move(percentiles);
  return Status::Ok();
}

std::string GetPercentiles(const Config& config) {
  std::string out;
  for (double percentile : config.latency_percentiles) {
    // Six digits without trailing zeros, as Redis prints them.
    char text[32];
    std::snprintf(text, sizeof(text), "%f", percentile);
    std::string_view trimmed(text);
    while (trimmed.ends_with('0')) trimmed.remove_suffix(1);
    if (trimmed.ends_with('.')) trimmed.remove_suffix(1);
    if (!out.empty()) out += ' ';
    out += trimmed;
  }
  return out;
}

// --- save ---------------------------------------------------------------------------------------

Status SetSave(Config* config, std::string_view value) {
  const std::vector<std::string_view> words = SplitWords(value);
  std::vector<std::pair<int64_t, int64_t>> points;
  const Status invalid = Status::InvalidArgument("Invalid save parameters");
  if (words.size() % 2 != 0 || words.size() / 2 > kMaxSavePoints) return invalid;
  for (size_t i = 0; i < words.size(); i += 2) {
    int64_t seconds;
    int64_t changes;
    if (!ParseInt64(words[i], &seconds) || !ParseInt64(words[i + 1], &changes)) return invalid;
    if (seconds < 1 || changes < 0) return invalid;
    points.emplace_back(seconds, changes);
  }
  config->save = std::move(points);
  return Status::Ok();
}

std::string GetSave(const Config& config) {
  std::string out;
  for (const auto& [seconds, changes] : config.save) {
    if (!out.empty()) out += ' ';
    out += std::to_string(seconds) + ' ' + std::to_string(changes);
  }
  return out;
}

Status SetAclPubsubDefault(Config* config, std::string_view value) {
  if (!EqualsIgnoreCase(value, "allchannels") && !EqualsIgnoreCase(value, "resetchannels")) {
    return Status::InvalidArgument(
        "argument(s) must be one of the following: allchannels, resetchannels");
  }
  config->acl_all_channels = EqualsIgnoreCase(value, "allchannels");
  return Status::Ok();
}

std::string GetAclPubsubDefault(const Config& config) {
  return config.acl_all_channels ? "allchannels" : "resetchannels";
}

// Passwords aren't kept as they are; whether the rules are right is found out later, when commands
// are known.
Status SetUsers(Config* config, std::string_view value) {
  std::vector<std::string> words;
  for (const std::string_view word : SplitWords(value)) words.push_back(HideSecret(word));
  config->users = std::move(words);
  return Status::Ok();
}

std::string GetUsers(const Config& config) {
  std::string text;
  for (const std::string& word : config.users) text += (text.empty() ? "" : " ") + word;
  return text;
}

}  // namespace holdfast::engine
