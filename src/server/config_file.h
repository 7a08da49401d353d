// The configuration file as text and as a file: read, edited line by line, replaced as a whole.
// What the lines mean is the loader's business.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace holdfast::server {

// The content of the file at `path`, at most 1 MiB. Blocks on the disk.
Result<std::string> ReadConfigFile(const std::string& path);

// Replaces the file: a temporary one beside it is written, synced and renamed over it, and the
// directory is synced. The permissions stay. Blocks on the disk.
Status ReplaceConfigFile(const std::string& path, std::string_view text);

// Changes single entries of a file that has one `name: value` a line.
class ConfigFileEditor {
 public:
  explicit ConfigFileEditor(std::string_view text);

  // Puts `replacement` in the place of the entry that begins in `line` (from 0 in the original
  // text), with the lines that continue it: indented ones and the items of a list.
  void ReplaceEntry(size_t line, std::string replacement);
  // Adds a line at the end.
  void Append(std::string line);
  // The edited text; every line ends with a newline.
  std::string Text() const;

 private:
  struct Line {
    std::string text;
    bool removed = false;
  };
  std::vector<Line> lines_;  // of the original text
  std::vector<std::string> appended_;
};

}  // namespace holdfast::server
