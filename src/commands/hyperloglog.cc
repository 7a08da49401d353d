// HyperLogLog: PFADD, PFCOUNT, PFMERGE, and what looks inside.
#include "data/hyperloglog.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "base/numbers.h"
#include "commands/handlers.h"
#include "commands/server_handlers.h"
#include "engine/config.h"
#include "engine/partition.h"
#include "engine/session_context.h"

namespace holdfast::commands {
namespace {

using data::HllPatch;
using data::HllRegisters;
using data::HllUpdate;
using data::ObjectType;
using engine::ExecContext;
using engine::Expiry;
using engine::Key;

constexpr std::string_view kCorruptHll = "INVALIDOBJ Corrupted HLL object detected";
// More changed registers than this are written as one.
constexpr size_t kMaxPatches = 8;

// False, with the error replied, when the key is something else.
bool IsHllOrMissing(ExecContext& ctx, const Key& key) {
  if (!ctx.IsStringOrMissing(key)) return false;
  if (!key || data::IsHyperLogLog(key.object->value())) return true;
  ctx.Error("WRONGTYPE Key is not a valid HyperLogLog string value.");
  return false;
}

size_t SparseMaxBytes(const ExecContext& ctx) {
  return static_cast<size_t>(ctx.config().hll_sparse_max_bytes);
}

// The count is marked as old by the last of its bytes.
constexpr size_t kHllMarkAt = data::kHllCountAt + 7;

// REQUIRES: `value` is to be counted, and the key is missing or a HyperLogLog.
void PutHll(ExecContext& ctx, Key* key, std::string value) {
  if (*key) {
    // What the count was before stays readable, as in Redis.
    value.replace(data::kHllCountAt, 7, key->object->value(), data::kHllCountAt, 7);
  }
  ctx.Put(key, ObjectType::kString, value, Expiry::Keep(), /*raw=*/true);
}

// Only the registers that change go into the log. REQUIRES: the key is a dense one.
bool AddToDense(ExecContext& ctx, Key* key, const std::vector<HllUpdate>& updates) {
  std::string value(key->object->value());
  std::vector<HllPatch> patches;
  for (const HllUpdate& update : updates) {
    if (data::DenseHllRegister(value, update.index) >= update.rank) continue;
    patches.push_back(data::PatchDenseHll(value, update));
    value.replace(patches.back().offset, patches.back().bytes.size(), patches.back().bytes);
  }
  if (patches.empty()) return false;
  const std::string mark = data::EncodeHllCount(std::nullopt).substr(7);
  if (patches.size() > kMaxPatches) {
    value.replace(kHllMarkAt, 1, mark);
    PutHll(ctx, key, value);
    return true;
  }
  for (const HllPatch& patch : patches) ctx.Patch(key, patch.offset, patch.bytes, value.size());
  if (data::HllCachedCount(value).has_value()) {
    ctx.Patch(key, kHllMarkAt, mark, value.size());
  }
  return true;
}

// Raises `registers` to those of the keys args[first] on. `dense`: whether one of them is. False,
// with the error replied, when one is something else.
bool MergeKeys(ExecContext& ctx, size_t first, HllRegisters* registers, bool* dense) {
  for (size_t i = first; i < ctx.args.size(); ++i) {
    const Key key = ctx.FindForRead(ctx.args[i]);
    if (!IsHllOrMissing(ctx, key)) return false;
    if (!key) continue;
    *dense |= !data::IsSparseHll(key.object->value());
    if (!data::MergeHll(key.object->value(), registers)) {
      ctx.Error(kCorruptHll);
      return false;
    }
  }
  return true;
}

void CountOne(ExecContext& ctx, Key key) {
  if (!key) {
    ctx.reply.Integer(0);
    return;
  }
  const std::string_view value = key.object->value();
  std::optional<uint64_t> count = data::HllCachedCount(value);
  if (!count.has_value()) {
    HllRegisters registers{};
    if (!data::MergeHll(value, &registers)) {
      ctx.Error(kCorruptHll);
      return;
    }
    count = data::EstimateHll(registers);
    ctx.Patch(&key, data::kHllCountAt, data::EncodeHllCount(count), value.size());
  }
  ctx.reply.Integer(static_cast<int64_t>(*count));
}

}  // namespace

void Pfadd(ExecContext& ctx) {
  Key key = ctx.FindForWrite(ctx.args[1]);
  if (!IsHllOrMissing(ctx, key)) return;
  std::vector<HllUpdate> updates;
  updates.reserve(ctx.args.size() - 2);
  for (size_t i = 2; i < ctx.args.size(); ++i) updates.push_back(data::HllUpdateOf(ctx.args[i]));
  if (key && !data::IsSparseHll(key.object->value())) {
    const bool changed = AddToDense(ctx, &key, updates);
    if (changed) ctx.Notify(key, engine::kStringEvents, "pfadd");
    ctx.reply.Integer(changed ? 1 : 0);
    return;
  }
  std::string value = key ? std::string(key.object->value())
                          : data::EncodeHll(HllRegisters{}, /*may_be_sparse=*/true,
                                            SparseMaxBytes(ctx), std::nullopt);
  bool changed = false;
  if (!data::AddToSparseHll(updates, SparseMaxBytes(ctx), &value, &changed)) {
    ctx.Error(kCorruptHll);
    return;
  }
  changed |= !key;
  if (changed) {
    PutHll(ctx, &key, value);
    ctx.Notify(key, engine::kStringEvents, "pfadd");
  }
  ctx.reply.Integer(changed ? 1 : 0);
}

void Pfcount(ExecContext& ctx) {
  if (ctx.args.size() == 2) {
    const Key key = ctx.FindForRead(ctx.args[1]);
    if (IsHllOrMissing(ctx, key)) CountOne(ctx, key);
    return;
  }
  HllRegisters registers{};
  bool dense = false;
  if (!MergeKeys(ctx, 1, &registers, &dense)) return;
  ctx.reply.Integer(static_cast<int64_t>(data::EstimateHll(registers)));
}

void Pfmerge(ExecContext& ctx) {
  HllRegisters registers{};
  bool dense = false;
  if (!MergeKeys(ctx, 1, &registers, &dense)) return;
  Key target = ctx.FindForWrite(ctx.args[1]);
  PutHll(ctx, &target, data::EncodeHll(registers, !dense, SparseMaxBytes(ctx), std::nullopt));
  // As in Redis.
  ctx.Notify(target, engine::kStringEvents, "pfadd");
  ctx.reply.Ok();
}

void Pfdebug(ExecContext& ctx) {
  Key key = ctx.FindForWrite(ctx.args[2]);
  if (!key) {
    ctx.Error("ERR The specified key does not exist");
    return;
  }
  if (!IsHllOrMissing(ctx, key)) return;
  const std::string_view what = ctx.args[1];
  const std::string value(key.object->value());
  const bool sparse = data::IsSparseHll(value);
  HllRegisters registers{};
  if (!data::MergeHll(value, &registers)) {
    ctx.Error(kCorruptHll);
  } else if (EqualsIgnoreCase(what, "GETREG")) {
    ctx.reply.Array(registers.size());
    for (const uint8_t rank : registers) ctx.reply.Integer(rank);
  } else if (EqualsIgnoreCase(what, "DECODE")) {
    if (sparse) {
      ctx.reply.Bulk(data::DescribeSparseHll(value).value_or(std::string()));
    } else {
      ctx.Error("ERR HLL encoding is not sparse");
    }
  } else if (EqualsIgnoreCase(what, "ENCODING")) {
    ctx.reply.Simple(sparse ? "sparse" : "dense");
  } else if (EqualsIgnoreCase(what, "TODENSE")) {
    if (sparse) {
      PutHll(ctx, &key,
             data::EncodeHll(registers, /*may_be_sparse=*/false, 0, data::HllCachedCount(value)));
    }
    ctx.reply.Integer(sparse ? 1 : 0);
  } else {
    ctx.Error("ERR Unknown PFDEBUG subcommand '" + std::string(what) + "'");
  }
}

// Adds numbers to a sparse and to a dense one: both have to hold the same registers, and estimates
// have to be within four times the standard error.
void Pfselftest(engine::SessionContext& ctx) {
  constexpr uint64_t kElements = uint64_t{1} << 15;
  constexpr double kStandardError = 0.0081;  // 1.04 / sqrt(16384)
  constexpr size_t kNoLimit = 2 * data::kHllRegisters;
  std::string sparse = data::EncodeHll(HllRegisters{}, /*may_be_sparse=*/true, kNoLimit, 0);
  std::string dense = data::EncodeHll(HllRegisters{}, /*may_be_sparse=*/false, 0, 0);
  std::vector<HllUpdate> updates;
  for (uint64_t element = 1; element <= kElements; ++element) {
    updates.push_back(data::HllUpdateOf(std::to_string(element)));
    if (data::DenseHllRegister(dense, updates.back().index) < updates.back().rank) {
      const HllPatch patch = data::PatchDenseHll(dense, updates.back());
      dense.replace(patch.offset, patch.bytes.size(), patch.bytes);
    }
    const bool is_power_of_two = (element & (element - 1)) == 0;
    if (!is_power_of_two) continue;
    bool changed;
    HllRegisters of_sparse{};
    HllRegisters of_dense{};
    if (!data::IsSparseHll(sparse) || !data::AddToSparseHll(updates, kNoLimit, &sparse, &changed) ||
        !data::MergeHll(sparse, &of_sparse) || !data::MergeHll(dense, &of_dense) ||
        of_sparse != of_dense) {
      ctx.Error("ERR TESTFAILED registers differ after " + std::to_string(element) + " elements");
      return;
    }
    updates.clear();
    const auto exact = static_cast<double>(element);
    const auto estimate = static_cast<double>(data::EstimateHll(of_dense));
    if (std::abs(estimate - exact) > std::max(1.0, 4 * kStandardError * exact)) {
      ctx.Error("ERR TESTFAILED " + std::to_string(element) + " elements are estimated as " +
                FormatDouble(estimate));
      return;
    }
  }
  ctx.reply.Ok();
}

}  // namespace holdfast::commands
