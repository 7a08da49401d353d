#include "commands/geohash.h"

#include <algorithm>
#include <cmath>

namespace holdfast::commands {
namespace {

constexpr int kMaxSteps = 26;  // bits of each coordinate
constexpr double kEarthRadius = 6372797.560856;
constexpr double kHalfCircle = 3.14159265358979323846;
constexpr double kDegree = kHalfCircle / 180;
// Half of the equator in the projection.
constexpr double kHalfTheWorld = 20037726.37;

// The bits of `value`, with a zero before each of them.
uint64_t Spread(uint32_t value) {
  uint64_t bits = value;
  bits = (bits | bits << 16) & 0x0000ffff0000ffff;
  bits = (bits | bits << 8) & 0x00ff00ff00ff00ff;
  bits = (bits | bits << 4) & 0x0f0f0f0f0f0f0f0f;
  bits = (bits | bits << 2) & 0x3333333333333333;
  return (bits | bits << 1) & 0x5555555555555555;
}

// Every second bit, from the lowest one on.
uint32_t Gather(uint64_t bits) {
  bits &= 0x5555555555555555;
  bits = (bits | bits >> 1) & 0x3333333333333333;
  bits = (bits | bits >> 2) & 0x0f0f0f0f0f0f0f0f;
  bits = (bits | bits >> 4) & 0x00ff00ff00ff00ff;
  bits = (bits | bits >> 8) & 0x0000ffff0000ffff;
  return static_cast<uint32_t>(bits | bits >> 16);
}

// Which of the 2^steps parts of [-limit, limit] the value is in.
uint32_t PartOfRange(double value, double limit, int steps) {
  const double offset = (value - -limit) / (limit - -limit);
  return static_cast<uint32_t>(offset * static_cast<double>(uint64_t{1} << steps));
}

// Where a part begins; its end is where the next one begins.
double BeginOfPart(uint32_t part, double limit, int steps) {
  const double offset = part * 1.0 / static_cast<double>(uint64_t{1} << steps);
  return -limit + offset * (limit - -limit);
}

double MiddleOfPart(uint32_t part, double limit) {
  const double middle =
      (BeginOfPart(part, limit, kMaxSteps) + BeginOfPart(part + 1, limit, kMaxSteps)) / 2;
  return std::clamp(middle, -limit, limit);
}

double LatitudeDistance(double a, double b) {
  return kEarthRadius * std::fabs(b * kDegree - a * kDegree);
}

// What an area reaches, in degrees. Longitudes may lie beyond 180.
struct Bounds {
  double west;
  double east;
  double south;
  double north;
};

Bounds BoundsOf(const GeoArea& area) {
  const double height = area.is_box ? area.height / 2 : area.radius;
  const double width = area.is_box ? area.width / 2 : area.radius;
  const auto& [longitude, latitude] = area.center;
  const double up = height / kEarthRadius / kDegree;
  // An area around a pole touches all meridians. A circle touches the outermost one where that is
  // its tangent; the corners of a box that are nearer to a pole are on it.
  const double outer = std::fabs(latitude) + up;
  double aside = kMaxLongitude;
  if (outer < 90 && area.is_box && width < kEarthRadius * kHalfCircle) {
    const double sine = std::sin(width / kEarthRadius / 2) / std::cos(outer * kDegree);
    if (sine < 1) aside = 2 * std::asin(sine) / kDegree;
  } else if (outer < 90 && !area.is_box) {
    const double sine = std::sin(width / kEarthRadius) / std::cos(latitude * kDegree);
    if (sine < 1) aside = std::asin(sine) / kDegree;
  }
  return {longitude - aside, longitude + aside, std::max(latitude - up, -kMaxLatitude),
          std::min(latitude + up, kMaxLatitude)};
}

// A number of bits with which nine cells mostly cover a circle.
int EstimateSteps(double radius, double latitude) {
  if (radius == 0) return kMaxSteps;
  int steps = -1;
  for (double covered = radius; covered < kHalfTheWorld; covered *= 2) ++steps;
  // Cells get narrow towards the poles.
  if (std::fabs(latitude) > 66) --steps;
  if (std::fabs(latitude) > 80) --steps;
  return std::clamp(steps, 1, kMaxSteps);
}

// The cell of a position, its borders in degrees.
struct Cell {
  uint32_t x;
  uint32_t y;
  int steps;
  double west;
  double east;
  double south;
  double north;
};

Cell CellAt(const Position& position, int steps) {
  Cell cell;
  // The very end of a range belongs to the last part here.
  const uint32_t last = (1u << steps) - 1;
  cell.x = std::min(PartOfRange(position.longitude, kMaxLongitude, steps), last);
  cell.y = std::min(PartOfRange(position.latitude, kMaxLatitude, steps), last);
  cell.steps = steps;
  cell.west = BeginOfPart(cell.x, kMaxLongitude, steps);
  cell.east = BeginOfPart(cell.x + 1, kMaxLongitude, steps);
  cell.south = BeginOfPart(cell.y, kMaxLatitude, steps);
  cell.north = BeginOfPart(cell.y + 1, kMaxLatitude, steps);
  return cell;
}

// The scores of one cell, unless they are there already.
void AddCell(int64_t x, int64_t y, int steps, std::vector<ScoreRange>* ranges) {
  const uint64_t prefix = Spread(static_cast<uint32_t>(x)) << 1 | Spread(static_cast<uint32_t>(y));
  const int shift = 2 * (kMaxSteps - steps);
  const ScoreRange range{prefix << shift, (prefix + 1) << shift};
  const bool known = std::any_of(ranges->begin(), ranges->end(), [&range](const ScoreRange& other) {
    return other.begin == range.begin;
  });
  if (!known) ranges->push_back(range);
}

// Whether the cell and those around it cover everything.
bool Covers(const Cell& cell, const Bounds& bounds) {
  const double width = cell.east - cell.west;
  const double height = cell.north - cell.south;
  return cell.west - width <= bounds.west && cell.east + width >= bounds.east &&
         cell.south - height <= bounds.south && cell.north + height >= bounds.north;
}

}  // namespace

uint64_t ScoreOfPosition(const Position& position) {
  return Spread(PartOfRange(position.longitude, kMaxLongitude, kMaxSteps)) << 1 |
         Spread(PartOfRange(position.latitude, kMaxLatitude, kMaxSteps));
}

Position PositionOfScore(double score) {
  constexpr double kLastScore = 18014398509481983.0;  // with a bit more for either end of a range
  const auto bits = static_cast<uint64_t>(std::clamp(score, 0.0, kLastScore));
  return {MiddleOfPart(Gather(bits >> 1), kMaxLongitude), MiddleOfPart(Gather(bits), kMaxLatitude)};
}

std::string GeohashText(const Position& position) {
  static constexpr char kAlphabet[] = "0123456789bcdefghjkmnpqrstuvwxyz";
  const uint64_t bits = Spread(PartOfRange(position.longitude, 180, kMaxSteps)) << 1 |
                        Spread(PartOfRange(position.latitude, 90, kMaxSteps));
  // 52 bits make ten characters; the eleventh is there because clients expect it.
  std::string text;
  for (int shift = 47; shift > 0; shift -= 5) text.push_back(kAlphabet[bits >> shift & 0x1f]);
  text.push_back(kAlphabet[0]);
  return text;
}

double DistanceBetween(const Position& a, const Position& b) {
  const double v = std::sin((b.longitude * kDegree - a.longitude * kDegree) / 2);
  if (v == 0) return LatitudeDistance(a.latitude, b.latitude);
  const double latitude_a = a.latitude * kDegree;
  const double latitude_b = b.latitude * kDegree;
  const double u = std::sin((latitude_b - latitude_a) / 2);
  // The haversine formula.
  const double h = u * u + std::cos(latitude_a) * std::cos(latitude_b) * v * v;
  return 2.0 * kEarthRadius * std::asin(std::sqrt(h));
}

std::optional<double> DistanceWithin(const GeoArea& area, const Position& position) {
  if (area.is_box) {
    if (LatitudeDistance(position.latitude, area.center.latitude) > area.height / 2) {
      return std::nullopt;
    }
    const Position aside{area.center.longitude, position.latitude};
    if (DistanceBetween(position, aside) > area.width / 2) return std::nullopt;
  }
  const double distance = DistanceBetween(area.center, position);
  if (!area.is_box && distance > area.radius) return std::nullopt;
  return distance;
}

std::vector<ScoreRange> CellsOf(const GeoArea& area) {
  const Bounds bounds = BoundsOf(area);
  const double reach =
      area.is_box
          ? std::sqrt(area.width / 2 * (area.width / 2) + area.height / 2 * (area.height / 2))
          : area.radius;
  int steps = EstimateSteps(reach, area.center.latitude);
  Cell cell = CellAt(area.center, steps);
  while (steps > 1 && !Covers(cell, bounds)) cell = CellAt(area.center, --steps);

  static constexpr struct {
    int x;
    int y;
  } kAround[] = {{0, 0}, {0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}};
  const int64_t side = int64_t{1} << steps;
  std::vector<ScoreRange> ranges;
  for (const auto& [dx, dy] : kAround) {
    // Two columns are all there are, and each other's neighbours on both sides.
    if (steps > 1 && ((dx < 0 && cell.west < bounds.west) || (dx > 0 && cell.east > bounds.east))) {
      continue;
    }
    if ((dy < 0 && cell.south < bounds.south) || (dy > 0 && cell.north > bounds.north)) continue;
    const int64_t y = cell.y + int64_t{dy};
    if (dy != 0 && (y < 0 || y >= side)) continue;
    // The world is round.
    const int64_t x = dx == 0 ? cell.x : (cell.x + side + dx) % side;
    // Positions exactly at the end of a range are in a part of their own, behind the last one.
    const bool last_column = x == side - 1;
    const bool last_row = y == side - 1;
    AddCell(x, y, steps, &ranges);
    if (last_column) AddCell(side, y, steps, &ranges);
    if (last_row) AddCell(x, side, steps, &ranges);
    if (last_column && last_row) AddCell(side, side, steps, &ranges);
  }
  return ranges;
}

}  // namespace holdfast::commands
