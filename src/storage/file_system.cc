#include "storage/file_system.h"

#include <utility>

namespace holdfast::storage {

Status WritableFile::Append(std::string_view bytes) {
  RETURN_IF_ERROR(WriteAt(append_offset_, {&bytes, 1}));
  append_offset_ += bytes.size();
  return Status::Ok();
}

Result<std::string> ReadFileRange(FileSystem* fs, const std::string& path, uint64_t offset,
                                  size_t n) {
  auto file = fs->OpenForReading(path);
  if (!file.ok()) return file.status();
  std::string bytes(n, '\0');
  auto got = file.value()->Read(offset, n, bytes.data());
  if (!got.ok()) return got.status();
  bytes.resize(got.value());
  return bytes;
}

Result<std::string> ReadFile(FileSystem* fs, const std::string& path, uint64_t max_bytes) {
  auto size = fs->FileSize(path);
  if (!size.ok()) return size.status();
  if (size.value() > max_bytes) {
    return Status::NoSpace(path + " is larger than " + std::to_string(max_bytes) + " bytes");
  }
  return ReadFileRange(fs, path, 0, size.value());
}

Status WriteFileAtomically(FileSystem* fs, const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".tmp";
  auto file = fs->OpenForWriting(temporary, FileSystem::OpenMode::kTruncate);
  if (!file.ok()) return file.status();
  RETURN_IF_ERROR(file.value()->Append(bytes));
  RETURN_IF_ERROR(file.value()->Sync());
  RETURN_IF_ERROR(file.value()->Close());
  RETURN_IF_ERROR(fs->Rename(temporary, path));
  return fs->SyncDirectory(DirectoryOf(path));
}

Status RemoveTree(FileSystem* fs, const std::string& path) {
  auto names = fs->List(path);
  if (!names.ok()) {
    return names.status().code() == Code::kNotFound ? Status::Ok() : names.status();
  }
  for (const std::string& name : names.value()) {
    const std::string child = path + "/" + name;
    // What cannot be listed is a file; the other way round would need one more call for each.
    auto is_directory = fs->List(child);
    if (is_directory.ok()) {
      RETURN_IF_ERROR(RemoveTree(fs, child));
    } else {
      RETURN_IF_ERROR(fs->Remove(child));
    }
  }
  RETURN_IF_ERROR(fs->RemoveDirectory(path));
  return fs->SyncDirectory(DirectoryOf(path));
}

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace holdfast::storage
