#include "commands.h"

#include "base/hash.h"

namespace holdfast::sim {

std::string KeyOf(uint32_t partition, uint32_t partitions, const std::string& name, uint64_t which,
                  uint64_t different) {
  // Numbers are tried until the slot fits.
  for (uint64_t n = which;; n += different) {
    std::string key = "{" + name + std::to_string(n) + "}";
    if (static_cast<uint64_t>(KeySlot(key)) * partitions / kSlots == partition) return key;
  }
}

Command RandomCommand(uint32_t partition, uint32_t partitions, uint32_t first_db, Rng* rng) {
  const std::string key = KeyOf(partition, partitions, "", rng->Below(6), 7);
  const std::string other = KeyOf(partition, partitions, "", rng->Below(6), 7);
  const auto db = [first_db](uint64_t n) { return std::to_string(first_db + n); };
  const std::string number = std::to_string(rng->Below(100));
  switch (rng->Below(18)) {
    case 0:
      return {"set", key, std::string(rng->Below(300), 'v')};
    case 1:
      return {"set", key, number, "px", std::to_string(1 + rng->Below(2000))};
    case 2:
      return {"append", key, number};
    case 3:
      return {"setrange", key, std::to_string(rng->Below(2000)), number};
    case 4:
      return {"incrby", key, number};
    case 5:
      return {"del", key};
    case 6:
      return {"pexpire", key, std::to_string(1 + rng->Below(2000))};
    case 7:
      return {"persist", key};
    case 8:
      return {"rename", key, other};
    case 9:
      return {"copy", key, other, "db", db(rng->Below(3)), "replace"};
    case 10:
      return {"lock", "l" + key, "owner" + number, std::to_string(1 + rng->Below(3000))};
    case 11:
      return {"unlock", "l" + key, "owner" + number};
    case 12:
      return {"seqnext", "s" + key};
    case 13:
      return {"setbit", key, std::to_string(rng->Below(4000)), "1"};
    case 14:
      return rng->Chance(1, 10) ? Command{"flushdb"} : Command{"get", key};
    case 15:
      return rng->Chance(1, 4) ? Command{"swapdb", db(0), db(1)} : Command{"getdel", key};
    case 16:
      return {"move", key, db(1)};
    default:
      return {"set", key, number, "fence", std::to_string(1 + rng->Below(1000))};
  }
}

}  // namespace holdfast::sim
