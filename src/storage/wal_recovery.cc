// Reading what older boots left: order, torn tails, corruption. The rules are in wal.h.
#include <algorithm>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "storage/frame_reader.h"
#include "storage/wal.h"
#include "storage/wal_format.h"

namespace holdfast::storage {
namespace {

using wal_internal::FrameHeader;
using wal_internal::FrameReader;
using wal_internal::HeaderState;
using wal_internal::kSegmentHeaderBytes;
using wal_internal::SegmentId;

constexpr size_t kRewriteBytes = size_t{1} << 20;

class Recovery {
 public:
  Recovery(FileSystem* fs, const std::string& directory, uint64_t node_id, uint64_t boot,
           absl::FunctionRef<Status(const WalRecord&)> visitor)
      : fs_(fs), directory_(directory), node_id_(node_id), boot_(boot), visitor_(visitor) {}

  Result<WalRecovery> Run() {
    auto exists = fs_->Exists(directory_);
    if (!exists.ok()) return exists.status();
    if (exists.value()) {
      RETURN_IF_ERROR(FindSegments());
      for (size_t i = 0; i < ids_.size(); ++i) RETURN_IF_ERROR(ReadSegment(i));
      // Names that a killed process had created may not be durable yet either.
      RETURN_IF_ERROR(fs_->SyncDirectory(directory_));
    }
    result_.segments = segments_.size();
    result_.old_segments =
        std::make_shared<OldSegments>(fs_, directory_, std::move(segments_), result_.hard_states);
    return std::move(result_);
  }

 private:
  std::string PathOf(const SegmentId& id) const {
    return directory_ + "/" + wal_internal::SegmentName(id.boot, id.core, id.seq);
  }

  static Status Corrupt(const std::string& path, uint64_t offset, const std::string& what) {
    return Status::Corruption(path + " is damaged at offset " + std::to_string(offset) + ": " +
                              what);
  }

  // Lists the segments in order of replay.
  Status FindSegments() {
    auto names = fs_->List(directory_);
    if (!names.ok()) return names.status();
    for (const std::string& name : names.value()) {
      if (name.ends_with(".wal.tmp")) {  // of a recovery that was interrupted
        RETURN_IF_ERROR(fs_->Remove(directory_ + "/" + name));
        continue;
      }
      if (!name.ends_with(".wal")) continue;
      SegmentId id;
      id.node_id = node_id_;
      if (!wal_internal::ParseSegmentName(name, &id)) {
        return Status::Corruption(directory_ + "/" + name + ": not the name of a log segment");
      }
      if (id.boot >= boot_) {
        return Status::Unsupported(
            directory_ + "/" + name + " is from start " + std::to_string(id.boot) +
            " of this node, but its identity file says that this is start " +
            std::to_string(boot_) + "; was an old copy of the identity file restored?");
      }
      ids_.push_back(id);
    }
    std::sort(ids_.begin(), ids_.end(), [](const SegmentId& a, const SegmentId& b) {
      return std::tie(a.boot, a.core, a.seq) < std::tie(b.boot, b.core, b.seq);
    });
    return Status::Ok();
  }

  bool SameStream(const SegmentId& a, const SegmentId& b) const {
    return a.boot == b.boot && a.core == b.core;
  }

  Status ReadSegment(size_t i) {
    const SegmentId& id = ids_[i];
    const std::string path = PathOf(id);
    const bool last_of_stream = i + 1 == ids_.size() || !SameStream(id, ids_[i + 1]);
    const bool may_be_torn = last_of_stream && id.boot == ids_.back().boot;
    const bool has_previous = i > 0 && SameStream(ids_[i - 1], id) && ids_[i - 1].seq + 1 == id.seq;
    const uint64_t previous_end = has_previous ? end_ : 0;  // end_ is that of the segment before

    auto size = fs_->FileSize(path);
    if (!size.ok()) return size.status();
    auto file = fs_->OpenForReading(path);
    if (!file.ok()) return file.status();
    FrameReader reader(std::move(file).value(), size.value(), wal_internal::SegmentSeed(id));
    segments_.push_back({path, id.boot, id.core, id.seq, size.value(), {}});

    auto header = reader.Bytes(0, kSegmentHeaderBytes);
    if (!header.ok()) return header.status();
    uint64_t stated_previous_end = 0;
    switch (wal_internal::DecodeSegmentHeader(header.value(), id, &stated_previous_end)) {
      case HeaderState::kValid:
        break;
      case HeaderState::kInvalid:
        return TornHeader(id, &reader, may_be_torn, previous_end);
      case HeaderState::kOtherNode:
        return Status::Unsupported(path + " belongs to another node");
      case HeaderState::kOtherVersion:
        return Status::Unsupported(path + " was written by another version of Holdfast");
      case HeaderState::kMisnamed:
        return Status::Corruption(path + " was written under another name");
    }
    if (has_previous && stated_previous_end != previous_end) {
      return Corrupt(
          PathOf(ids_[i - 1]), previous_end,
          "the log ends here but should go on to " + std::to_string(stated_previous_end));
    }
    return ReadFrames(path, &reader, may_be_torn);
  }

  Status ReadFrames(const std::string& path, FrameReader* reader, bool may_be_torn) {
    end_ = kSegmentHeaderBytes;
    uint64_t durable = 0;  // what the last valid frame says
    while (true) {
      FrameHeader header;
      std::string_view records;
      uint64_t next = 0;
      auto found = reader->Frame(end_, &header, &records, &next);
      if (!found.ok()) return found.status();
      if (found.value() == FrameReader::Found::kEnd) break;
      if (found.value() == FrameReader::Found::kInvalid) {
        RETURN_IF_ERROR(CutTail(path, reader, may_be_torn));
        break;
      }
      RETURN_IF_ERROR(VisitRecords(path, records));
      durable = header.synced_offset;
      ++result_.frames;
      result_.bytes += next - end_;
      end_ = next;
    }
    return may_be_torn ? Rewrite(path, durable) : Status::Ok();
  }

  Status VisitRecords(const std::string& path, std::string_view records) {
    while (!records.empty()) {
      WalRecord record;
      Status status = DecodeWalRecord(&records, &record);
      if (!status.ok()) {
        return Status(status.code(),
                      path + ": frame at offset " + std::to_string(end_) + ": " + status.message());
      }
      Note(record);
      ++result_.records;
      RETURN_IF_ERROR(visitor_(record));
    }
    return Status::Ok();
  }

  // Keeps what removal has to know, as the writer does.
  void Note(const WalRecord& record) {
    if (record.kind == WalKind::kHardState) {
      result_.hard_states[record.partition] = {record.term, record.vote};
      return;
    }
    WalBatch::Run run{record.partition, record.index, record.index};
    if (record.kind == WalKind::kReset) ++run.first;
    const auto [last, first_time] = last_index_.try_emplace(record.partition, 0);
    if (!first_time && run.first <= last->second) {
      wal_internal::ReplaceEntries({segments_.data(), segments_.size() - 1}, run.partition,
                                   run.first);
    }
    last->second = run.last;
    wal_internal::AddRun(&segments_.back(), run);
  }

  // The frame at end_ is invalid: cuts it off when it is a torn tail.
  Status CutTail(const std::string& path, FrameReader* reader, bool may_be_torn) {
    if (!may_be_torn) {
      return Corrupt(path, end_, "a later segment shows that this one was complete");
    }
    auto was_durable = reader->WasDurable(end_);
    if (!was_durable.ok()) return was_durable.status();
    if (was_durable.value()) {
      return Corrupt(path, end_, "a later frame shows that this one was durable");
    }
    ++result_.torn_tails;
    result_.torn_bytes += reader->size() - end_;
    segments_.back().bytes = end_;
    return fs_->Truncate(path, end_);
  }

  // The creation of the segment was interrupted: nothing was acknowledged from it. It is replaced
  // and not removed, because its name proves that older boots have been recovered.
  Status TornHeader(const SegmentId& id, FrameReader* reader, bool may_be_torn,
                    uint64_t previous_end) {
    end_ = 0;
    const std::string path = PathOf(id);
    if (!may_be_torn) {
      return Corrupt(path, 0, "the header is invalid, and a later segment exists");
    }
    auto was_durable = reader->WasDurable(0);
    if (!was_durable.ok()) return was_durable.status();
    if (was_durable.value()) {
      return Corrupt(path, 0, "a later frame shows that the header was durable");
    }
    ++result_.torn_tails;
    result_.torn_bytes += reader->size();
    segments_.back().bytes = end_ = kSegmentHeaderBytes;
    return WriteFileAtomically(fs_, path, wal_internal::EncodeSegmentHeader(id, previous_end));
  }

  // Writes [from, end_) over itself and syncs: what the last frame covers may have been read from
  // memory that never reached the disk, and the raft core is about to rely on it.
  Status Rewrite(const std::string& path, uint64_t from) {
    auto file = fs_->OpenForWriting(path, FileSystem::OpenMode::kKeep);
    if (!file.ok()) return file.status();
    while (from < end_) {
      const auto n = static_cast<size_t>(std::min<uint64_t>(kRewriteBytes, end_ - from));
      auto bytes = ReadFileRange(fs_, path, from, n);
      if (!bytes.ok()) return bytes.status();
      if (bytes.value().size() != n) return Status::IoError(path + " shrank while it was read");
      const std::string_view part = bytes.value();
      RETURN_IF_ERROR(file.value()->WriteAt(from, {&part, 1}));
      from += n;
    }
    RETURN_IF_ERROR(file.value()->Sync());
    return file.value()->Close();
  }

  FileSystem* const fs_;
  const std::string directory_;
  const uint64_t node_id_;
  const uint64_t boot_;
  const absl::FunctionRef<Status(const WalRecord&)> visitor_;

  std::vector<SegmentId> ids_;
  std::vector<WalSegment> segments_;  // those read so far, the current one last
  absl::flat_hash_map<uint32_t, uint64_t> last_index_;
  uint64_t end_ = 0;  // of the valid frames of the segment read last
  WalRecovery result_;
};

}  // namespace

Result<WalRecovery> RecoverWal(FileSystem* fs, const std::string& directory, uint64_t node_id,
                               uint64_t boot, absl::FunctionRef<Status(const WalRecord&)> visitor) {
  CHECK(node_id != 0 && boot != 0);
  return Recovery(fs, directory, node_id, boot, visitor).Run();
}

}  // namespace holdfast::storage
