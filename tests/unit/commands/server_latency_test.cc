#include <string>

#include "commands/latency_report.h"

#include <doctest/doctest.h>

namespace holdfast::commands {
namespace {

LatencyEvents Events(std::initializer_list<engine::LatencyMonitor::Sample> samples) {
  engine::LatencyMonitor monitor;
  for (const auto& sample : samples) monitor.Add("command", sample.unix_s, sample.ms);
  return monitor.events();
}

TEST_CASE("samples of several cores become one sequence") {
  const LatencyEvents merged =
      MergeEvents({Events({{10, 5}, {12, 7}}), Events({{11, 3}, {12, 9}}), LatencyEvents()});
  REQUIRE(merged.size() == 1);
  const auto& event = merged.at("command");
  REQUIRE(event.samples.size() == 3);
  CHECK(event.samples[0].unix_s == 10);
  CHECK(event.samples[1].unix_s == 11);
  CHECK(event.samples[2].unix_s == 12);
  CHECK(event.samples[2].ms == 9);
  CHECK(event.max_ms == 9);
}

TEST_CASE("the newest 160 samples stay") {
  engine::LatencyMonitor a;
  engine::LatencyMonitor b;
  for (int i = 0; i < 150; ++i) {
    a.Add("command", 2 * i, 1);
    b.Add("command", 2 * i + 1, 1);
  }
  const LatencyEvents merged = MergeEvents({a.events(), b.events()});
  CHECK(merged.at("command").samples.size() == 160);
  CHECK(merged.at("command").samples.front().unix_s == 140);
  CHECK(merged.at("command").samples.back().unix_s == 299);
}

TEST_CASE("the graph's columns are as high as their samples") {
  const LatencyEvents events = Events({{100, 10}, {101, 40}, {160, 20}});
  const std::string graph = DrawLatencyGraph("command", events.at("command"), 161);
  const std::string line(80, '-');
  CHECK(graph == "command - high 40 ms, low 10 ms (all time high 40 ms)\n" + line +
                     "\n"
                     " #\n"
                     " |\n"
                     " |#\n"
                     "#||\n"
                     "\n"
                     "111\n"
                     "mms\n");
}

TEST_CASE("a graph of one sample, and of more than fit") {
  const LatencyEvents one = Events({{100, 10}});
  CHECK(DrawLatencyGraph("x", one.at("command"), 100).find("#\n\n0\ns\n") != std::string::npos);
  engine::LatencyMonitor many;
  for (int i = 0; i < 120; ++i) many.Add("command", i, i);
  const std::string graph = DrawLatencyGraph("x", many.events().at("command"), 200);
  CHECK(graph.find("high 119 ms, low 40 ms") != std::string::npos);
}

TEST_CASE("the doctor says what there is to say") {
  CHECK(DiagnoseLatency({}, 0).find("latency-monitor-threshold") != std::string::npos);
  CHECK(DiagnoseLatency({}, 5).find("No event") != std::string::npos);
  const std::string report = DiagnoseLatency(Events({{10, 20}, {20, 40}}), 5);
  CHECK(report.find("1. command: 2 spikes, 30 ms on average, 40 ms at most, one in 5 seconds.") !=
        std::string::npos);
}

}  // namespace
}  // namespace holdfast::commands
