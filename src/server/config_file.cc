#include "server/config_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/check.h"

namespace holdfast::server {
namespace {

constexpr size_t kMaxFileBytes = 1 << 20;

// Closes a descriptor at the end of its scope.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

Status WriteAll(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Status::FromErrno("write " + path, errno);
    text.remove_prefix(static_cast<size_t>(written));
  }
  return Status::Ok();
}

Status SyncDirectoryOf(const std::string& path) {
  std::string directory = std::filesystem::path(path).parent_path().string();
  if (directory.empty()) directory = ".";
  const Descriptor fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return Status::FromErrno("open " + directory, errno);
  if (fsync(fd.get()) != 0) return Status::FromErrno("fsync " + directory, errno);
  return Status::Ok();
}

// Everything between creating the temporary file and renaming it.
Status FillTemporary(int fd, const std::string& path, std::string_view text,
                     const std::string& temporary) {
  struct stat old;
  if (stat(path.c_str(), &old) != 0) return Status::FromErrno("stat " + path, errno);
  RETURN_IF_ERROR(WriteAll(fd, text, temporary));
  if (fchmod(fd, old.st_mode & 07777) != 0) return Status::FromErrno("chmod " + temporary, errno);
  if (fsync(fd) != 0) return Status::FromErrno("fsync " + temporary, errno);
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    return Status::FromErrno("rename " + temporary, errno);
  }
  return Status::Ok();
}

bool ContinuesEntry(std::string_view line) {
  return line.starts_with(' ') || line.starts_with('\t') || line.starts_with("- ") || line == "-";
}

}  // namespace

Result<std::string> ReadConfigFile(const std::string& path) {
  const Descriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return Status::FromErrno(path, errno);
  std::string text;
  char buffer[16384];
  for (;;) {
    const ssize_t got = read(fd.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Status::FromErrno(path, errno);
    if (got == 0) return text;
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > kMaxFileBytes) {
      return Status::InvalidArgument(path + ": larger than 1 MiB, so no configuration file");
    }
  }
}

Status ReplaceConfigFile(const std::string& path, std::string_view text) {
  std::string temporary = path + ".XXXXXX";
  {
    const Descriptor fd(mkostemp(temporary.data(), O_CLOEXEC));
    if (fd.get() < 0) return Status::FromErrno("create " + temporary, errno);
    const Status status = FillTemporary(fd.get(), path, text, temporary);
    if (!status.ok()) {
      unlink(temporary.c_str());
      return status;
    }
  }
  return SyncDirectoryOf(path);
}

ConfigFileEditor::ConfigFileEditor(std::string_view text) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines_.push_back({.text = std::string(text.substr(0, end)), .removed = false});
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
}

void ConfigFileEditor::ReplaceEntry(size_t line, std::string replacement) {
  CHECK(line < lines_.size());
  lines_[line].text = std::move(replacement);
  for (size_t i = line + 1; i < lines_.size() && ContinuesEntry(lines_[i].text); i++) {
    lines_[i].removed = true;
  }
}

void ConfigFileEditor::Append(std::string line) { appended_.push_back(std::move(line)); }

std::string ConfigFileEditor::Text() const {
  std::string text;
  for (const Line& line : lines_) {
    if (!line.removed) text += line.text + "\n";
  }
  for (const std::string& line : appended_) text += line + "\n";
  return text;
}

}  // namespace holdfast::server
