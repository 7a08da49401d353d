#include "engine/value_loads.h"

#include <algorithm>

#include "base/check.h"

namespace holdfast::engine {

std::string Origin::Name() const {
  return std::to_string(place.core) + " " + std::to_string(place.client) + " " +
         std::string(address);
}

bool ValueLoads::Waits(const std::string& origin) const {
  if (running_ != nullptr && *running_ == origin) return false;
  return origins_.contains(origin);
}

bool ValueLoads::IsLoading(const std::string& record_key) const {
  const auto it = loads_.find(record_key);
  return it != loads_.end() && !it->second.loaded;
}

bool ValueLoads::Want(const ColdValue& value, const WaitedKey* waited) {
  const auto [it, is_new] = loads_.try_emplace(value.record_key);
  Load& load = it->second;
  // A generation that came after the one that is on its way is asked for anew.
  const bool fresh = is_new || load.created != value.created || load.loaded;
  load.created = value.created;
  load.loaded = false;
  if (waited != nullptr) load.waited.push_back(*waited);
  return fresh;
}

void ValueLoads::Hold(std::string origin, HeldRequest request, std::vector<ColdValue> values,
                      std::vector<ColdValue>* fresh) {
  Held held{std::move(request), {}};
  for (ColdValue& value : values) {
    if (Want(value, nullptr)) fresh->push_back(value);
    Load& load = loads_.at(value.record_key);
    ++load.pins;
    load.origins.insert(origin);
    held.keys.push_back(std::move(value.record_key));
  }
  ++held_;
  const bool again = running_ != nullptr && *running_ == origin;
  Queue& queue = origins_[std::move(origin)];
  // What waits once more is still ahead of what came after it.
  if (again) {
    queue.push_front(std::move(held));
  } else {
    queue.push_back(std::move(held));
  }
}

uint64_t ValueLoads::CreatedOf(const std::string& record_key) const {
  const auto it = loads_.find(record_key);
  return it == loads_.end() ? 0 : it->second.created;
}

void ValueLoads::Loaded(const std::string& record_key) {
  const auto it = loads_.find(record_key);
  if (it == loads_.end()) return;
  Load& load = it->second;
  load.loaded = true;
  for (WaitedKey& key : load.waited) waited_.push_back(std::move(key));
  load.waited.clear();
  ready_.insert(ready_.end(), load.origins.begin(), load.origins.end());
  load.origins.clear();
  if (load.pins == 0) loads_.erase(it);
}

bool ValueLoads::IsReady(const Held& held) const {
  return std::none_of(held.keys.begin(), held.keys.end(),
                      [this](const std::string& key) { return IsLoading(key); });
}

void ValueLoads::Unpin(const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    const auto it = loads_.find(key);
    if (it == loads_.end()) continue;
    CHECK(it->second.pins > 0);
    if (--it->second.pins == 0 && it->second.loaded) loads_.erase(it);
  }
}

void ValueLoads::RunOrigin(const std::string& origin) {
  CHECK(running_ == nullptr);
  while (true) {
    const auto it = origins_.find(origin);
    if (it == origins_.end()) return;
    Queue& queue = it->second;
    if (!queue.empty() && !IsReady(queue.front())) {
      // What is loaded may be on its way once more, when the key has become another one.
      for (const std::string& key : queue.front().keys) {
        if (IsLoading(key)) loads_.at(key).origins.insert(origin);
      }
      return;
    }
    if (queue.empty()) {
      origins_.erase(it);
      return;
    }
    Held held = std::move(queue.front());
    queue.pop_front();
    --held_;
    running_ = &origin;
    held.request.task();
    running_ = nullptr;
    Unpin(held.keys);
  }
}

void ValueLoads::Run() {
  if (running_ != nullptr) return;
  while (!ready_.empty()) {
    std::vector<std::string> ready;
    ready.swap(ready_);
    for (const std::string& origin : ready) RunOrigin(origin);
  }
}

void ValueLoads::RunAll() {
  for (auto& [key, load] : loads_) {
    for (WaitedKey& waited : load.waited) waited_.push_back(std::move(waited));
  }
  std::sort(waited_.begin(), waited_.end());
  loads_.clear();
  for (const auto& [origin, queue] : origins_) ready_.push_back(origin);
  // Not in the order of a hash table.
  std::sort(ready_.begin(), ready_.end());
  Run();
  CHECK(origins_.empty() || running_ != nullptr);
}

template <typename Predicate>
bool ValueLoads::Remove(const Predicate& gone) {
  bool found = false;
  for (auto& [origin, queue] : origins_) {
    for (auto it = queue.begin(); it != queue.end();) {
      if (!gone(it->request.place)) {
        ++it;
        continue;
      }
      found = true;
      const Held held = std::move(*it);
      it = queue.erase(it);
      --held_;
      Unpin(held.keys);
      // What is behind it may run, and an empty queue goes.
      ready_.push_back(origin);
    }
  }
  Run();
  return found;
}

bool ValueLoads::Cancel(const ReplyAddress& place) {
  return Remove([&place](const ReplyAddress& other) { return other == place; });
}

void ValueLoads::CancelAllOf(uint64_t client) {
  Remove([client](const ReplyAddress& other) { return other.client == client; });
}

void ValueLoads::Clear() {
  loads_.clear();
  origins_.clear();
  ready_.clear();
  waited_.clear();
  held_ = 0;
}

}  // namespace holdfast::engine
