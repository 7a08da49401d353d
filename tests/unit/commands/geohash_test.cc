#include "commands/geohash.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/rng.h"

#include <doctest/doctest.h>

namespace holdfast::commands {
namespace {

double Between(Rng* rng, double low, double high) {
  return low + (high - low) * static_cast<double>(rng->Below(1u << 30)) / (1u << 30);
}

// Often near a pole or the date line.
Position Somewhere(Rng* rng) {
  Position position{Between(rng, -kMaxLongitude, kMaxLongitude),
                    Between(rng, -kMaxLatitude, kMaxLatitude)};
  if (rng->Chance(1, 4)) position.longitude = std::copysign(179.9, position.longitude);
  if (rng->Chance(1, 4)) position.latitude = std::copysign(84.5, position.latitude);
  return position;
}

TEST_CASE("positions as Redis scores, prints and measures them") {
  const Position palermo{13.361389, 38.115556};
  const Position catania{15.087269, 37.502669};
  CHECK(ScoreOfPosition(palermo) == 3479099956230698);
  CHECK(ScoreOfPosition(catania) == 3479447370796909);
  const Position decoded = PositionOfScore(3479099956230698);
  CHECK(decoded.longitude == doctest::Approx(13.36138933897018433).epsilon(1e-15));
  CHECK(decoded.latitude == doctest::Approx(38.11555639549629859).epsilon(1e-15));
  CHECK(GeohashText(decoded) == "sqc8b49rny0");
  CHECK(DistanceBetween(decoded, PositionOfScore(3479447370796909)) ==
        doctest::Approx(166274.1516).epsilon(1e-9));
}

TEST_CASE("a position survives its score, and any score is a position") {
  Rng rng(1);
  for (int i = 0; i < 10'000; ++i) {
    const Position position = Somewhere(&rng);
    const uint64_t score = ScoreOfPosition(position);
    REQUIRE(score < uint64_t{1} << 54);
    const Position decoded = PositionOfScore(static_cast<double>(score));
    REQUIRE(std::fabs(decoded.longitude - position.longitude) < 360.0 / (1 << 26));
    REQUIRE(std::fabs(decoded.latitude - position.latitude) < 180.0 / (1 << 26));
    REQUIRE(ScoreOfPosition(decoded) == score);
  }
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double score : {-1.0, -infinity, infinity, 1e300, 4503599627370496.0, 0.5}) {
    const Position position = PositionOfScore(score);
    CHECK(std::fabs(position.longitude) <= kMaxLongitude);
    CHECK(std::fabs(position.latitude) <= kMaxLatitude);
  }
}

TEST_CASE("the cells of an area hold every position in it, and not the whole world") {
  Rng rng(2);
  size_t inside = 0;
  uint64_t searched = 0;
  int small = 0;
  for (int i = 0; i < 4000; ++i) {
    GeoArea area;
    area.center = Somewhere(&rng);
    const double reach = std::pow(10, Between(&rng, 2, 7.4));
    area.is_box = rng.Chance(1, 2);
    area.radius = reach;
    area.width = reach * Between(&rng, 0.1, 2);
    area.height = reach * Between(&rng, 0.1, 2);
    const std::vector<ScoreRange> cells = CellsOf(area);
    REQUIRE(!cells.empty());
    REQUIRE(cells.size() <= 20);
    for (size_t a = 0; a < cells.size(); ++a) {
      for (size_t b = 0; b < a; ++b) {
        // No position is found twice.
        REQUIRE((cells[a].end <= cells[b].begin || cells[b].end <= cells[a].begin));
      }
    }
    if (reach < 10'000 && std::fabs(area.center.latitude) < 60) {
      ++small;
      for (const ScoreRange& cell : cells) searched += cell.end - cell.begin;
    }
    for (int j = 0; j < 50; ++j) {
      // Around the center, at all distances that matter.
      Position position = area.center;
      const double degrees = reach / 111'000 * 1.5;
      position.latitude = std::clamp(position.latitude + Between(&rng, -degrees, degrees),
                                     -kMaxLatitude, kMaxLatitude);
      const double wider = std::min(180.0, degrees / std::cos(position.latitude * 0.0174532925));
      position.longitude += Between(&rng, -wider, wider);
      if (position.longitude > 180) position.longitude -= 360;
      if (position.longitude < -180) position.longitude += 360;
      const uint64_t score = ScoreOfPosition(position);
      const Position stored = PositionOfScore(static_cast<double>(score));
      if (!DistanceWithin(area, stored).has_value()) continue;
      ++inside;
      const bool found = std::any_of(cells.begin(), cells.end(), [score](const ScoreRange& cell) {
        return cell.begin <= score && score < cell.end;
      });
      CAPTURE(area.center.longitude);
      CAPTURE(area.center.latitude);
      CAPTURE(reach);
      CAPTURE(stored.longitude);
      CAPTURE(stored.latitude);
      REQUIRE(found);
    }
  }
  CHECK(inside > 10'000);
  // Of the earth's surface, less than a ten-thousandth for an area of at most 40 km.
  REQUIRE(small > 100);
  CHECK(static_cast<double>(searched) / small < std::pow(2, 52) / 10'000);
}

}  // namespace
}  // namespace holdfast::commands
