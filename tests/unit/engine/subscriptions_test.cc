#include "engine/subscriptions.h"

#include <doctest/doctest.h>

namespace holdfast::engine {
namespace {

TEST_CASE("each kind of subscription is kept by itself, each name once") {
  Subscriptions mine;
  CHECK(mine.empty());
  CHECK(mine.Add(SubscriptionKind::kChannel, "a"));
  CHECK_FALSE(mine.Add(SubscriptionKind::kChannel, "a"));
  CHECK(mine.Add(SubscriptionKind::kPattern, "a"));
  CHECK(mine.Add(SubscriptionKind::kShardChannel, "a"));
  CHECK(mine.Add(SubscriptionKind::kShardChannel, "b"));
  CHECK(mine.count(SubscriptionKind::kChannel) == 1);
  CHECK(mine.count(SubscriptionKind::kPattern) == 1);
  CHECK(mine.count(SubscriptionKind::kShardChannel) == 2);
  CHECK(mine.bytes() > 0);
  CHECK_FALSE(mine.Remove(SubscriptionKind::kPattern, "b"));
  CHECK(mine.Remove(SubscriptionKind::kPattern, "a"));
  CHECK(mine.Remove(SubscriptionKind::kShardChannel, "b"));
  CHECK(mine.Remove(SubscriptionKind::kShardChannel, "a"));
  CHECK_FALSE(mine.empty());
  CHECK(mine.Remove(SubscriptionKind::kChannel, "a"));
  CHECK(mine.empty());
  CHECK(mine.bytes() == 0);
}

}  // namespace
}  // namespace holdfast::engine
