#include "storage/frame_reader.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace holdfast::storage::wal_internal {
namespace {

constexpr uint64_t kReadBytes = 1 << 20;

bool AllZero(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; });
}

}  // namespace

FrameReader::FrameReader(std::unique_ptr<RandomAccessFile> file, uint64_t size, uint64_t seed)
    : file_(std::move(file)), size_(size), seed_(seed) {}

Result<std::string_view> FrameReader::Bytes(uint64_t offset, size_t n) {
  CHECK(offset <= size_);
  n = static_cast<size_t>(std::min<uint64_t>(n, size_ - offset));
  if (offset < start_ || offset + n > start_ + window_.size()) {
    window_.resize(
        static_cast<size_t>(std::min(std::max<uint64_t>(n, kReadBytes), size_ - offset)));
    start_ = offset;
    auto got = file_->Read(offset, window_.size(), window_.data());
    if (!got.ok()) return got.status();
    if (got.value() != window_.size()) return Status::IoError("a file shrank while it was read");
  }
  return std::string_view(window_).substr(static_cast<size_t>(offset - start_), n);
}

Result<FrameReader::Found> FrameReader::Frame(uint64_t offset, FrameHeader* header,
                                              std::string_view* records, uint64_t* next) {
  auto head = Bytes(offset, kFrameHeaderBytes);
  if (!head.ok()) return head.status();
  if (AllZero(head.value())) return End(offset);
  if (!DecodeFrameHeader(seed_, offset, head.value(), header)) return Found::kInvalid;
  *next = AlignUp(offset + kFrameHeaderBytes + header->length);
  if (*next > size_) return Found::kInvalid;
  auto frame = Bytes(offset, static_cast<size_t>(*next - offset));
  if (!frame.ok()) return frame.status();
  *records = frame.value().substr(kFrameHeaderBytes, header->length);
  const bool valid = header->checksum == ChecksumRecords(seed_, offset, {records, 1}) &&
                     AllZero(frame.value().substr(kFrameHeaderBytes + header->length));
  return valid ? Found::kFrame : Found::kInvalid;
}

// A header of zeros ends the file if nothing but zeros follows.
Result<FrameReader::Found> FrameReader::End(uint64_t offset) {
  for (uint64_t at = offset; at < size_; at += kReadBytes) {
    auto bytes = Bytes(at, kReadBytes);
    if (!bytes.ok()) return bytes.status();
    if (!AllZero(bytes.value())) return Found::kInvalid;
  }
  return Found::kEnd;
}

Result<bool> FrameReader::WasDurable(uint64_t offset) {
  for (uint64_t at = AlignUp(offset + 1); at + kFrameHeaderBytes <= size_; at += kAlignment) {
    auto head = Bytes(at, kFrameHeaderBytes);
    if (!head.ok()) return head.status();
    FrameHeader header;
    if (DecodeFrameHeader(seed_, at, head.value(), &header) && header.synced_offset > offset) {
      return true;
    }
  }
  return false;
}

}  // namespace holdfast::storage::wal_internal
