#include "engine/acl_log.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace holdfast::engine {
namespace {

// As in Redis: entries are alike within a minute, and the last ten are looked at.
constexpr int64_t kAlikeWithinMs = 60'000;
constexpr size_t kLookBack = 10;
// An object may be a key of any size.
constexpr size_t kMaxObjectBytes = 1024;

bool IsAlike(const AclLogEntry& a, const AclLogEntry& b) {
  return a.reason == b.reason && a.context == b.context &&
         std::llabs(a.at_ms - b.at_ms) <= kAlikeWithinMs && a.object == b.object &&
         a.username == b.username;
}

}  // namespace

void AclLog::Add(AclLogEntry entry, size_t max) {
  for (std::string* text : {&entry.object, &entry.username, &entry.client}) {
    if (text->size() > kMaxObjectBytes) text->resize(kMaxObjectBytes);
  }
  const auto end =
      entries_.begin() + static_cast<std::ptrdiff_t>(std::min(kLookBack, entries_.size()));
  const auto alike = std::find_if(entries_.begin(), end, [&entry](const AclLogEntry& present) {
    return IsAlike(present, entry);
  });
  if (alike != end) {
    entry.count += alike->count;
    entries_.erase(alike);
  }
  entries_.push_front(std::move(entry));
  while (entries_.size() > max) entries_.pop_back();
}

}  // namespace holdfast::engine
