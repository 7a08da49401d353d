// Error texts that several commands share, word for word as Redis words them.
#pragma once

#include <string_view>

namespace holdfast::engine {

inline constexpr std::string_view kWrongType =
    "WRONGTYPE Operation against a key holding the wrong kind of value";
inline constexpr std::string_view kSyntaxError = "ERR syntax error";
inline constexpr std::string_view kNotInteger = "ERR value is not an integer or out of range";
inline constexpr std::string_view kNotFloat = "ERR value is not a valid float";
inline constexpr std::string_view kNoSuchKey = "ERR no such key";
inline constexpr std::string_view kOutOfRange = "ERR index out of range";
inline constexpr std::string_view kOutOfMemory =
    "OOM command not allowed when used memory > 'maxmemory'.";
inline constexpr std::string_view kReplyTooLong =
    "ERR the reply would be longer than client-output-buffer-limit, or this server, allows";
inline constexpr std::string_view kCrossSlot =
    "CROSSSLOT Keys in request don't hash to the same slot";
inline constexpr std::string_view kDiskFull =
    "MISCONF Errors writing to disk are near: free space is below disk-reserve-bytes, so writes "
    "are refused until there is more";
inline constexpr std::string_view kInDoubt =
    "INDOUBT the write was proposed but its outcome is not known";
inline constexpr std::string_view kTryAgain =
    "TRYAGAIN the partition has no leader yet; nothing was applied";
inline constexpr std::string_view kNoCluster = "ERR This instance has cluster support disabled";
inline constexpr std::string_view kClusterDown =
    "CLUSTERDOWN the partition had no leader within cluster-retry-timeout; nothing was applied";
inline constexpr std::string_view kTooLargeToForward =
    "ERR the request or its reply is too large to be forwarded to another node";
inline constexpr std::string_view kBusy =
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
inline constexpr std::string_view kBusyFunction =
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";
inline constexpr std::string_view kUnblocked = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
inline constexpr std::string_view kFenced = "FENCED a higher fencing token has written this key";
inline constexpr std::string_view kNotOwner = "NOTOWNER the lock is held by another owner";

}  // namespace holdfast::engine
