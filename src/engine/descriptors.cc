#include "engine/descriptors.h"

#include <sys/resource.h>

#include <algorithm>
#include <thread>

#include "base/check.h"
#include "engine/config.h"

namespace holdfast::engine {
namespace {

// What a core's loop, threads and logs hold, generously, and what the process holds besides.
constexpr int64_t kPerCore = 16;
constexpr int64_t kForProcess = 128;
// Links to other nodes, and those who knock at the cluster's port (replica/peer_listener.h).
constexpr int64_t kForPeers = 128;
// LevelDB keeps up to a fifth of the limit open for tables that it has no mapping for.
constexpr int64_t kFifths = 5;

int64_t OwnDescriptors(const Config& config) {
  const int64_t cores =
      config.cores > 0 ? config.cores : std::max(1u, std::thread::hardware_concurrency());
  return kForProcess + kPerCore * cores + (config.cluster_port != 0 ? kForPeers : 0);
}

}  // namespace

int64_t ClientsThatFit(const Config& config) {
  const int64_t own = OwnDescriptors(config);
  const auto needed = static_cast<rlim_t>((config.maxclients + own) * kFifths / (kFifths - 1) + 1);
  rlimit limit{};
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  if (limit.rlim_cur < needed && limit.rlim_cur < limit.rlim_max) {
    const rlimit raised{std::min(needed, limit.rlim_max), limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  if (limit.rlim_cur >= needed) return config.maxclients;
  return static_cast<int64_t>(limit.rlim_cur) * (kFifths - 1) / kFifths - own;
}

}  // namespace holdfast::engine
