#include "engine/slowlog.h"

#include <algorithm>

#include "engine/redact.h"

namespace holdfast::engine {
namespace {

constexpr size_t kMaxArgs = 32;
constexpr size_t kMaxArgBytes = 128;
constexpr size_t kMaxSamples = 160;

std::string CutArg(std::string_view arg) {
  if (arg.size() <= kMaxArgBytes) return std::string(arg);
  return std::string(arg.substr(0, kMaxArgBytes)) + "... (" +
         std::to_string(arg.size() - kMaxArgBytes) + " more bytes)";
}

}  // namespace

void SlowLog::Add(uint64_t id, int64_t unix_s, int64_t duration_us, const Command& command,
                  Args args, std::string_view client_address, std::string_view client_name,
                  size_t max_len) {
  if (max_len == 0) return;
  SlowEntry entry;
  entry.id = id;
  entry.unix_s = unix_s;
  entry.duration_us = duration_us;
  entry.client_address = client_address;
  entry.client_name = client_name;
  const size_t shown = args.size() > kMaxArgs ? kMaxArgs - 1 : args.size();
  for (size_t i = 0; i < shown; ++i) {
    // Secrets never reach the slow log.
    entry.args.push_back(IsSecret(command, args, i) ? std::string(kRedacted) : CutArg(args[i]));
  }
  if (shown < args.size()) {
    entry.args.push_back("... (" + std::to_string(args.size() - shown) + " more arguments)");
  }
  entries_.push_front(std::move(entry));
  Trim(max_len);
}

void SlowLog::Trim(size_t max_len) {
  while (entries_.size() > max_len) entries_.pop_back();
}

void LatencyMonitor::Add(std::string_view event, int64_t unix_s, int64_t ms) {
  auto it = events_.find(event);
  if (it == events_.end()) it = events_.emplace(std::string(event), Event()).first;
  Event& e = it->second;
  e.max_ms = std::max(e.max_ms, ms);
  if (!e.samples.empty() && e.samples.back().unix_s == unix_s) {
    e.samples.back().ms = std::max(e.samples.back().ms, ms);
    return;
  }
  e.samples.push_back({unix_s, ms});
  if (e.samples.size() > kMaxSamples) e.samples.pop_front();
}

bool LatencyMonitor::Reset(std::string_view event) {
  const auto it = events_.find(event);
  if (it == events_.end()) return false;
  events_.erase(it);
  return true;
}

size_t LatencyMonitor::ResetAll() {
  const size_t n = events_.size();
  events_.clear();
  return n;
}

}  // namespace holdfast::engine
