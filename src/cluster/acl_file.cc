#include "cluster/acl_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace holdfast::cluster {
namespace {

constexpr size_t kMaxAclFileBytes = size_t{64} << 20;

// A descriptor that is closed whatever happens.
class AclFd {
 public:
  explicit AclFd(int fd) : fd_(fd) {}
  AclFd(const AclFd&) = delete;
  AclFd& operator=(const AclFd&) = delete;
  ~AclFd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  const int fd_;
};

Status WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status::FromErrno("write", errno);
    text.remove_prefix(static_cast<size_t>(n));
  }
  if (::fsync(fd) != 0) return Status::FromErrno("fsync", errno);
  return Status::Ok();
}

Status WriteNew(const std::string& path, std::string_view text) {
  const AclFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (file.get() < 0) return Status::FromErrno(path, errno);
  return WriteAll(file.get(), text);
}

Status SyncFolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const AclFd opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.get() < 0 || ::fsync(opened.get()) != 0) return Status::FromErrno(folder, errno);
  return Status::Ok();
}

}  // namespace

Result<std::string> ReadAclText(const std::string& path) {
  const AclFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return Status::FromErrno(path, errno);
  std::string text;
  char buffer[16384];
  while (true) {
    const ssize_t n = ::read(file.get(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status::FromErrno(path, errno);
    if (n == 0) return text;
    text.append(buffer, static_cast<size_t>(n));
    if (text.size() > kMaxAclFileBytes) return Status::InvalidArgument(path + " is too large");
  }
}

Status ReplaceAclText(const std::string& path, std::string_view text) {
  const std::string temporary = path + ".tmp-" + std::to_string(::getpid());
  Status status = WriteNew(temporary, text);
  if (status.ok() && std::rename(temporary.c_str(), path.c_str()) != 0) {
    status = Status::FromErrno(path, errno);
  }
  if (!status.ok()) {
    ::unlink(temporary.c_str());
    return status;
  }
  return SyncFolderOf(path);
}

}  // namespace holdfast::cluster
