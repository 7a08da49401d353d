// What one command changes in a hash or a set, as one modification of the key.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <string_view>

#include "engine/context.h"

namespace holdfast::commands {

// Collections whose head is the number of their elements. Loop thread of the core that owns the
// partition; lives no longer than the command.
class CountedChange {
 public:
  // REQUIRES: the key is of this type or missing; nothing else changes it before Emit.
  CountedChange(engine::ExecContext& ctx, engine::Key* key, data::ObjectType type);

  // The bytes of `element` stay until Emit. True when the element is new.
  bool Put(std::string_view element, std::string_view value);
  // True when the element was there.
  bool Delete(std::string_view element);
  // How many elements there are after the changes so far.
  uint64_t size() const { return size_; }
  // Makes the changes one effect, of which clients hear as `event` (ExecContext::Notify); a
  // collection that lost all its elements is deleted.
  void Emit(std::string_view event);

 private:
  bool IsThere(std::string_view element) const;

  engine::ExecContext& ctx_;
  engine::Key* const key_;
  const data::ObjectType type_;
  uint64_t size_;
  data::ElementChanges changes_;
  absl::flat_hash_map<std::string_view, bool> is_there_;  // after the changes so far
};

}  // namespace holdfast::commands
