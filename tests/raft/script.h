// The language of the scenarios in tests/raft/scripts. A script is a list of commands, each
// followed by the output that it must have:
//
//     # a comment
//     > tick 1 0
//       hard-state term=1 vote=1
//       persist #1 last=0@0
//       standing candidate term=1
//
// A line that begins with "> " is a command; indented lines behind it are its exact output, "-"
// being an update with nothing in it. `5@2` is the entry of index 5 and term 2.
//
//   node ID voters=1,2,3 [term=T vote=N] [applied=5@2] [log=6@2,7@3] [learners=…] [outgoing=…]
//        [election=MS heartbeat=MS seed=N append-bytes=N inflight=N inflight-bytes=N
//         uncommitted=N reads=N retained=N transfer-retained=N promotion-lag=N lease-drift=MS]
//                                       a machine with this disk; starts it. lease-drift: reads
//                                       may be confirmed by a lease
//   crash ID / start ID                   power loss; process start
//   tick ID MS | tick ID +MS [xN]         prints only ticks that do something, unless it is one
//   timeout ID                            ticks by the heartbeat interval until something happens
//   propose ID TEXT | propose ID size=N
//   read ID ROUND [at=MS] [forward]       at: the caller knows the time
//   change ID voters=1,2 [learners=3]
//   transfer ID TO
//   snapshot A>B [crash]                  B gets the flushed state machine of A and switches it in;
//                                       crash: power loss right after the switch
//   sent A>B 5@2 | sent A>B failed        A's sending to B ended
//   compaction ID                         how far the log may be compacted
//   disk ID [N|all]                       the oldest N (default 1) writes become durable
//   persisted ID SEQUENCE [term=T]        reports that ticket (again), disk unchanged
//   flush ID INDEX / compact ID INDEX
//   deliver A>B [N|all|#K]                the oldest N (default 1) or the K-th message arrives
//   drop A>B [N|all|#K] / repeat A>B [#K] the network loses / duplicates
//   receive MESSAGE                       a message made by hand, written as in the output
//   network                               lists the messages on their way
//   settle                                delivers and completes everything; prints nothing
//   show ID                               standing, indexes and log
#pragma once

#include <string>
#include <vector>

namespace holdfast::raft::testing {

struct ScriptResult {
  // One line per difference between expected and real output, and per broken promise or command
  // that makes no sense; empty when the scenario passed.
  std::vector<std::string> failures;
  // The script with the real output in place of the expected one.
  std::string rewritten;
};

// `name` begins every failure.
ScriptResult RunScript(const std::string& name, const std::string& text);

}  // namespace holdfast::raft::testing
