// Positions on the earth as scores of a sorted set.
//
// A score is a geohash of 52 bits: longitude and latitude, each as a fraction of its range in 26
// bits, with their bits in turn, the longitude's first. So the members of a square cell of the
// earth (a common prefix of the bits) have neighbouring scores. Latitudes end where the Mercator
// projection makes a square of the earth, as in Redis. The very ends of the ranges (180 degrees)
// are a part of their own behind the last one, and take a bit more. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::commands {

inline constexpr double kMaxLongitude = 180;
inline constexpr double kMaxLatitude = 85.05112878;

// In degrees.
struct Position {
  double longitude = 0;
  double latitude = 0;
};

// REQUIRES: |longitude| <= kMaxLongitude, |latitude| <= kMaxLatitude.
uint64_t ScoreOfPosition(const Position& position);
// The middle of the smallest cell; something within the ranges for a score that is no geohash.
Position PositionOfScore(double score);

// The position in 11 characters, as other software writes geohashes: latitudes up to 90 degrees.
std::string GeohashText(const Position& position);

// In metres, along a great circle.
double DistanceBetween(const Position& a, const Position& b);

// A circle, or a box whose sides run along meridians and parallels. In metres.
struct GeoArea {
  Position center;
  bool is_box = false;
  double radius = 0;
  double width = 0;
  double height = 0;
};

// How far from the center a position is, if it is in the area.
std::optional<double> DistanceWithin(const GeoArea& area, const Position& position);

// Scores [begin, end).
struct ScoreRange {
  uint64_t begin = 0;
  uint64_t end = 0;
};
// A few ranges that hold all positions of the area, none twice: that of its center first.
std::vector<ScoreRange> CellsOf(const GeoArea& area);

}  // namespace holdfast::commands
