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

BlockedRequests::Place BlockedRequests::PlaceOf(const BlockedRequest& request) {
  return {request.address.client, request.address.slot};
}

void BlockedRequests::Add(BlockedRequest request) {
  CHECK(!request.keys.empty());
  const Place place = PlaceOf(request);
  if (request.deadline_ms != 0) deadlines_.emplace(request.deadline_ms, place);
  auto waiter = std::make_unique<Waiter>();
  waiter->request = std::move(request);
  waiter->arrival = ++arrivals_;
  for (const std::string& key : waiter->request.keys) {
    std::unique_ptr<Line>& line = lines_[Name(waiter->request.db, key)];
    if (line == nullptr) line = std::make_unique<Line>();
    line->waiters.push_back(waiter.get());
    if (waiter->request.in_line == InLine::kTogether) ++line->together;
    waiter->stands.push_back(std::prev(line->waiters.end()));
  }
  const bool fresh = places_.emplace(place, std::move(waiter)).second;
  CHECK(fresh);
}

size_t BlockedRequests::Waiting(uint32_t db, std::string_view key) const {
  if (empty()) return 0;
  const auto it = lines_.find(Name(db, key));
  return it == lines_.end() ? 0 : it->second->waiters.size();
}

void BlockedRequests::Serve(uint32_t db, std::string_view key,
                            absl::FunctionRef<Outcome(const BlockedRequest& request)> attempt) {
  const std::string name = Name(db, key);
  const auto it = lines_.find(name);
  if (it == lines_.end()) return;
  Line* const line = it->second.get();
  bool turn_is_over = false;
  auto next = line->waiters.begin();
  while (next != line->waiters.end()) {
    const Waiter* waiter = *next;
    ++next;
    const bool in_turn = waiter->request.in_line == InLine::kInTurn;
    if (turn_is_over && in_turn) continue;
    const bool last = line->waiters.size() == 1;
    const Outcome outcome = attempt(waiter->request);
    if (outcome == Outcome::kDone) {
      Take(places_.find(PlaceOf(waiter->request)));
      if (last) return;  // and the line is gone
    }
    turn_is_over |= outcome == Outcome::kInTurn;
    if (turn_is_over && line->together == 0) return;
  }
}

BlockedRequest BlockedRequests::Take(Places::iterator it) {
  CHECK(it != places_.end());
  const std::unique_ptr<Waiter> waiter = std::move(it->second);
  const Place place = it->first;
  places_.erase(it);
  BlockedRequest& request = waiter->request;
  for (size_t i = 0; i < request.keys.size(); ++i) {
    const auto line = lines_.find(Name(request.db, request.keys[i]));
    line->second->waiters.erase(waiter->stands[i]);
    if (request.in_line == InLine::kTogether) --line->second->together;
    if (line->second->waiters.empty()) lines_.erase(line);
  }
  if (request.deadline_ms != 0) {
    auto [first, last] = deadlines_.equal_range(request.deadline_ms);
    while (first != last && first->second != place) ++first;
    CHECK(first != last);
    deadlines_.erase(first);
  }
  return std::move(request);
}

void BlockedRequests::ForEachKey(
    const std::function<void(uint32_t db, std::string_view key)>& visit) const {
  for (const auto& [name, line] : lines_) {
    visit(line->waiters.front()->request.db, std::string_view(name).substr(sizeof(uint32_t)));
  }
}

std::optional<BlockedRequest> BlockedRequests::Remove(const ReplyAddress& address) {
  const auto it = places_.find({address.client, address.slot});
  if (it == places_.end()) return std::nullopt;
  return Take(it);
}

void BlockedRequests::RemoveClient(uint64_t client) {
  while (true) {
    const auto it = places_.lower_bound({client, 0});
    if (it == places_.end() || it->first.first != client) return;
    Take(it);
  }
}

std::vector<BlockedRequest> BlockedRequests::TakeAll() {
  std::vector<const Waiter*> waiters;
  waiters.reserve(places_.size());
  for (const auto& [place, waiter] : places_) waiters.push_back(waiter.get());
  std::sort(waiters.begin(), waiters.end(),
            [](const Waiter* a, const Waiter* b) { return a->arrival < b->arrival; });
  std::vector<BlockedRequest> all;
  all.reserve(waiters.size());
  for (const Waiter* waiter : waiters) {
    all.push_back(Take(places_.find(PlaceOf(waiter->request))));
  }
  return all;
}

std::optional<BlockedRequest> BlockedRequests::PopExpired(int64_t now_ms) {
  if (deadlines_.empty() || deadlines_.begin()->first > now_ms) return std::nullopt;
  return Take(places_.find(deadlines_.begin()->second));
}

}  // namespace holdfast::engine
