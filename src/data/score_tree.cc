#include "data/score_tree.h"

#include <malloc.h>

#include <algorithm>

#include "base/check.h"

namespace holdfast::data {

// `count`: entries of a leaf, children of an inner node; none is empty but a root without entries.
struct ScoreTree::Node {
  explicit Node(bool leaf) : is_leaf(leaf) {}
  const bool is_leaf;
  uint16_t count = 0;
};

// Leaves are linked in order.
struct ScoreTree::Leaf : Node {
  Leaf() : Node(true) {}
  Leaf* previous = nullptr;
  Leaf* next = nullptr;
  Entry entries[kLeafEntries];
};

struct ScoreTree::Inner : Node {
  Inner() : Node(false) {}
  Node* children[kChildren];
  uint64_t sizes[kChildren];  // entries below each child
  Entry firsts[kChildren];    // the first entry below each child

  void Refresh(size_t i) {
    sizes[i] = SizeOf(children[i]);
    firsts[i] = FirstOf(children[i]);
  }
  void Set(size_t to, const Inner& from, size_t i) {
    children[to] = from.children[i];
    sizes[to] = from.sizes[i];
    firsts[to] = from.firsts[i];
  }
  // The child that has the entry, or would get it.
  size_t ChildFor(const Entry& entry) const {
    const Entry* after = std::upper_bound(firsts + 1, firsts + count, entry, Less);
    return static_cast<size_t>(after - firsts) - 1;
  }
};

namespace {

// Nodes join when they fill less than this part of one: far enough from full that inserting and
// erasing in turn doesn't split and join in turn.
constexpr size_t JoinLimit(size_t capacity) { return capacity * 3 / 4; }

}  // namespace

ScoreTree::ScoreTree() : root_(NewLeaf()) {}

ScoreTree::~ScoreTree() { FreeBelow(root_); }

bool ScoreTree::Less(const Entry& a, const Entry& b) {
  if (a.score != b.score) return a.score < b.score;
  return a.member() < b.member();
}

ScoreTree::Leaf* ScoreTree::NewLeaf() {
  auto* leaf = new Leaf();
  memory_bytes_ += malloc_usable_size(leaf);
  return leaf;
}

ScoreTree::Inner* ScoreTree::NewInner() {
  auto* inner = new Inner();
  memory_bytes_ += malloc_usable_size(inner);
  return inner;
}

void ScoreTree::FreeNode(Node* node) {
  memory_bytes_ -= malloc_usable_size(node);
  if (node->is_leaf) {
    delete static_cast<Leaf*>(node);
  } else {
    delete static_cast<Inner*>(node);
  }
}

void ScoreTree::FreeBelow(Node* node) {
  if (!node->is_leaf) {
    const auto* inner = static_cast<Inner*>(node);
    for (size_t i = 0; i < inner->count; ++i) FreeBelow(inner->children[i]);
  }
  FreeNode(node);
}

const ScoreTree::Entry& ScoreTree::FirstOf(const Node* node) {
  return node->is_leaf ? static_cast<const Leaf*>(node)->entries[0]
                       : static_cast<const Inner*>(node)->firsts[0];
}

uint64_t ScoreTree::SizeOf(const Node* node) {
  if (node->is_leaf) return node->count;
  const auto* inner = static_cast<const Inner*>(node);
  uint64_t size = 0;
  for (size_t i = 0; i < inner->count; ++i) size += inner->sizes[i];
  return size;
}

void ScoreTree::Insert(const Entry& entry) {
  Node* second = InsertBelow(root_, entry);
  ++size_;
  if (second == nullptr) return;
  Inner* root = NewInner();
  root->children[0] = root_;
  root->children[1] = second;
  root->count = 2;
  root->Refresh(0);
  root->Refresh(1);
  root_ = root;
}

// The node that was split off behind `node`, or nullptr.
ScoreTree::Node* ScoreTree::InsertBelow(Node* node, const Entry& entry) {
  if (node->is_leaf) return InsertIntoLeaf(static_cast<Leaf*>(node), entry);
  auto* inner = static_cast<Inner*>(node);
  const size_t at = inner->ChildFor(entry);
  Node* fresh = InsertBelow(inner->children[at], entry);
  if (fresh == nullptr) {
    ++inner->sizes[at];
    inner->firsts[at] = FirstOf(inner->children[at]);
    return nullptr;
  }
  inner->Refresh(at);
  return AddChild(inner, at + 1, fresh);
}

ScoreTree::Node* ScoreTree::InsertIntoLeaf(Leaf* leaf, const Entry& entry) {
  Entry* begin = leaf->entries;
  auto at = static_cast<size_t>(std::upper_bound(begin, begin + leaf->count, entry, Less) - begin);
  Leaf* fresh = nullptr;
  Leaf* target = leaf;
  if (leaf->count == kLeafEntries) {
    fresh = NewLeaf();
    fresh->previous = leaf;
    fresh->next = leaf->next;
    if (leaf->next != nullptr) leaf->next->previous = fresh;
    leaf->next = fresh;
    // Scores that only rise (times, numbers of orders) leave full leaves behind.
    const size_t keep = fresh->next == nullptr && at == kLeafEntries ? at : kLeafEntries / 2;
    std::copy(begin + keep, begin + kLeafEntries, fresh->entries);
    fresh->count = static_cast<uint16_t>(kLeafEntries - keep);
    leaf->count = static_cast<uint16_t>(keep);
    if (at > keep || keep == kLeafEntries) {
      target = fresh;
      at -= keep;
    }
  }
  std::copy_backward(target->entries + at, target->entries + target->count,
                     target->entries + target->count + 1);
  target->entries[at] = entry;
  ++target->count;
  return fresh;
}

// As InsertBelow.
ScoreTree::Node* ScoreTree::AddChild(Inner* inner, size_t at, Node* child) {
  Inner* fresh = nullptr;
  Inner* target = inner;
  if (inner->count == kChildren) {
    fresh = NewInner();
    const size_t keep = at == kChildren ? kChildren - 1 : kChildren / 2;
    for (size_t i = keep; i < kChildren; ++i) fresh->Set(i - keep, *inner, i);
    fresh->count = static_cast<uint16_t>(kChildren - keep);
    inner->count = static_cast<uint16_t>(keep);
    if (at > keep) {
      target = fresh;
      at -= keep;
    }
  }
  for (size_t i = target->count; i > at; --i) target->Set(i, *target, i - 1);
  target->children[at] = child;
  ++target->count;
  target->Refresh(at);
  return fresh;
}

void ScoreTree::Erase(const Entry& entry) {
  EraseBelow(root_, entry);
  --size_;
  while (!root_->is_leaf && root_->count == 1) {
    Node* old = root_;
    root_ = static_cast<Inner*>(old)->children[0];
    FreeNode(old);
  }
}

void ScoreTree::EraseBelow(Node* node, const Entry& entry) {
  if (node->is_leaf) {
    auto* leaf = static_cast<Leaf*>(node);
    Entry* end = leaf->entries + leaf->count;
    Entry* at = std::lower_bound(leaf->entries, end, entry, Less);
    CHECK_MSG(at != end && at->element == entry.element, "an entry that isn't in the tree");
    std::copy(at + 1, end, at);
    --leaf->count;
    return;
  }
  auto* inner = static_cast<Inner*>(node);
  const size_t at = inner->ChildFor(entry);
  EraseBelow(inner->children[at], entry);
  if (inner->children[at]->count == 0) {
    RemoveChild(inner, at);
    return;
  }
  --inner->sizes[at];
  inner->firsts[at] = FirstOf(inner->children[at]);
  if (at + 1 < inner->count && TryJoin(inner, at)) return;
  if (at > 0) TryJoin(inner, at - 1);
}

// Takes out a child without entries; `inner` may have none afterwards.
void ScoreTree::RemoveChild(Inner* inner, size_t at) {
  Node* child = inner->children[at];
  if (child->is_leaf) {
    const auto* leaf = static_cast<Leaf*>(child);
    if (leaf->previous != nullptr) leaf->previous->next = leaf->next;
    if (leaf->next != nullptr) leaf->next->previous = leaf->previous;
  }
  FreeNode(child);
  for (size_t i = at; i + 1 < inner->count; ++i) inner->Set(i, *inner, i + 1);
  --inner->count;
}

// Joins the child `left` and the one behind it when both are small.
bool ScoreTree::TryJoin(Inner* inner, size_t left) {
  Node* a = inner->children[left];
  Node* b = inner->children[left + 1];
  const size_t both = size_t{a->count} + b->count;
  const size_t capacity = a->is_leaf ? kLeafEntries : kChildren;
  if (both > JoinLimit(capacity)) return false;
  if (a->is_leaf) {
    auto* to = static_cast<Leaf*>(a);
    auto* from = static_cast<Leaf*>(b);
    std::copy(from->entries, from->entries + from->count, to->entries + to->count);
    to->next = from->next;
    if (from->next != nullptr) from->next->previous = to;
  } else {
    auto* to = static_cast<Inner*>(a);
    const auto* from = static_cast<Inner*>(b);
    for (size_t i = 0; i < from->count; ++i) to->Set(to->count + i, *from, i);
  }
  a->count = static_cast<uint16_t>(both);
  FreeNode(b);
  for (size_t i = left + 1; i + 1 < inner->count; ++i) inner->Set(i, *inner, i + 1);
  --inner->count;
  inner->Refresh(left);
  return true;
}

uint64_t ScoreTree::CountBefore(absl::FunctionRef<bool(const Entry& entry)> is_before) const {
  uint64_t before = 0;
  const Node* node = root_;
  while (!node->is_leaf) {
    const auto* inner = static_cast<const Inner*>(node);
    const Entry* after = std::partition_point(inner->firsts + 1, inner->firsts + inner->count,
                                              [&](const Entry& first) { return is_before(first); });
    const auto at = static_cast<size_t>(after - inner->firsts) - 1;
    for (size_t i = 0; i < at; ++i) before += inner->sizes[i];
    node = inner->children[at];
  }
  const auto* leaf = static_cast<const Leaf*>(node);
  const Entry* end = std::partition_point(leaf->entries, leaf->entries + leaf->count,
                                          [&](const Entry& entry) { return is_before(entry); });
  return before + static_cast<uint64_t>(end - leaf->entries);
}

ScoreTree::Place ScoreTree::PlaceOf(uint64_t rank) const {
  CHECK(rank < size_);
  const Node* node = root_;
  while (!node->is_leaf) {
    const auto* inner = static_cast<const Inner*>(node);
    size_t at = 0;
    while (rank >= inner->sizes[at]) rank -= inner->sizes[at++];
    node = inner->children[at];
  }
  return {static_cast<const Leaf*>(node), static_cast<size_t>(rank)};
}

const ScoreTree::Entry& ScoreTree::At(uint64_t rank) const {
  const Place place = PlaceOf(rank);
  return place.leaf->entries[place.at];
}

void ScoreTree::Walk(uint64_t rank, bool backwards,
                     absl::FunctionRef<bool(const Entry& entry)> visit) const {
  if (rank >= size_) return;
  auto [leaf, at] = PlaceOf(rank);
  if (backwards) {
    while (visit(leaf->entries[at])) {
      if (at == 0) {
        leaf = leaf->previous;
        if (leaf == nullptr) return;
        at = leaf->count;
      }
      --at;
    }
    return;
  }
  while (visit(leaf->entries[at])) {
    if (++at < leaf->count) continue;
    leaf = leaf->next;
    at = 0;
    if (leaf == nullptr) return;
  }
}

}  // namespace holdfast::data
