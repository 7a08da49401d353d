// Rows of the geo commands.
#include "commands/handlers.h"
#include "commands/key_specs.h"
#include "commands/rows.h"

namespace holdfast::commands {
namespace {

// Enumerators only: flags, key flags, ACL categories, routes.
using enum engine::CommandFlag;
using enum engine::AclCategory;
using enum engine::KeyFlag;
using engine::Command;
using engine::Route;

constexpr Command kGeoRows[] = {
    {.name = "geoadd",
     .arity = -5,
     .flags = kWrite | kDenyOom,
     .keys = KeyAt(1, kKeyRw | kKeyUpdate),
     .route = Route::kKeys,
     .data = Geoadd,
     .acl = kAclGeo,
     .since = "3.2.0",
     .group = "geo",
     .complexity = "O(log(N)) for each item added, where N is the number of elements in the "
                   "sorted set.",
     .summary = "Add one or more geospatial items in the geospatial index represented using a "
                "sorted set",
     .syntax = "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]"},
    {.name = "geodist",
     .arity = -4,
     .flags = kReadonly,
     .keys = KeyAt(1, kKeyRo | kKeyAccess),
     .route = Route::kKeys,
     .data = Geodist,
     .acl = kAclGeo,
     .since = "3.2.0",
     .group = "geo",
     .complexity = "O(log(N))",
     .summary = "Returns the distance between two members of a geospatial index",
     .syntax = "key member1 member2 [M | KM | FT | MI]"},
    {.name = "geohash",
     .arity = -2,
     .flags = kReadonly,
     .keys = KeyAt(1, kKeyRo | kKeyAccess),
     .route = Route::kKeys,
     .data = Geohash,
     .acl = kAclGeo,
     .since = "3.2.0",
     .group = "geo",
     .complexity = "O(log(N)) for each member requested, where N is the number of elements in the "
                   "sorted set.",
     .summary = "Returns members of a geospatial index as standard geohash strings",
     .syntax = "key member [member ...]"},
    {.name = "geopos",
     .arity = -2,
     .flags = kReadonly,
     .keys = KeyAt(1, kKeyRo | kKeyAccess),
     .route = Route::kKeys,
     .data = Geopos,
     .acl = kAclGeo,
     .since = "3.2.0",
     .group = "geo",
     .complexity = "O(N) where N is the number of members requested.",
     .summary = "Returns longitude and latitude of members of a geospatial index",
     .syntax = "key member [member ...]"},
    {.name = "georadius",
     .arity = -6,
     .flags = kWrite | kDenyOom | kMovableKeys,
     .keys = KeyAt(1, kKeyRo | kKeyAccess),
     .more_keys = KeyBehind("STORE", 6, kKeyOw | kKeyUpdate),
     .last_keys = KeyBehind("STOREDIST", 6, kKeyOw | kKeyUpdate),
     .route = Route::kKeys,
     .data = Georadius,
     .acl = kAclGeo,
     .since = "3.2.0",
     .group = "geo",
     .complexity = "O(N+log(M)) where N is the number of elements inside the bounding box of the "
                   "circular area delimited by center and radius and M is the number of items "
                   "inside the index.",
     .summary = "Query a sorted set representing a geospatial index to fetch members matching a "
                "given maximum distance from a point",
     .syntax = "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] "
               "[COUNT count [ANY]] [ASC | DESC] [STORE key] [STOREDIST key]"},
    {.name = "georadius_ro",
     .arity = -6,
     .flags = kReadonly,
     .keys = KeyAt(1, kKeyRo | kKeyAccess),
     .route = Route::kKeys,
     .data = GeoradiusRo,
     .acl = kAclGeo,
     .since = "3.2.10",
     .group = "geo",
     .complexity = "O(N+log(M)) where N is the number of elements inside the bounding box of the "
                   "circular area delimited by center and radius and M is the number of items "
                   "inside the index.",
     .summary = "A read-only variant for GEORADIUS",
     .syntax = "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] "
               "[COUNT count [ANY]] [ASC | DESC]"},
    {.name = "georadiusbymember",
     .arity = -5,
     .flags = kWrite | kDenyOom | kMovableKeys,
     .keys = KeyAt(1, kKeyRo | kKeyAccess),
     .more_keys = KeyBehind("STORE", 5, kKeyOw | kKeyUpdate),
     .last_keys = KeyBehind("STOREDIST", 5, kKeyOw | kKeyUpdate),
     .route = Route::kKeys,
     .data = Georadiusbymember,
     .acl = kAclGeo,
     .since = "3.2.0",
     .group = "geo",
     .complexity = "O(N+log(M)) where N is the number of elements inside the bounding box of the "
                   "circular area delimited by center and radius and M is the number of items "
                   "inside the index.",
     .summary = "Query a sorted set representing a geospatial index to fetch members matching a "
                "given maximum distance from a member",
     .syntax =
         "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count "
         "[ANY]] [ASC | DESC] [STORE key] [STOREDIST key]"},
    {.name = "georadiusbymember_ro",
     .arity = -5,
     .flags = kReadonly,
     .keys = KeyAt(1, kKeyRo | kKeyAccess),
     .route = Route::kKeys,
     .data = GeoradiusbymemberRo,
     .acl = kAclGeo,
     .since = "3.2.10",
     .group = "geo",
     .complexity = "O(N+log(M)) where N is the number of elements inside the bounding box of the "
                   "circular area delimited by center and radius and M is the number of items "
                   "inside the index.",
     .summary = "A read-only variant for GEORADIUSBYMEMBER",
     .syntax =
         "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count "
         "[ANY]] [ASC | DESC]"},
    {.name = "geosearch",
     .arity = -7,
     .flags = kReadonly,
     .keys = KeyAt(1, kKeyRo | kKeyAccess),
     .route = Route::kKeys,
     .data = Geosearch,
     .acl = kAclGeo,
     .since = "6.2.0",
     .group = "geo",
     .complexity = "O(N+log(M)) where N is the number of elements in the grid-aligned bounding "
                   "box area around the shape provided as the filter and M is the number of items "
                   "inside the shape",
     .summary = "Query a sorted set representing a geospatial index to fetch members inside an "
                "area of a box or a circle.",
     .syntax = "key <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | "
               "FT | MI> | BYBOX width height <M | KM | FT | MI>> [ASC | DESC] "
               "[COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]"},
    {.name = "geosearchstore",
     .arity = -8,
     .flags = kWrite | kDenyOom,
     .keys = KeyAt(1, kKeyOw | kKeyUpdate),
     .more_keys = KeyAt(2, kKeyRo | kKeyAccess),
     .route = Route::kKeys,
     .data = Geosearchstore,
     .acl = kAclGeo,
     .since = "6.2.0",
     .group = "geo",
     .complexity = "O(N+log(M)) where N is the number of elements in the grid-aligned bounding "
                   "box area around the shape provided as the filter and M is the number of items "
                   "inside the shape",
     .summary = "Query a sorted set representing a geospatial index to fetch members inside an "
                "area of a box or a circle, and store the result in another key.",
     .syntax = "destination source <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS "
               "radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI>> [ASC | DESC] "
               "[COUNT count [ANY]] [STOREDIST]"},
};

}  // namespace

std::span<const Command> GeoRows() { return kGeoRows; }

}  // namespace holdfast::commands
