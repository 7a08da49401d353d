// A request that runs scripts, on a stack of its own: when it takes long it is suspended, so that
// the loop serves everybody else, and goes on in slices.
//
//     StartScript ──▶ over within the first slice: like any other request
//          └──▶ suspended ──slices──▶ over: the callers of WhenScriptEnds get what it answers
//                   │
//                   ├─ until busy-reply-threshold: requests to this partition are held
//                   ├─ from then on: they are answered BUSY
//                   └─ leadership is lost: it ends with an error, and nothing of it was proposed
//
// While it is suspended its effects are in memory and in the open batch, which is not proposed:
// nobody sees them, since every other command is held or refused, and expiry and eviction pause.
//
// Loop thread of the partition's core only.
#pragma once

#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/fiber.h"
#include "engine/owned_args.h"
#include "engine/partition.h"

namespace holdfast::engine {

struct Partition::ScriptRun {
  ScriptRun() : fiber(kStackBytes) {}
  // Lua's own depth of calls is limited to 200 from C; commands and cjson run on top of that.
  static constexpr size_t kStackBytes = size_t{2} << 20;

  Fiber fiber;
  // Copies: what they came from doesn't outlive a suspension.
  std::vector<OwnedArgs> args;
  std::vector<Request> requests;
  std::string address;
  std::string name;
  std::string acl_user;
  Caller caller;

  std::vector<std::string> replies;
  Outcome outcome;
  int64_t began_ns = 0;
  int64_t slice_end_ns = 0;
  uint32_t effects_begin = 0;  // how many effects of the open batch are before its own
  size_t batch_begin = 0;      // where its effects begin in the open batch
  size_t events_begin = 0;     // and its events
  size_t current = 0;          // of requests, the one that runs
  bool suspended = false;
  bool abandoned = false;       // nothing that it still does matters
  bool killed = false;          // the script; requests behind it go on
  bool busy = false;            // for longer than busy-reply-threshold
  std::string_view end_reason;  // not empty: it has to end with this error
  WhenScriptEnded done;
  std::vector<HeldRequest> behind;  // what waits for its end
};

}  // namespace holdfast::engine
