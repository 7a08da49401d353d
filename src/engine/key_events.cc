#include "engine/key_events.h"

#include <utility>

namespace holdfast::engine {
namespace {

struct Letter {
  char letter;
  uint32_t event_class;
};

// In the order in which Redis writes them; kOthers aren't a part of A.
constexpr Letter kClasses[] = {
    {'g', kGenericEvents}, {'$', kStringEvents},    {'l', kListEvents},    {'s', kSetEvents},
    {'h', kHashEvents},    {'z', kSortedSetEvents}, {'x', kExpiredEvents}, {'e', kEvictedEvents},
    {'t', kStreamEvents},  {'d', kModuleEvents},
};
constexpr Letter kOthers[] = {
    {'n', kNewKeyEvents}, {'K', kEventsOfKeys}, {'E', kEventsByName}, {'m', kKeyMissEvents}};

uint32_t ClassOf(char letter) {
  if (letter == 'A') return kAllEvents;
  for (const Letter& known : kClasses) {
    if (known.letter == letter) return known.event_class;
  }
  for (const Letter& known : kOthers) {
    if (known.letter == letter) return known.event_class;
  }
  return 0;
}

}  // namespace

bool ParseKeyEvents(std::string_view letters, uint32_t* classes) {
  uint32_t parsed = 0;
  for (const char letter : letters) {
    const uint32_t event_class = ClassOf(letter);
    if (event_class == 0) return false;
    parsed |= event_class;
  }
  *classes = parsed;
  return true;
}

std::string FormatKeyEvents(uint32_t classes) {
  std::string letters;
  if ((classes & kAllEvents) == kAllEvents) {
    letters += 'A';
  } else {
    for (const Letter& known : kClasses) {
      if ((classes & known.event_class) != 0) letters += known.letter;
    }
  }
  for (const Letter& known : kOthers) {
    if ((classes & known.event_class) != 0) letters += known.letter;
  }
  return letters;
}

}  // namespace holdfast::engine
