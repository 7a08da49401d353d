// Where the options come from when the process starts: a YAML file, HOLDFAST_… variables, flags.
// Flags win over variables, variables over the file. The only place that includes yaml-cpp.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "engine/config.h"

namespace holdfast::server {

struct LoadedConfig {
  engine::Config config;
  // The absolute path of the configuration file; empty when none was given. CONFIG REWRITE writes
  // to it and INFO shows it.
  std::string file;
  // True after --help, --version, --check-config and --print-config: print `text` to standard
  // output and exit 0 instead of serving.
  bool exit = false;
  std::string text;
};

// Reads the command line:
//
//   holdfast [FILE] [--config FILE] [--name value | --name=value]…
//   holdfast --help | --version | --check-config … | --print-config …
//
// and the variables of `environment` ("NAME=value" strings, ended by a null pointer), where
// HOLDFAST_CONFIG names the file. The error is one line that says where the fault is:
// "FILE:LINE: …", "variable HOLDFAST_PORT: …" or "flag --port: …".
Result<LoadedConfig> LoadConfig(int argc, const char* const* argv, const char* const* environment);

// CONFIG REWRITE: `old_text`, the content of a configuration file, with the values of `config`.
// Comments, order and what is unchanged stay as they are; changed values are written in place;
// options that the file doesn't name and that aren't at their default are added at the end.
// kUnsupported when the result wouldn't read back as `config`: bytes that YAML can't hold, a file
// that isn't written one option a line.
Result<std::string> RewriteText(std::string_view old_text, const engine::Config& config);

// RewriteText on the file at `path`, replaced as a whole: the old content or the new one is there
// after a crash. Blocks on the disk.
Status RewriteFile(const std::string& path, const engine::Config& config);

}  // namespace holdfast::server
