// Histories: what clients of a server asked, when, and what they got. The text format, one
// operation a line, fields separated by one blank:
//
//   MODEL KEY CLIENT START END OUTCOME OPERATION [ARGUMENT…] [= RESULT…]
//
// START and END are nanoseconds of one monotonic clock, END is `-` where nothing came back. OUTCOME
// is `ok`, `failed` (certainly not applied) or `doubt` (may take effect at any later time, or
// never); results are there for `ok` only. `~` is a missing value, F is 1 or 0. Values contain no
// blanks. Empty lines and lines that begin with `#` are skipped. The order of the lines means
// nothing.
//
//   register   write V          read = V            readrev = V REVISION    delete = F
//              cas EXPECTED V = F [REVISION]        casrev REVISION V = F [REVISION]
//              setnx V = F
//   counter    incr DELTA = N   read = N
//   lock       lock OWNER MS = TOKEN                unlock OWNER = F
//              extend OWNER MS = 1 TOKEN | 0 | notowner
//              info = OWNER TOKEN                   (`lock` and `info` may also be `= ~`)
//   append     append ELEMENT = BYTES               read = TEXT
#pragma once

#include <cstdint>
#include <istream>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace holdfast::linear {

enum class ModelKind { kRegister, kCounter, kLock, kAppend };
enum class Outcome { kOk, kFailed, kInDoubt };
enum class Kind {
  kWrite,
  kRead,
  kReadRevision,
  kCas,
  kCasRevision,
  kSetIfMissing,
  kDelete,
  kIncrement,
  kLock,
  kUnlock,
  kExtend,
  kInfo,
  kAppend,
};

inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
inline constexpr std::string_view kMissing = "~";

struct Operation {
  ModelKind model = ModelKind::kRegister;
  Kind kind = Kind::kRead;
  Outcome outcome = Outcome::kOk;
  std::string key;
  std::string client;
  int64_t start = 0;
  int64_t end = kNever;  // of an operation in doubt: kNever

  // The request.
  std::string value;     // written or appended; the owner of a lock
  std::string expected;  // by `cas`
  int64_t number = 0;    // the delta, the revision compared with, the lease in milliseconds

  // The reply.
  std::string seen;             // value or owner that was read; kMissing for none
  int64_t flag = 0;             // applied or not; kNotOwner
  int64_t seen_number = kNone;  // counter, revision, token or length

  static constexpr int64_t kNone = -1;
  static constexpr int64_t kNotOwner = 2;
};

// One line of the format above; the message of a failure says what is wrong with it.
Result<Operation> ParseOperation(std::string_view line);

// The line that ParseOperation reads.
std::string Format(const Operation& operation);

// Appends all operations of `in`; `name` is for the message of a failure.
Status ReadHistory(std::istream& in, const std::string& name, std::vector<Operation>* history);

}  // namespace holdfast::linear
