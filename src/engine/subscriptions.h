// What one client listens to. Loop thread of the client's core only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

namespace holdfast::engine {

enum class SubscriptionKind : uint8_t { kChannel, kPattern, kShardChannel };
inline constexpr size_t kSubscriptionKinds = 3;

class Subscriptions {
 public:
  using Names = std::set<std::string, std::less<>>;

  const Names& names(SubscriptionKind kind) const { return names_[static_cast<size_t>(kind)]; }
  size_t count(SubscriptionKind kind) const { return names(kind).size(); }
  bool empty() const { return names_[0].empty() && names_[1].empty() && names_[2].empty(); }
  // Memory held, roughly.
  size_t bytes() const { return bytes_; }

  // False: it is there already, or isn't there.
  bool Add(SubscriptionKind kind, std::string_view name) {
    const bool added = names_[static_cast<size_t>(kind)].emplace(name).second;
    if (added) bytes_ += BytesOf(name);
    return added;
  }
  bool Remove(SubscriptionKind kind, std::string_view name) {
    Names& names = names_[static_cast<size_t>(kind)];
    const auto it = names.find(name);
    if (it == names.end()) return false;
    bytes_ -= BytesOf(name);
    names.erase(it);
    return true;
  }

 private:
  // With the tree's node, and what the core's table has for it.
  static size_t BytesOf(std::string_view name) { return 2 * name.size() + 160; }

  std::array<Names, kSubscriptionKinds> names_;
  size_t bytes_ = 0;
};

}  // namespace holdfast::engine
