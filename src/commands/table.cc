#include "commands/table.h"

#include <absl/container/flat_hash_map.h>

#include <string>
#include <vector>

#include "base/check.h"
#include "base/numbers.h"
#include "commands/rows.h"

namespace holdfast::commands {
namespace {

using engine::Command;

constexpr size_t kMaxName = 64;

// Categories that follow from the flags, as Redis derives them.
uint32_t ImpliedCategories(const Command& command) {
  uint32_t acl = 0;
  if (command.has(engine::kWrite)) acl |= engine::kAclWrite;
  if (command.has(engine::kReadonly) && (command.acl & engine::kAclScripting) == 0 &&
      command.route != engine::Route::kSession) {
    acl |= engine::kAclRead;
  }
  if (command.has(engine::kAdmin)) acl |= engine::kAclAdmin | engine::kAclDangerous;
  if (command.has(engine::kBlocking)) acl |= engine::kAclBlocking;
  acl |= command.has(engine::kFast) ? engine::kAclFast : engine::kAclSlow;
  return acl;
}

class JoinedTable final : public engine::CommandTable {
 public:
  JoinedTable() {
    for (const std::span<const Command> rows :
         {StringRows(), HashRows(), ListRows(), SetRows(), SortedSetRows(), GeoRows(), StreamRows(),
          HyperloglogRows(), KeyRows(), HoldfastRows(), ConnectionRows(), ServerRows(),
          TransactionRows(), PubsubRows(), ScriptingRows(), FunctionRows(), ClusterRows(),
          AclRows()}) {
      for (const Command& row : rows) {
        // Names that are there until their family comes with the next types are not rows.
        CHECK(row.data != nullptr || row.session != nullptr || !row.subcommands.empty());
        commands_.push_back(row);
      }
    }
    for (Command& command : commands_) {
      Number(&command);
      CHECK(by_name_.emplace(command.name, &command).second);
    }
    // Subcommands get rows of their own; the container points at the copies.
    for (Command& command : commands_) {
      if (command.subcommands.empty()) continue;
      auto& copies = subcommands_[command.name];
      copies.assign(command.subcommands.begin(), command.subcommands.end());
      for (Command& subcommand : copies) {
        subcommand.parent = command.name;
        Number(&subcommand);
      }
      command.subcommands = copies;
    }
    for (const Command& command : commands_) {
      by_id_.push_back(&command);
    }
    for (const Command& command : commands_) {
      for (const Command& subcommand : command.subcommands) by_id_.push_back(&subcommand);
    }
    for (uint32_t id = 0; id < by_id_.size(); ++id) {
      CHECK(by_id_[id] != nullptr);
      const_cast<Command*>(by_id_[id])->id = id;
    }
  }

  const Command* Find(std::string_view name) const override {
    char lower[kMaxName];
    if (name.size() > kMaxName) return nullptr;
    for (size_t i = 0; i < name.size(); ++i) {
      lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? static_cast<char>(name[i] + 32) : name[i];
    }
    const auto it = by_name_.find(std::string_view(lower, name.size()));
    return it == by_name_.end() ? nullptr : it->second;
  }

  const Command* FindSubcommand(const Command& container, std::string_view name) const override {
    for (const Command& subcommand : container.subcommands) {
      if (EqualsIgnoreCase(subcommand.name, name)) return &subcommand;
    }
    return nullptr;
  }

  std::span<const Command> commands() const override { return commands_; }
  uint32_t size() const override { return static_cast<uint32_t>(by_id_.size()); }
  const Command& ById(uint32_t id) const override { return *by_id_[id]; }

 private:
  static void Number(Command* command) { command->acl |= ImpliedCategories(*command); }

  std::vector<Command> commands_;
  absl::flat_hash_map<std::string_view, const Command*> by_name_;
  absl::flat_hash_map<std::string_view, std::vector<Command>> subcommands_;
  std::vector<const Command*> by_id_;
};

}  // namespace

const engine::CommandTable& Table() {
  static const JoinedTable table;
  return table;
}

}  // namespace holdfast::commands
