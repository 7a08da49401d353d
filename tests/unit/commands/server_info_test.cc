#include <string>
#include <vector>

#include "commands/info_sections.h"
#include "commands/lolwut.h"

#include <doctest/doctest.h>

namespace holdfast::commands {
namespace {

std::string Sections(const std::vector<std::string>& wanted) {
  std::string text;
  for (const std::string_view name : SectionsFor(wanted)) {
    text += (text.empty() ? "" : " ") + std::string(name);
  }
  return text;
}

TEST_CASE("which sections INFO shows") {
  const std::string by_default =
      "server clients memory persistence stats replication cpu modules errorstats cluster keyspace "
      "holdfast raft";
  CHECK(Sections({}) == by_default);
  CHECK(Sections({"default"}) == by_default);
  CHECK(Sections({"ALL"}) ==
        "server clients memory persistence stats replication cpu commandstats errorstats "
        "latencystats cluster keyspace holdfast raft");
  CHECK(Sections({"everything"}) ==
        "server clients memory persistence stats replication cpu modules commandstats errorstats "
        "latencystats cluster keyspace holdfast raft");
  // In the server's order, each once.
  CHECK(Sections({"Keyspace", "server", "keyspace"}) == "server keyspace");
  CHECK(Sections({"nosuch"}) == "");
  CHECK(Sections({"default", "latencystats"}).find("latencystats") != std::string::npos);
}

TEST_CASE("sizes for people") {
  CHECK(HumanBytes(0) == "0B");
  CHECK(HumanBytes(1023) == "1023B");
  CHECK(HumanBytes(1024) == "1.00K");
  CHECK(HumanBytes(1536) == "1.50K");
  CHECK(HumanBytes(uint64_t{1} << 20) == "1.00M");
  CHECK(HumanBytes(uint64_t{5} << 30) == "5.00G");
  CHECK(HumanBytes(uint64_t{3} << 40) == "3.00T");
  CHECK(HumanBytes(uint64_t{7} << 60) == "7168.00P");
}

TEST_CASE("percentiles without needless zeros") {
  CHECK(ShortPercentile(50) == "50");
  CHECK(ShortPercentile(0) == "0");
  CHECK(ShortPercentile(100) == "100");
  CHECK(ShortPercentile(99.9) == "99.9");
  CHECK(ShortPercentile(99.99) == "99.99");
}

TEST_CASE("reports of several cores add up") {
  CoreReport a;
  a.stats.commands_processed = 3;
  a.databases[2].keys = 5;
  a.max_input_bytes = 10;
  a.free_disk_bytes = 100;
  a.max_turn_ns = {1};
  a.partitions.resize(1);
  a.partitions[0].number = 1;
  CoreReport b;
  b.stats.commands_processed = 4;
  b.databases[2].keys = 6;
  b.max_input_bytes = 7;
  b.free_disk_bytes = 90;
  b.max_turn_ns = {2};
  b.partitions.resize(1);
  b.partitions[0].number = 0;
  std::vector<CoreReport> both = {a, b};
  const CoreReport sum = MergeReports(both);
  CHECK(sum.stats.commands_processed == 7);
  CHECK(sum.databases[2].keys == 11);
  CHECK(sum.max_input_bytes == 10);
  CHECK(sum.free_disk_bytes == 90);
  CHECK(sum.max_turn_ns == std::vector<uint64_t>{1, 2});
  REQUIRE(sum.partitions.size() == 2);
  CHECK(sum.partitions[0].number == 0);
}

TEST_CASE("LOLWUT draws within its frame, another picture for another seed") {
  const std::string picture = DrawLolwut(1);
  CHECK(picture == DrawLolwut(1));
  CHECK(picture != DrawLolwut(2));
  CHECK(picture.find("Holdfast ver. ") != std::string::npos);
  CHECK(picture.back() == '\n');
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const std::string text = DrawLolwut(seed);
    size_t begin = 0;
    for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
      CHECK(end - begin <= 64);
      begin = end + 1;
    }
  }
}

}  // namespace
}  // namespace holdfast::commands
