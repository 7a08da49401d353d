// Runs every scenario of tests/raft/scripts. RAFT_SCRIPTS_REWRITE=1 writes the real output into the
// files: read the difference before committing it.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "script.h"

// Last, because its CHECK replaces the one of base/check.h.
#include <doctest/doctest.h>

namespace holdfast::raft::testing {
namespace {

std::filesystem::path Directory() {
  return std::filesystem::path(__FILE__).parent_path() / "scripts";
}

std::string Read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

TEST_CASE("raft scripts: every scenario gives exactly the updates that it states") {
  std::vector<std::filesystem::path> paths;
  for (const auto& file : std::filesystem::directory_iterator(Directory())) {
    if (file.path().extension() == ".txt") paths.push_back(file.path());
  }
  std::sort(paths.begin(), paths.end());
  REQUIRE_FALSE(paths.empty());
  for (const auto& path : paths) {
    const ScriptResult result = RunScript(path.filename().string(), Read(path));
    for (const std::string& failure : result.failures) FAIL_CHECK(failure);
    if (std::getenv("RAFT_SCRIPTS_REWRITE") != nullptr) {
      std::ofstream(path, std::ios::binary) << result.rewritten;
    }
  }
}

// The checker itself: each of these must be rejected.
TEST_CASE("raft scripts: a wrong script fails") {
  const auto failures = [](const std::string& text) {
    return RunScript("test", text).failures.size();
  };
  const std::string good =
      "# a lone voter\n> node 1 voters=1\n> tick 1 0\n  hard-state term=1 vote=1\n"
      "  persist #1 term=1 last=0@0\n  standing candidate term=1\n";
  CHECK(failures(good) == 0);
  CHECK(RunScript("test", good).rewritten == good);
  CHECK(failures(good + "  commit 1\n") == 1);                   // a line too many
  CHECK(failures(good.substr(0, good.rfind("  stand"))) == 1);   // a line too few
  CHECK(failures("> node 1 voters=1\n> tick 1 0\n  -\n") == 3);  // another output
  CHECK(failures(good + "> unheard-of 1\n") == 1);
  CHECK(failures(good + "> tick 9 0\n") == 1);
  CHECK(failures(good + "> tick 1 0\n  error: tick ID MS [xN]\n") == 1);
  CHECK(failures(good + "> tick 9 0\n  error: tick ID MS [xN]\n") == 1);
  CHECK(failures(good + "> deliver 1>2\n") == 1);
  CHECK(failures(good + "> disk 1 2\n") == 1);
  CHECK(failures("stray words\n" + good) == 1);
  CHECK(failures("# nothing but a comment\n") == 1);
  CHECK(failures("") == 1);
}

}  // namespace
}  // namespace holdfast::raft::testing
