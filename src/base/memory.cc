#include "base/memory.h"

#include <malloc.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstring>

// jemalloc's introspection, when it is linked in (it is not under the sanitizers).
extern "C" int mallctl(const char* name, void* oldp, size_t* oldlenp, void* newp, size_t newlen)
    __attribute__((weak));
extern "C" void malloc_stats_print(void (*write)(void*, const char*), void* to, const char* options)
    __attribute__((weak));

namespace holdfast {

uint64_t AllocatedBytes() {
  if (mallctl != nullptr) {
    // Statistics are a snapshot that advancing the epoch refreshes.
    uint64_t epoch = 1;
    size_t size = sizeof epoch;
    mallctl("epoch", &epoch, &size, &epoch, size);
    size_t allocated = 0;
    size = sizeof allocated;
    if (mallctl("stats.allocated", &allocated, &size, nullptr, 0) == 0) return allocated;
  }
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

uint64_t ResidentBytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  unsigned long long total = 0;
  unsigned long long resident = 0;
  const int fields = std::fscanf(file, "%llu %llu", &total, &resident);
  std::fclose(file);
  return fields == 2 ? resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

const char* AllocatorName() {
  if (mallctl == nullptr) return "libc";
  static char name[64];
  if (name[0] == '\0') {
    const char* version = "";
    size_t size = sizeof version;
    mallctl("version", &version, &size, nullptr, 0);
    char number[32] = "";
    std::sscanf(version, "%31[0-9.]", number);
    std::snprintf(name, sizeof name, "jemalloc-%s", number);
  }
  return name;
}

AllocatorStats ReadAllocatorStats() {
  AllocatorStats stats;
  if (mallctl == nullptr) return stats;
  stats.allocated = AllocatedBytes();
  size_t value = 0;
  size_t size = sizeof value;
  if (mallctl("stats.active", &value, &size, nullptr, 0) == 0) stats.active = value;
  size = sizeof value;
  if (mallctl("stats.resident", &value, &size, nullptr, 0) == 0) stats.resident = value;
  return stats;
}

std::string AllocatorReport() {
  std::string report;
  if (malloc_stats_print != nullptr) {
    const auto append = [](void* to, const char* text) {
      static_cast<std::string*>(to)->append(text);
    };
    malloc_stats_print(append, &report, nullptr);
  }
  return report;
}

bool ReturnMemoryInBackground() {
  if (mallctl == nullptr) return false;
  bool on = true;
  return mallctl("background_thread", nullptr, nullptr, &on, sizeof on) == 0;
}

bool PurgeAllocator() {
  if (mallctl == nullptr) return malloc_trim(0) >= 0;
  // 4096 stands for all arenas (MALLCTL_ARENAS_ALL).
  return mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0) == 0;
}

}  // namespace holdfast
