#include "commands/counted_change.h"

#include "commands/options.h"

namespace holdfast::commands {

CountedChange::CountedChange(engine::ExecContext& ctx, engine::Key* key, data::ObjectType type)
    : ctx_(ctx), key_(key), type_(type), size_(*key ? key->object->collection()->size() : 0) {}

bool CountedChange::IsThere(std::string_view element) const {
  const auto it = is_there_.find(element);
  if (it != is_there_.end()) return it->second;
  return *key_ && key_->object->collection()->Contains(element);
}

bool CountedChange::Put(std::string_view element, std::string_view value) {
  const bool is_new = !IsThere(element);
  is_there_[element] = true;
  size_ += is_new ? 1 : 0;
  changes_.Put(element, value);
  return is_new;
}

bool CountedChange::Delete(std::string_view element) {
  if (!IsThere(element)) return false;
  is_there_[element] = false;
  --size_;
  changes_.Delete(element);
  return true;
}

void CountedChange::Emit(std::string_view event) {
  if (changes_.empty() || (size_ == 0 && !*key_)) return;
  const uint32_t event_class =
      type_ == data::ObjectType::kHash ? engine::kHashEvents : engine::kSetEvents;
  if (size_ > 0) {
    ctx_.Change(key_, type_, changes_, data::EncodeCount(size_));
    ctx_.Notify(*key_, event_class, event);
  } else {
    ctx_.Notify(*key_, event_class, event);
    DeleteKey(ctx_, key_);
  }
}

}  // namespace holdfast::commands
