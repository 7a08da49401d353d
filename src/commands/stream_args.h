// What the commands on streams have in common: ids and ranges of ids as clients write them, the
// stream of a key, entries in replies. Loop thread of the core that owns the partition.
#pragma once

#include <string_view>

#include "data/stream_object.h"
#include "engine/context.h"

namespace holdfast::commands {

// "ms" or "ms-seq"; `missing_seq` is the sequence number of the first form. False for anything
// else.
[[nodiscard]] bool ParseStreamId(std::string_view text, uint64_t missing_seq, data::StreamId* id);
// The same of args[i], with 0 as the missing number; on failure replies the error.
[[nodiscard]] bool ParseStreamId(engine::ExecContext& ctx, size_t i, data::StreamId* id);

// What XADD takes as an id.
struct NewStreamId {
  bool has_ms = false;   // else "*"
  bool has_seq = false;  // else "ms-*"
  data::StreamId id;
};
[[nodiscard]] bool ParseNewStreamId(engine::ExecContext& ctx, size_t i, NewStreamId* id);

// An end of a range: an id, "-" or "+", or "(" and an id that is not included. On failure replies
// the error.
[[nodiscard]] bool ParseRangeStart(engine::ExecContext& ctx, size_t i, data::StreamId* id);
[[nodiscard]] bool ParseRangeEnd(engine::ExecContext& ctx, size_t i, data::StreamId* id);

// The errors of XGROUP and XINFO: args[2] has no group args[3]; options that don't suit args[1].
void ErrorNoGroup(engine::ExecContext& ctx);
void ErrorSubcommandSyntax(engine::ExecContext& ctx);

// REQUIRES: the key is a stream, or missing: then there is none.
const data::StreamObject* StreamAt(const engine::Key& key);

void ReplyStreamId(engine::ExecContext& ctx, data::StreamId id);
// The id, and an array of fields and values in turn.
void ReplyStreamEntry(engine::ExecContext& ctx, const data::StreamEntry& entry);
// Replies the entry of this id; nothing, and false, when there is none.
bool ReplyStreamEntryAt(engine::ExecContext& ctx, const data::StreamObject& stream,
                        data::StreamId id);

}  // namespace holdfast::commands
