#include "script/libraries.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/numbers.h"
#include "data/effect.h"

namespace holdfast::script {
namespace {

// A record that can't be read would be a library that is missing here and not elsewhere.
std::shared_ptr<const Library> ReadRecord(std::string_view key, std::string_view value) {
  auto library = std::make_shared<Library>();
  const Status status = DecodeLibrary(key, value, library.get());
  if (!status.ok()) Fatal(status.message());
  return library;
}

}  // namespace

const LibrarySet::Found* LibrarySet::Find(std::string_view function) const {
  const auto it = functions.find(ToLower(function));
  return it == functions.end() ? nullptr : &it->second;
}

Libraries::Libraries(std::atomic<uint64_t>* revision, std::function<void()> changed)
    : revision_(revision),
      changed_(std::move(changed)),
      present_(std::make_shared<const LibrarySet>()) {}

std::shared_ptr<const LibrarySet> Libraries::Present() const {
  const std::lock_guard lock(mutex_);
  return present_;
}

void Libraries::OnCommitted(std::string_view payload) {
  Records records;
  bool touched = false;
  uint64_t revision = 0;
  const Status status = data::ForEachEffect(payload, [&](const data::Effect& effect) {
    revision = std::max(revision, effect.meta.revision);
    if (!effect.key.starts_with(kLibraryPrefix)) return Status::Ok();
    if (!touched) records = Present()->libraries;
    touched = true;
    const std::string_view name = effect.key.substr(kLibraryPrefix.size());
    if (effect.kind == data::EffectKind::kPut) {
      records.insert_or_assign(std::string(name), ReadRecord(effect.key, effect.value));
    } else if (effect.kind == data::EffectKind::kDelete) {
      records.erase(std::string(name));
    }
    return Status::Ok();
  });
  if (!status.ok()) Fatal(status.message());
  if (touched) Publish(std::move(records));
  RaiseRevision(revision);
}

void Libraries::OnReplaced(const data::Keyspace& keyspace) {
  Records records;
  uint64_t cursor = 0;
  do {
    cursor = keyspace.Logical(0)->table.Scan(cursor, 1000, [&records](data::Object* object) {
      const std::string_view key = object->key();
      if (!key.starts_with(kLibraryPrefix)) return;
      records.insert_or_assign(std::string(key.substr(kLibraryPrefix.size())),
                               ReadRecord(key, object->value()));
    });
  } while (cursor != 0);
  Publish(std::move(records));
  RaiseRevision(keyspace.max_revision());
}

void Libraries::Publish(Records records) {
  auto set = std::make_shared<LibrarySet>();
  set->libraries = std::move(records);
  uint64_t bytes = 0;
  for (const auto& [name, library] : set->libraries) {
    bytes += sizeof(Library) + library->code.size();
    for (size_t i = 0; i < library->functions.size(); ++i) {
      const LibrarySet::Found found{library, i};
      set->functions.try_emplace(ToLower(library->functions[i].name), found);
    }
  }
  count_.store(set->libraries.size(), std::memory_order_relaxed);
  functions_.store(set->functions.size(), std::memory_order_relaxed);
  bytes_.store(bytes, std::memory_order_relaxed);
  {
    const std::lock_guard lock(mutex_);
    present_ = std::move(set);
  }
  generation_.fetch_add(1, std::memory_order_release);
}

void Libraries::RaiseRevision(uint64_t revision) {
  // One writer.
  if (revision > revision_->load(std::memory_order_relaxed)) {
    revision_->store(revision, std::memory_order_release);
  }
  changed_();
}

}  // namespace holdfast::script
