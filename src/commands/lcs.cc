// LCS: the longest common subsequence of two strings.
#include <algorithm>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "base/numbers.h"
#include "commands/handlers.h"
#include "engine/config.h"
#include "engine/context.h"

namespace holdfast::commands {
namespace {

using data::ObjectType;
using engine::ExecContext;
using engine::Key;

struct LcsOptions {
  bool length = false;
  bool indexes = false;
  bool with_match_length = false;
  int64_t min_match_length = 0;
};

bool ParseLcsOptions(ExecContext& ctx, LcsOptions* options) {
  for (size_t i = 3; i < ctx.args.size(); ++i) {
    if (EqualsIgnoreCase(ctx.args[i], "IDX")) {
      options->indexes = true;
    } else if (EqualsIgnoreCase(ctx.args[i], "LEN")) {
      options->length = true;
    } else if (EqualsIgnoreCase(ctx.args[i], "WITHMATCHLEN")) {
      options->with_match_length = true;
    } else if (EqualsIgnoreCase(ctx.args[i], "MINMATCHLEN") && i + 1 < ctx.args.size()) {
      if (!ctx.ParseInt(++i, &options->min_match_length)) return false;
    } else {
      ctx.Error(engine::kSyntaxError);
      return false;
    }
  }
  if (options->length && options->indexes) {
    ctx.Error("ERR If you want both the length and indexes, please just use IDX.");
    return false;
  }
  return true;
}

// Lengths of the longest common subsequence of all prefixes of `a` and `b`, the textbook's table.
class LcsTable {
 public:
  LcsTable(std::string_view a, std::string_view b) : a_(a), b_(b) {}

  // Bytes that Fill needs.
  uint64_t Bytes() const { return (a_.size() + 1) * (b_.size() + 1) * sizeof(uint32_t); }

  // False when there is no memory for it.
  [[nodiscard]] bool Fill() {
    const size_t columns = b_.size() + 1;
    cells_.reset(new (std::nothrow) uint32_t[(a_.size() + 1) * columns]);
    if (cells_ == nullptr) return false;
    std::fill_n(cells_.get(), columns, 0);
    for (size_t i = 1; i <= a_.size(); ++i) {
      const uint32_t* above = &cells_[(i - 1) * columns];
      uint32_t* row = &cells_[i * columns];
      row[0] = 0;
      for (size_t j = 1; j <= b_.size(); ++j) {
        row[j] = a_[i - 1] == b_[j - 1] ? above[j - 1] + 1 : std::max(above[j], row[j - 1]);
      }
    }
    return true;
  }

  // Of the first `i` bytes of a and the first `j` of b.
  uint32_t At(size_t i, size_t j) const { return cells_[i * (b_.size() + 1) + j]; }
  uint32_t length() const { return At(a_.size(), b_.size()); }

  // Where a piece of the subsequence is in both strings.
  struct Match {
    size_t a_first;
    size_t b_first;
    size_t length;
  };
  // The pieces, last first, and the subsequence itself.
  std::vector<Match> Trace(std::string* subsequence) const {
    std::vector<Match> matches;
    subsequence->resize(length());
    size_t free = length();
    bool inside = false;
    size_t i = a_.size();
    size_t j = b_.size();
    while (i > 0 && j > 0) {
      if (a_[i - 1] == b_[j - 1]) {
        --i;
        --j;
        (*subsequence)[--free] = a_[i];
        if (inside) {
          Match& match = matches.back();
          match = {i, j, match.length + 1};
        } else {
          matches.push_back({i, j, 1});
        }
        inside = true;
        continue;
      }
      inside = false;
      if (At(i - 1, j) > At(i, j - 1)) {
        --i;
      } else {
        --j;
      }
    }
    return matches;
  }

 private:
  std::string_view a_;
  std::string_view b_;
  std::unique_ptr<uint32_t[]> cells_;
};

void ReplyRange(ExecContext& ctx, size_t first, size_t length) {
  ctx.reply.Array(2);
  ctx.reply.Integer(static_cast<int64_t>(first));
  ctx.reply.Integer(static_cast<int64_t>(first + length - 1));
}

void ReplyIndexes(ExecContext& ctx, const LcsOptions& options, const LcsTable& table) {
  std::string subsequence;
  std::vector<LcsTable::Match> matches = table.Trace(&subsequence);
  std::erase_if(matches, [&options](const LcsTable::Match& match) {
    return static_cast<int64_t>(match.length) < options.min_match_length;
  });
  ctx.reply.Map(2);
  ctx.reply.Bulk("matches");
  ctx.reply.Array(matches.size());
  for (const LcsTable::Match& match : matches) {
    ctx.reply.Array(options.with_match_length ? 3 : 2);
    ReplyRange(ctx, match.a_first, match.length);
    ReplyRange(ctx, match.b_first, match.length);
    if (options.with_match_length) ctx.reply.Integer(static_cast<int64_t>(match.length));
  }
  ctx.reply.Bulk("len");
  ctx.reply.Integer(table.length());
}

}  // namespace

void Lcs(ExecContext& ctx) {
  const Key key_a = ctx.FindForRead(ctx.args[1]);
  const Key key_b = ctx.FindForRead(ctx.args[2]);
  if ((key_a && !key_a.Is(ObjectType::kString)) || (key_b && !key_b.Is(ObjectType::kString))) {
    ctx.Error("ERR The specified keys must contain string values");
    return;
  }
  LcsOptions options;
  if (!ParseLcsOptions(ctx, &options)) return;
  LcsTable table(key_a ? key_a.object->value() : std::string_view(),
                 key_b ? key_b.object->value() : std::string_view());
  // Values are below 2^32 bytes, so the product fits.
  if (table.Bytes() > ctx.config().max_bulk_bytes) {
    ctx.Error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
    return;
  }
  if (!table.Fill()) {
    ctx.Error("ERR Insufficient memory, failed allocating transient memory for LCS");
    return;
  }
  if (options.indexes) {
    ReplyIndexes(ctx, options, table);
  } else if (options.length) {
    ctx.reply.Integer(table.length());
  } else {
    std::string subsequence;
    table.Trace(&subsequence);
    ctx.reply.Bulk(subsequence);
  }
}

}  // namespace holdfast::commands
