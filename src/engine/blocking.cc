#include "engine/blocking.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace holdfast::engine {

std::string BlockedRequests::Name(uint32_t db, std::string_view key) {
  std::string name;
  AppendFixed32(&name, db);
  name.append(key);
  return name;
}

void BlockedRequests::Add(BlockedRequest request) {
  const std::string name = Name(request.db, request.key);
  const Place place{request.address.client, request.address.slot};
  if (request.deadline_ms != 0) deadlines_.emplace(request.deadline_ms, place);
  Line& line = lines_[name];
  line.push_back(std::move(request));
  const bool fresh = places_.emplace(place, std::pair(name, std::prev(line.end()))).second;
  CHECK(fresh);
  ++size_;
}

size_t BlockedRequests::Waiting(uint32_t db, std::string_view key) const {
  if (size_ == 0) return 0;
  const auto it = lines_.find(Name(db, key));
  return it == lines_.end() ? 0 : it->second.size();
}

const BlockedRequest* BlockedRequests::Front(uint32_t db, std::string_view key) const {
  if (size_ == 0) return nullptr;
  const auto it = lines_.find(Name(db, key));
  return it == lines_.end() ? nullptr : &it->second.front();
}

BlockedRequest BlockedRequests::Take(const std::string& name, Line::iterator it) {
  BlockedRequest request = std::move(*it);
  const Place place{request.address.client, request.address.slot};
  const auto line = lines_.find(name);
  line->second.erase(it);
  if (line->second.empty()) lines_.erase(line);
  places_.erase(place);
  if (request.deadline_ms != 0) {
    auto [first, last] = deadlines_.equal_range(request.deadline_ms);
    while (first != last && first->second != place) ++first;
    CHECK(first != last);
    deadlines_.erase(first);
  }
  --size_;
  return request;
}

BlockedRequest BlockedRequests::PopFront(uint32_t db, std::string_view key) {
  const std::string name = Name(db, key);
  const auto it = lines_.find(name);
  CHECK(it != lines_.end());
  return Take(name, it->second.begin());
}

void BlockedRequests::ForEachKey(
    const std::function<void(uint32_t db, std::string_view key)>& visit) const {
  for (const auto& [name, line] : lines_) visit(line.front().db, line.front().key);
}

std::optional<BlockedRequest> BlockedRequests::Remove(const ReplyAddress& address) {
  const auto it = places_.find({address.client, address.slot});
  if (it == places_.end()) return std::nullopt;
  const auto [name, position] = it->second;
  return Take(name, position);
}

void BlockedRequests::RemoveClient(uint64_t client) {
  while (true) {
    const auto it = places_.lower_bound({client, 0});
    if (it == places_.end() || it->first.first != client) return;
    const auto [name, position] = it->second;
    Take(name, position);
  }
}

std::vector<BlockedRequest> BlockedRequests::TakeAll() {
  std::vector<BlockedRequest> all;
  all.reserve(size_);
  while (!places_.empty()) {
    const std::string name = places_.begin()->second.first;
    all.push_back(Take(name, lines_.find(name)->second.begin()));
  }
  std::stable_sort(all.begin(), all.end(), [](const BlockedRequest& a, const BlockedRequest& b) {
    return a.began_ms < b.began_ms;
  });
  return all;
}

std::optional<BlockedRequest> BlockedRequests::PopExpired(int64_t now_ms) {
  if (deadlines_.empty() || deadlines_.begin()->first > now_ms) return std::nullopt;
  const auto it = places_.find(deadlines_.begin()->second);
  CHECK(it != places_.end());
  const auto [name, position] = it->second;
  return Take(name, position);
}

}  // namespace holdfast::engine
