// Positions on the earth, as members of sorted sets (geohash.h).
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/numbers.h"
#include "commands/geohash.h"
#include "commands/handlers.h"
#include "commands/sorted_sets.h"

namespace holdfast::commands {
namespace {

using data::SortedSetObject;
using engine::ExecContext;

// Reads a position from args[i] and args[i + 1].
bool ParsePosition(ExecContext& ctx, size_t i, Position* position) {
  if (!ParseDouble(ctx.args[i], &position->longitude) ||
      !ParseDouble(ctx.args[i + 1], &position->latitude)) {
    ctx.Error(engine::kNotFloat);
    return false;
  }
  if (std::fabs(position->longitude) <= kMaxLongitude &&
      std::fabs(position->latitude) <= kMaxLatitude) {
    return true;
  }
  char text[1024];
  std::snprintf(text, sizeof text, "ERR invalid longitude,latitude pair %f,%f", position->longitude,
                position->latitude);
  ctx.Error(text);
  return false;
}

// Metres in the unit that args[i] names.
bool ParseUnit(ExecContext& ctx, size_t i, double* meters) {
  static constexpr struct {
    std::string_view name;
    double meters;
  } kUnits[] = {{"m", 1}, {"km", 1000}, {"ft", 0.3048}, {"mi", 1609.34}};
  for (const auto& unit : kUnits) {
    if (!EqualsIgnoreCase(unit.name, ctx.args[i])) continue;
    *meters = unit.meters;
    return true;
  }
  ctx.Error("ERR unsupported unit provided. please use M, KM, FT, MI");
  return false;
}

// Four digits behind the point.
void ReplyDistance(ExecContext& ctx, double distance) {
  char text[64];
  const long long scaled = std::llrint(distance * 10000);
  const int length =
      std::snprintf(text, sizeof text, "%lld.%04lld", scaled / 10000, scaled % 10000);
  ctx.reply.Bulk(std::string_view(text, static_cast<size_t>(length)));
}

void ReplyPosition(ExecContext& ctx, const Position& position) {
  ctx.reply.Array(2);
  ctx.reply.HumanDouble(position.longitude);
  ctx.reply.HumanDouble(position.latitude);
}

std::optional<Position> PositionOf(const SortedSetObject* set, std::string_view member) {
  const std::optional<double> score = set != nullptr ? set->Score(member) : std::nullopt;
  if (!score.has_value()) return std::nullopt;
  return PositionOfScore(*score);
}

// How a command of this family says what it searches.
enum class GeoForm : uint8_t { kRadius, kRadiusByMember, kSearch };

struct GeoQuery {
  GeoForm form = GeoForm::kSearch;
  bool may_store = false;      // STORE and STOREDIST name a key
  bool always_stores = false;  // GEOSEARCHSTORE
  size_t target = 0;           // argument with the key to store to; 0: the members are replied
  bool store_distance = false;
  GeoArea area = {};
  double unit = 1;  // metres
  bool has_center = false;
  bool center_is_member = false;
  bool has_shape = false;
  bool with_distance = false;
  bool with_hash = false;
  bool with_position = false;
  bool any = false;
  int64_t count = 0;  // 0: all
  enum class Order : uint8_t { kNone, kNearest, kFarthest } order = Order::kNone;
};

constexpr std::string_view kNoSuchMember = "ERR could not decode requested zset member";

// A member that the search goes out from. When there is no set, the query is read to its end all
// the same, since how it is answered depends on the rest of it.
bool ParseCenterMember(ExecContext& ctx, size_t i, const SortedSetObject* set, GeoQuery* query) {
  if (set != nullptr) {
    const std::optional<Position> position = PositionOf(set, ctx.args[i]);
    if (!position.has_value()) {
      ctx.Error(kNoSuchMember);
      return false;
    }
    query->area.center = *position;
  }
  query->has_center = query->center_is_member = true;
  return true;
}

// "radius unit" from args[i] on.
bool ParseCircle(ExecContext& ctx, size_t i, GeoQuery* query) {
  double radius;
  if (!ParseDouble(ctx.args[i], &radius)) {
    ctx.Error("ERR need numeric radius");
    return false;
  }
  if (radius < 0) {
    ctx.Error("ERR radius cannot be negative");
    return false;
  }
  if (!ParseUnit(ctx, i + 1, &query->unit)) return false;
  query->area.is_box = false;
  query->area.radius = radius * query->unit;
  query->has_shape = true;
  return true;
}

// "width height unit" from args[i] on.
bool ParseBox(ExecContext& ctx, size_t i, GeoQuery* query) {
  double width;
  double height;
  if (!ParseDouble(ctx.args[i], &width)) {
    ctx.Error("ERR need numeric width");
    return false;
  }
  if (!ParseDouble(ctx.args[i + 1], &height)) {
    ctx.Error("ERR need numeric height");
    return false;
  }
  if (width < 0 || height < 0) {
    ctx.Error("ERR height or width cannot be negative");
    return false;
  }
  if (!ParseUnit(ctx, i + 2, &query->unit)) return false;
  query->area.is_box = true;
  query->area.width = width * query->unit;
  query->area.height = height * query->unit;
  query->has_shape = true;
  return true;
}

// One word that takes no value. False when args[i] is none.
bool TakeGeoFlag(std::string_view word, GeoQuery* query) {
  using Order = GeoQuery::Order;
  if (EqualsIgnoreCase(word, "WITHDIST")) {
    query->with_distance = true;
  } else if (EqualsIgnoreCase(word, "WITHHASH")) {
    query->with_hash = true;
  } else if (EqualsIgnoreCase(word, "WITHCOORD")) {
    query->with_position = true;
  } else if (EqualsIgnoreCase(word, "ANY")) {
    query->any = true;
  } else if (EqualsIgnoreCase(word, "ASC")) {
    query->order = Order::kNearest;
  } else if (EqualsIgnoreCase(word, "DESC")) {
    query->order = Order::kFarthest;
  } else if (query->always_stores && EqualsIgnoreCase(word, "STOREDIST")) {
    query->store_distance = true;
  } else {
    return false;
  }
  return true;
}

// Where and how far GEOSEARCH looks: args[*i] and its values.
bool TakeGeoArea(ExecContext& ctx, const SortedSetObject* set, size_t* i, GeoQuery* query) {
  const std::string_view word = ctx.args[*i];
  const size_t values = ctx.args.size() - *i - 1;
  const size_t at = *i + 1;
  const bool from_position = query->has_center && !query->center_is_member;
  if (EqualsIgnoreCase(word, "FROMMEMBER") && values >= 1 && !from_position) {
    *i += 1;
    return ParseCenterMember(ctx, at, set, query);
  }
  if (EqualsIgnoreCase(word, "FROMLONLAT") && values >= 2 && !query->center_is_member) {
    *i += 2;
    query->has_center = true;
    return ParsePosition(ctx, at, &query->area.center);
  }
  if (EqualsIgnoreCase(word, "BYRADIUS") && values >= 2 &&
      !(query->has_shape && query->area.is_box)) {
    *i += 2;
    return ParseCircle(ctx, at, query);
  }
  if (EqualsIgnoreCase(word, "BYBOX") && values >= 3 &&
      !(query->has_shape && !query->area.is_box)) {
    *i += 3;
    return ParseBox(ctx, at, query);
  }
  ctx.Error(engine::kSyntaxError);
  return false;
}

bool ParseGeoOptions(ExecContext& ctx, size_t first, const SortedSetObject* set, GeoQuery* query) {
  for (size_t i = first; i < ctx.args.size(); ++i) {
    const std::string_view word = ctx.args[i];
    const bool has_value = i + 1 < ctx.args.size();
    if (TakeGeoFlag(word, query)) continue;
    if (has_value && EqualsIgnoreCase(word, "COUNT")) {
      if (!ctx.ParseInt(++i, &query->count)) return false;
      if (query->count > 0) continue;
      ctx.Error("ERR COUNT must be > 0");
      return false;
    }
    const bool store = EqualsIgnoreCase(word, "STORE");
    if (has_value && query->may_store && (store || EqualsIgnoreCase(word, "STOREDIST"))) {
      query->target = ++i;
      query->store_distance = !store;
    } else if (query->form != GeoForm::kSearch) {
      ctx.Error(engine::kSyntaxError);
      return false;
    } else if (!TakeGeoArea(ctx, set, &i, query)) {
      return false;
    }
  }
  return true;
}

// What the options must not be, together.
bool CheckGeoQuery(ExecContext& ctx, const GeoQuery& query) {
  if (query.target != 0 && (query.with_distance || query.with_hash || query.with_position)) {
    const std::string who = query.always_stores ? "GEOSEARCHSTORE" : "STORE option in GEORADIUS";
    ctx.Error("ERR " + who + " is not compatible with WITHDIST, WITHHASH and WITHCOORD options");
    return false;
  }
  const std::string name(ctx.args[0]);
  if (query.form == GeoForm::kSearch && !query.has_center) {
    ctx.Error("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for " + name);
    return false;
  }
  if (query.form == GeoForm::kSearch && !query.has_shape) {
    ctx.Error("ERR exactly one of BYRADIUS and BYBOX can be specified for " + name);
    return false;
  }
  if (query.any && query.count == 0) {
    ctx.Error("ERR the ANY argument requires COUNT argument");
    return false;
  }
  return true;
}

struct GeoPoint {
  std::string_view member;
  double score;
  Position position;
  double distance;  // metres
};

// The members in the area, at most `limit` of them (0: all), in the order in which they are found.
std::vector<GeoPoint> FindPoints(const SortedSetObject& set, const GeoArea& area, uint64_t limit) {
  std::vector<GeoPoint> points;
  for (const auto& [begin, end] : CellsOf(area)) {
    const auto first = static_cast<double>(begin);
    const auto last = static_cast<double>(end);
    const uint64_t rank = set.CountBefore(
        [first](const SortedSetObject::Member& member) { return member.score < first; });
    set.Walk(rank, false, [&, last](const SortedSetObject::Member& member) {
      if (member.score >= last) return false;
      const Position position = PositionOfScore(member.score);
      const std::optional<double> distance = DistanceWithin(area, position);
      if (distance.has_value()) {
        points.push_back({member.name, member.score, position, *distance});
      }
      return limit == 0 || points.size() < limit;
    });
    if (limit != 0 && points.size() >= limit) break;
  }
  return points;
}

// Puts the points that are asked for in front, in order, and drops the others.
void OrderPoints(const GeoQuery& query, std::vector<GeoPoint>* points) {
  using Order = GeoQuery::Order;
  size_t wanted = points->size();
  if (query.count > 0) wanted = std::min<uint64_t>(wanted, static_cast<uint64_t>(query.count));
  Order order = query.order;
  // The nearest ones are meant, unless any will do.
  if (order == Order::kNone && query.count > 0 && !query.any) order = Order::kNearest;
  const auto middle = points->begin() + static_cast<ptrdiff_t>(wanted);
  if (order == Order::kNearest) {
    std::partial_sort(points->begin(), middle, points->end(),
                      [](const GeoPoint& a, const GeoPoint& b) { return a.distance < b.distance; });
  } else if (order == Order::kFarthest) {
    std::partial_sort(points->begin(), middle, points->end(),
                      [](const GeoPoint& a, const GeoPoint& b) { return a.distance > b.distance; });
  }
  points->resize(wanted);
}

void ReplyPoints(ExecContext& ctx, const GeoQuery& query, const std::vector<GeoPoint>& points) {
  const int extras = int{query.with_distance} + int{query.with_hash} + int{query.with_position};
  ctx.reply.Array(points.size());
  for (const GeoPoint& point : points) {
    if (extras > 0) ctx.reply.Array(static_cast<size_t>(extras) + 1);
    ctx.reply.Bulk(point.member);
    if (query.with_distance) ReplyDistance(ctx, point.distance / query.unit);
    if (query.with_hash) ctx.reply.Integer(static_cast<int64_t>(point.score));
    if (query.with_position) ReplyPosition(ctx, point.position);
  }
}

// Reads what stands before the options: `source` is the argument with the key. Returns the first
// option; nothing when an error was replied.
std::optional<size_t> ParseFixedPart(ExecContext& ctx, size_t source, const SortedSetObject* set,
                                     GeoQuery* query) {
  switch (query->form) {
    case GeoForm::kRadius:
      if (!ParsePosition(ctx, 2, &query->area.center) || !ParseCircle(ctx, 4, query)) break;
      return 6;
    case GeoForm::kRadiusByMember:
      // As in Redis nobody looks at the radius when there is no set.
      if (set == nullptr) return 5;
      if (!ParseCenterMember(ctx, 2, set, query) || !ParseCircle(ctx, 3, query)) break;
      return 5;
    case GeoForm::kSearch:
      return source + 1;
  }
  return std::nullopt;
}

void GeoCommand(ExecContext& ctx, size_t source, GeoQuery query) {
  const SortedSetObject* set;
  if (!FindSortedSet(ctx, ctx.args[source], &set)) return;
  const std::optional<size_t> first = ParseFixedPart(ctx, source, set, &query);
  if (!first.has_value() || !ParseGeoOptions(ctx, *first, set, &query) ||
      !CheckGeoQuery(ctx, query)) {
    return;
  }
  std::vector<GeoPoint> points;
  if (set != nullptr) {
    points = FindPoints(*set, query.area, query.any ? static_cast<uint64_t>(query.count) : 0);
    OrderPoints(query, &points);
  }
  if (query.target == 0) {
    ReplyPoints(ctx, query, points);
    return;
  }
  std::vector<ScoredMember> members;
  members.reserve(points.size());
  for (const GeoPoint& point : points) {
    members.emplace_back(point.member,
                         query.store_distance ? point.distance / query.unit : point.score);
  }
  const std::string_view event =
      query.form == GeoForm::kSearch ? "geosearchstore" : "georadiusstore";
  if (!StoreSortedSet(ctx, ctx.args[query.target], members, event)) return;
  ctx.reply.Integer(static_cast<int64_t>(members.size()));
}

}  // namespace

void Geoadd(ExecContext& ctx) {
  AddOptions options;
  size_t first = 2;
  for (; first < ctx.args.size(); ++first) {
    const std::string_view word = ctx.args[first];
    if (EqualsIgnoreCase(word, "NX")) {
      options.nx = true;
    } else if (EqualsIgnoreCase(word, "XX")) {
      options.xx = true;
    } else if (EqualsIgnoreCase(word, "CH")) {
      options.ch = true;
    } else {
      break;
    }
  }
  const size_t left = ctx.args.size() - first;
  if (left == 0 || left % 3 != 0 || (options.nx && options.xx)) {
    ctx.Error(engine::kSyntaxError);
    return;
  }
  std::vector<std::pair<std::string_view, double>> members;
  members.reserve(left / 3);
  for (size_t i = first; i < ctx.args.size(); i += 3) {
    Position position;
    if (!ParsePosition(ctx, i, &position)) return;
    members.emplace_back(ctx.args[i + 2], static_cast<double>(ScoreOfPosition(position)));
  }
  AddMembers(ctx, options, members);
}

void Geopos(ExecContext& ctx) {
  const SortedSetObject* set;
  if (!FindSortedSet(ctx, ctx.args[1], &set)) return;
  ctx.reply.Array(ctx.args.size() - 2);
  for (size_t i = 2; i < ctx.args.size(); ++i) {
    const std::optional<Position> position = PositionOf(set, ctx.args[i]);
    if (position.has_value()) {
      ReplyPosition(ctx, *position);
    } else {
      ctx.reply.NullArray();
    }
  }
}

void Geohash(ExecContext& ctx) {
  const SortedSetObject* set;
  if (!FindSortedSet(ctx, ctx.args[1], &set)) return;
  ctx.reply.Array(ctx.args.size() - 2);
  for (size_t i = 2; i < ctx.args.size(); ++i) {
    const std::optional<Position> position = PositionOf(set, ctx.args[i]);
    if (position.has_value()) {
      ctx.reply.Bulk(GeohashText(*position));
    } else {
      ctx.reply.Null();
    }
  }
}

void Geodist(ExecContext& ctx) {
  double unit = 1;
  if (ctx.args.size() > 5) {
    ctx.Error(engine::kSyntaxError);
    return;
  }
  if (ctx.args.size() == 5 && !ParseUnit(ctx, 4, &unit)) return;
  const SortedSetObject* set;
  if (!FindSortedSet(ctx, ctx.args[1], &set)) return;
  const std::optional<Position> a = PositionOf(set, ctx.args[2]);
  const std::optional<Position> b = PositionOf(set, ctx.args[3]);
  if (a.has_value() && b.has_value()) {
    ReplyDistance(ctx, DistanceBetween(*a, *b) / unit);
  } else {
    ctx.reply.Null();
  }
}

void Georadius(ExecContext& ctx) {
  GeoCommand(ctx, 1, {.form = GeoForm::kRadius, .may_store = true});
}
void GeoradiusRo(ExecContext& ctx) { GeoCommand(ctx, 1, {.form = GeoForm::kRadius}); }
void Georadiusbymember(ExecContext& ctx) {
  GeoCommand(ctx, 1, {.form = GeoForm::kRadiusByMember, .may_store = true});
}
void GeoradiusbymemberRo(ExecContext& ctx) {
  GeoCommand(ctx, 1, {.form = GeoForm::kRadiusByMember});
}
void Geosearch(ExecContext& ctx) { GeoCommand(ctx, 1, {.form = GeoForm::kSearch}); }
void Geosearchstore(ExecContext& ctx) {
  GeoCommand(ctx, 2, {.form = GeoForm::kSearch, .always_stores = true, .target = 1});
}

}  // namespace holdfast::commands
