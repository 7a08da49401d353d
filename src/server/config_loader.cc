#include "server/config_loader.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "engine/version.h"
#include "server/config_file.h"

namespace holdfast::server {
namespace {

using engine::Config;
using engine::FindOption;
using engine::GetOption;
using engine::Option;

constexpr std::string_view kPrefix = "HOLDFAST_";
constexpr std::string_view kFileVariable = "HOLDFAST_CONFIG";

Status Fault(const std::string& where, const std::string& what) {
  return Status::InvalidArgument(where + ": " + what);
}

Status Apply(Config* config, const std::string& where, std::string_view name,
             std::string_view value) {
  const Option* option = FindOption(name);
  if (option == nullptr) return Fault(where, "unknown option '" + std::string(name) + "'");
  const Status status = engine::SetOption(config, *option, value);
  if (status.ok()) return status;
  std::string what = "'" + std::string(option->name) + "': ";
  // A password that is wrongly quoted must not end up in a log.
  if ((option->flags & engine::kSecret) == 0) what += "'" + std::string(value) + "': ";
  return Fault(where, what + status.message());
}

// --- the file -----------------------------------------------------------------------------------

// One `name: value` of the file.
struct FileEntry {
  std::string name;
  std::string value;
  size_t line = 0;  // of the name, from 0
};

// The value of a node as text: a scalar as it is written, the items of a list with blanks between.
std::optional<std::string> NodeText(const YAML::Node& node, const Option* option) {
  if (node.IsScalar()) return node.Scalar();
  if (!node.IsSequence() || option == nullptr || (option->flags & engine::kList) == 0) {
    return std::nullopt;
  }
  std::string text;
  for (const YAML::Node& item : node) {
    if (!item.IsScalar()) return std::nullopt;
    text += (text.empty() ? "" : " ") + item.Scalar();
  }
  return text;
}

// Whether the quotes that a value opens at `mark` are closed: yaml-cpp takes the end of the file
// for the closing one, and would silently swallow all following lines.
bool QuotesClosed(std::string_view text, const YAML::Mark& mark) {
  if (mark.is_null() || mark.pos < 0 || static_cast<size_t>(mark.pos) >= text.size()) return true;
  text.remove_prefix(static_cast<size_t>(mark.pos));
  const char quote = text.front();
  if (quote != '"' && quote != '\'') return true;
  for (size_t i = 1; i < text.size(); i++) {
    // An escaped character, or a quote that is doubled to stand for itself.
    if (quote == '"' ? text[i] == '\\' : text.substr(i).starts_with("''")) {
      i++;
    } else if (text[i] == quote) {
      return true;
    }
  }
  return false;
}

Result<std::vector<FileEntry>> Entries(const YAML::Node& root, const std::string& text,
                                       const std::string& file) {
  std::vector<FileEntry> entries;
  if (root.IsNull()) return entries;
  if (!root.IsMap()) return Fault(file + ":1", "the file must hold lines of 'name: value'");
  std::set<const Option*> seen;
  for (const auto& pair : root) {
    const size_t line = static_cast<size_t>(std::max(pair.first.Mark().line, 0));
    const std::string where = file + ":" + std::to_string(line + 1);
    if (!pair.first.IsScalar()) return Fault(where, "the file must hold lines of 'name: value'");
    const std::string name = pair.first.Scalar();
    const Option* option = FindOption(name);
    if (option == nullptr) return Fault(where, "unknown option '" + name + "'");
    if (!seen.insert(option).second) return Fault(where, "'" + name + "' is given twice");
    const std::optional<std::string> value = NodeText(pair.second, option);
    if (!value.has_value()) {
      return Fault(where, "'" + name + "' needs one value" +
                              (pair.second.IsNull() ? " (\"\" is the empty one)" : ""));
    }
    if (!QuotesClosed(text, pair.second.Mark())) {
      return Fault(where, "the quotes of the value of '" + name + "' aren't closed");
    }
    entries.push_back({name, *value, line});
  }
  return entries;
}

// yaml-cpp reports by exceptions; they end here.
Result<std::vector<FileEntry>> ParseFile(const std::string& text, const std::string& file) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.empty()) return std::vector<FileEntry>();
    if (documents.size() > 1) return Fault(file, "the file must hold one YAML document");
    return Entries(documents.front(), text, file);
  } catch (const YAML::Exception& e) {
    const int line = e.mark.is_null() ? 1 : e.mark.line + 1;
    return Fault(file + ":" + std::to_string(line), "not valid YAML: " + e.msg);
  }
}

Status ApplyText(Config* config, const std::string& text, const std::string& file) {
  const Result<std::vector<FileEntry>> entries = ParseFile(text, file);
  RETURN_IF_ERROR(entries.status());
  for (const FileEntry& entry : entries.value()) {
    RETURN_IF_ERROR(
        Apply(config, file + ":" + std::to_string(entry.line + 1), entry.name, entry.value));
  }
  return Status::Ok();
}

Status ApplyFile(LoadedConfig* loaded, const std::string& path) {
  const Result<std::string> text = ReadConfigFile(path);
  RETURN_IF_ERROR(text.status());
  RETURN_IF_ERROR(ApplyText(&loaded->config, text.value(), path));
  std::error_code error;
  loaded->file = std::filesystem::absolute(path, error).string();
  if (error) return Fault(path, error.message());
  return Status::Ok();
}

// --- variables ----------------------------------------------------------------------------------

// The options' names for the part of a variable behind the prefix: LOG_LEVEL to log-level.
std::string OptionName(std::string_view variable) {
  std::string name = std::string(variable.substr(kPrefix.size()));
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

Status ApplyVariables(Config* config, const char* const* environment) {
  std::set<const Option*> seen;
  for (; environment != nullptr && *environment != nullptr; environment++) {
    const std::string_view text(*environment);
    if (!text.starts_with(kPrefix)) continue;
    const std::string_view variable = text.substr(0, text.find('='));
    if (variable.size() == text.size() || variable == kFileVariable) continue;
    const std::string where = "variable " + std::string(variable);
    const Option* option = FindOption(OptionName(variable));
    if (option == nullptr) return Fault(where, "there is no such option");
    // The order of variables means nothing, so an option and its alias would be a guess.
    if (!seen.insert(option).second) {
      return Fault(where, "'" + std::string(option->name) + "' is given twice");
    }
    RETURN_IF_ERROR(Apply(config, where, option->name, text.substr(variable.size() + 1)));
  }
  return Status::Ok();
}

std::optional<std::string> Variable(const char* const* environment, std::string_view name) {
  for (; environment != nullptr && *environment != nullptr; environment++) {
    const std::string_view text(*environment);
    if (text.starts_with(name) && text.substr(name.size()).starts_with('=')) {
      return std::string(text.substr(name.size() + 1));
    }
  }
  return std::nullopt;
}

// --- flags --------------------------------------------------------------------------------------

enum class Action { kServe, kHelp, kVersion, kCheck, kPrint };

struct CommandLine {
  Action action = Action::kServe;
  std::optional<std::string> file;
  std::vector<std::pair<std::string, std::string>> options;  // in order; the last one wins
};

std::optional<Action> ActionOf(std::string_view flag) {
  if (flag == "--help" || flag == "-h") return Action::kHelp;
  if (flag == "--version" || flag == "-v") return Action::kVersion;
  if (flag == "--check-config") return Action::kCheck;
  if (flag == "--print-config") return Action::kPrint;
  return std::nullopt;
}

Result<CommandLine> ParseCommandLine(int argc, const char* const* argv) {
  CommandLine line;
  for (int i = 1; i < argc; i++) {
    const std::string_view word(argv[i]);
    if (const std::optional<Action> action = ActionOf(word)) {
      // --help beside anything else is still a question for help.
      if (line.action != Action::kHelp) line.action = *action;
      continue;
    }
    if (!word.starts_with("-") || word == "-") {
      if (line.file.has_value()) {
        return Fault("'" + std::string(word) + "'", "a configuration file was given already");
      }
      line.file = std::string(word);
      continue;
    }
    const std::string where = "flag " + std::string(word.substr(0, word.find('=')));
    if (!word.starts_with("--")) return Fault(where, "there is no such flag; try --help");
    const std::string_view name = word.substr(2, word.find('=') - 2);
    if (name != "config" && FindOption(name) == nullptr) {
      return Fault(where, "there is no such option; try --help");
    }
    std::string value;
    if (const size_t equals = word.find('='); equals != std::string_view::npos) {
      value = word.substr(equals + 1);
    } else if (i + 1 < argc && !std::string_view(argv[i + 1]).starts_with("--")) {
      value = argv[++i];
    } else if (name != "config" && FindOption(name)->type == engine::OptionType::kBool) {
      value = "yes";
    } else {
      return Fault(where, "a value is missing (one that begins with -- goes behind an =)");
    }
    if (name != "config") {
      line.options.emplace_back(name, value);
    } else if (line.file.has_value()) {
      return Fault(where, "a configuration file was given already");
    } else {
      line.file = value;
    }
  }
  return line;
}

std::string Usage() {
  return "Holdfast " + std::string(engine::kVersion) +
         ": a Redis-protocol server whose acknowledged writes stay.\n\n"
         "  holdfast [FILE] [--name value | --name=value]...\n\n"
         "  --config FILE   the same as FILE: options as YAML (see conf/holdfast.yaml)\n"
         "  --check-config  read all options, say what is wrong with them, don't serve\n"
         "  --print-config  print the options as a documented configuration file\n"
         "  --version       print the version\n"
         "  --help          print this\n\n"
         "Options, with their defaults. Variables like HOLDFAST_LOG_LEVEL set them, too; flags "
         "win\n"
         "over variables, variables over the file. Sizes take kb, mb, gb.\n";
}

}  // namespace

Result<LoadedConfig> LoadConfig(int argc, const char* const* argv, const char* const* environment) {
  Result<CommandLine> parsed = ParseCommandLine(argc, argv);
  RETURN_IF_ERROR(parsed.status());
  const CommandLine& line = parsed.value();

  LoadedConfig loaded;
  loaded.exit = line.action != Action::kServe;
  if (line.action == Action::kHelp) {
    loaded.text = Usage() + engine::HelpText();
    return loaded;
  }
  if (line.action == Action::kVersion) {
    loaded.text = "holdfast " + std::string(engine::kVersion) + " (to clients: Redis " +
                  std::string(engine::kRedisVersion) + ")\n";
    return loaded;
  }

  const std::optional<std::string> file =
      line.file.has_value() ? line.file : Variable(environment, kFileVariable);
  if (file.has_value()) RETURN_IF_ERROR(ApplyFile(&loaded, *file));
  RETURN_IF_ERROR(ApplyVariables(&loaded.config, environment));
  for (const auto& [name, value] : line.options) {
    RETURN_IF_ERROR(Apply(&loaded.config, "flag --" + name, name, value));
  }
  if (line.action == Action::kCheck) loaded.text = "the configuration is valid\n";
  if (line.action == Action::kPrint) loaded.text = engine::DocumentedFile(loaded.config);
  return loaded;
}

Result<std::string> RewriteText(std::string_view old_text, const Config& config) {
  const std::string text(old_text);
  const Result<std::vector<FileEntry>> entries = ParseFile(text, "configuration file");
  RETURN_IF_ERROR(entries.status());

  const Config defaults;
  ConfigFileEditor editor(text);
  std::set<const Option*> named;
  for (const FileEntry& entry : entries.value()) {
    const Option* option = FindOption(entry.name);
    CHECK(option != nullptr);
    named.insert(option);
    // The value as the file has it may be spelled differently ("1024mb") and still be the same.
    Config from_file;
    if (engine::SetOption(&from_file, *option, entry.value).ok() &&
        GetOption(from_file, *option) == GetOption(config, *option)) {
      continue;
    }
    editor.ReplaceEntry(entry.line,
                        entry.name + ": " + engine::YamlScalar(FileValue(config, *option)));
  }
  for (const Option& option : engine::Options()) {
    if (named.contains(&option) || GetOption(config, option) == GetOption(defaults, option))
      continue;
    // A value that follows from another option is written by writing that one.
    const auto* special = std::get_if<engine::SpecialField>(&option.field);
    if (special != nullptr && special->set == nullptr) continue;
    editor.Append(std::string(option.name) + ": " + engine::YamlScalar(FileValue(config, option)));
  }

  std::string result = editor.Text();
  Config read_back;
  const Status status = ApplyText(&read_back, result, "configuration file");
  if (!status.ok()) return Status::Unsupported(status.message());
  for (const Option& option : engine::Options()) {
    if (GetOption(read_back, option) != GetOption(config, option)) {
      return Status::Unsupported("the value of '" + std::string(option.name) +
                                 "' can't be written to this file");
    }
  }
  return result;
}

Status RewriteFile(const std::string& path, const Config& config) {
  const Result<std::string> old_text = ReadConfigFile(path);
  RETURN_IF_ERROR(old_text.status());
  const Result<std::string> text = RewriteText(old_text.value(), config);
  RETURN_IF_ERROR(text.status());
  if (text.value() == old_text.value()) return Status::Ok();
  return ReplaceConfigFile(path, text.value());
}

}  // namespace holdfast::server
