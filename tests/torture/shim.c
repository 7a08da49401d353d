// Preloaded into a node, this puts faults between it and the operating system. Without variables it
// does nothing.
//
//   SHIM_CONNECT   "17002=25012,17003=25013": a connection to a loopback port goes to another
//                           one, so that each pair of nodes can have a proxy of its own
//   SHIM_DIR       the files below it are those that the following is about
//   SHIM_FAIL      "sync:N" or "write:N": the Nth such call, and all behind it, fail with EIO
//   SHIM_LOSE      a file's name. When it appears, everything written since the file's last
//                           fsync or fdatasync is undone, as a power cut may do, and the process is
//                           killed. Names (created, renamed, removed files) stay as they are
//   SHIM_LOG       a file that gets a line for each injected fault
//
// Undoing needs what was there before each write, which is kept until the next sync. All calls on these
// files take one lock; that they are slower does no harm.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

// What a write replaced: `length` bytes at `offset`, of a file that was `size` long.
struct undo {
  struct undo* older;
  off_t size;
  off_t offset;
  size_t length;
  char bytes[];
};

struct file {
  struct file* next;
  dev_t device;
  ino_t inode;
  int fd;  // of its own, for reading and writing
  struct undo* newest;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file* files;
static char directory[PATH_MAX];
static const char* lose_file;
static long fail_sync_at, fail_write_at;  // 0: never
static long syncs, writes;

static int (*real_connect)(int, const struct sockaddr*, socklen_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static ssize_t (*real_write)(int, const void*, size_t);
static ssize_t (*real_writev)(int, const struct iovec*, int);
static ssize_t (*real_pwrite)(int, const void*, size_t, off_t);
static ssize_t (*real_pwritev)(int, const struct iovec*, int, off_t);
static int (*real_ftruncate)(int, off_t);

static void note(const char* text) {
  const char* name = getenv("SHIM_LOG");
  if (name == NULL) return;
  const int fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (fd < 0) return;
  syscall(SYS_write, fd, text, strlen(text));
  syscall(SYS_close, fd);
}

static int is_watched(int fd) {
  if (directory[0] == 0 || (lose_file == NULL && fail_sync_at == 0 && fail_write_at == 0)) return 0;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  const size_t prefix = strlen(directory);
  return strncmp(path, directory, prefix) == 0 && path[prefix] == '/';
}

static struct file* file_of(int fd) {
  struct stat status;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return NULL;
  for (struct file* file = files; file != NULL; file = file->next) {
    if (file->device == status.st_dev && file->inode == status.st_ino) return file;
  }
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const int own = open(link, O_RDWR | O_CLOEXEC);
  struct file* file = calloc(1, sizeof *file);
  if (own < 0 || file == NULL) abort();
  *file = (struct file){files, status.st_dev, status.st_ino, own, NULL};
  return files = file;
}

// Before a change of `length` bytes at `offset`; -1 stands for the descriptor's position.
static void remember(int fd, off_t offset, size_t length) {
  if (lose_file == NULL) return;
  struct file* file = file_of(fd);
  if (file == NULL) return;
  struct stat status;
  if (fstat(file->fd, &status) != 0) abort();
  if (offset < 0) {
    const int flags = fcntl(fd, F_GETFL);
    offset = flags & O_APPEND ? status.st_size : lseek(fd, 0, SEEK_CUR);
  }
  size_t there = 0;
  if (offset < status.st_size) there = (size_t)(status.st_size - offset);
  if (there > length) there = length;
  struct undo* undo = malloc(sizeof *undo + there);
  if (undo == NULL) abort();
  *undo = (struct undo){file->newest, status.st_size, offset, there};
  if (there > 0 && pread(file->fd, undo->bytes, there, offset) != (ssize_t)there) abort();
  file->newest = undo;
}

static void forget(int fd) {
  struct file* file = lose_file == NULL ? NULL : file_of(fd);
  while (file != NULL && file->newest != NULL) {
    struct undo* undo = file->newest;
    file->newest = undo->older;
    free(undo);
  }
}

static void lose_everything_unsynced(void) {
  char text[100];
  long undone = 0;
  for (struct file* file = files; file != NULL; file = file->next) {
    for (struct undo* undo = file->newest; undo != NULL; undo = undo->older, ++undone) {
      if (undo->length > 0) real_pwrite(file->fd, undo->bytes, undo->length, undo->offset);
      real_ftruncate(file->fd, undo->size);
    }
  }
  snprintf(text, sizeof text, "%ld unsynced writes lost\n", undone);
  note(text);
}

// Waits for the control file; holds the lock to the end, so nothing is written behind the loss.
static void* watch(void* unused) {
  while (access(lose_file, F_OK) != 0) usleep(2000);
  pthread_mutex_lock(&lock);
  lose_everything_unsynced();
  kill(getpid(), SIGKILL);
  return unused;
}

__attribute__((constructor)) static void start(void) {
  real_connect = dlsym(RTLD_NEXT, "connect");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_write = dlsym(RTLD_NEXT, "write");
  real_writev = dlsym(RTLD_NEXT, "writev");
  real_pwrite = dlsym(RTLD_NEXT, "pwrite");
  real_pwritev = dlsym(RTLD_NEXT, "pwritev");
  real_ftruncate = dlsym(RTLD_NEXT, "ftruncate");
  const char* name = getenv("SHIM_DIR");
  if (name != NULL && realpath(name, directory) == NULL) directory[0] = 0;
  const char* fail = getenv("SHIM_FAIL");
  if (fail != NULL && strncmp(fail, "sync:", 5) == 0) fail_sync_at = strtol(fail + 5, NULL, 10);
  if (fail != NULL && strncmp(fail, "write:", 6) == 0) fail_write_at = strtol(fail + 6, NULL, 10);
  lose_file = getenv("SHIM_LOSE");
  pthread_t thread;
  if (lose_file != NULL && directory[0] != 0) pthread_create(&thread, NULL, watch, NULL);
}

static int fails(long* count, long at, const char* what) {
  if (at == 0 || ++*count < at) return 0;
  if (*count == at) note(what);
  errno = EIO;
  return 1;
}

static int sync_file(int fd, int (*real)(int)) {
  if (!is_watched(fd)) return real(fd);
  pthread_mutex_lock(&lock);
  int result = -1;
  if (!fails(&syncs, fail_sync_at, "a sync failed with EIO\n")) {
    result = real(fd);
    if (result == 0) forget(fd);
  }
  pthread_mutex_unlock(&lock);
  return result;
}

int fsync(int fd) { return sync_file(fd, real_fsync); }
int fdatasync(int fd) { return sync_file(fd, real_fdatasync); }

static size_t total(const struct iovec* parts, int count) {
  size_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += parts[i].iov_len;
  return bytes;
}

#define WRAPPED(offset, length, call)                                       \
  if (!is_watched(fd)) return call;                                         \
  pthread_mutex_lock(&lock);                                                \
  ssize_t result = -1;                                                      \
  if (!fails(&writes, fail_write_at, "a write failed with EIO\n")) {        \
    remember(fd, offset, length);                                           \
    result = call;                                                          \
  }                                                                         \
  pthread_mutex_unlock(&lock);                                              \
  return result

ssize_t write(int fd, const void* data, size_t bytes) {
  WRAPPED(-1, bytes, real_write(fd, data, bytes));
}
ssize_t writev(int fd, const struct iovec* parts, int count) {
  WRAPPED(-1, total(parts, count), real_writev(fd, parts, count));
}
ssize_t pwrite(int fd, const void* data, size_t bytes, off_t offset) {
  WRAPPED(offset, bytes, real_pwrite(fd, data, bytes, offset));
}
ssize_t pwrite64(int fd, const void* data, size_t bytes, off_t offset) {
  WRAPPED(offset, bytes, real_pwrite(fd, data, bytes, offset));
}
ssize_t pwritev(int fd, const struct iovec* parts, int count, off_t offset) {
  WRAPPED(offset, total(parts, count), real_pwritev(fd, parts, count, offset));
}
ssize_t pwritev64(int fd, const struct iovec* parts, int count, off_t offset) {
  WRAPPED(offset, total(parts, count), real_pwritev(fd, parts, count, offset));
}

// What is cut off is remembered like something overwritten.
int ftruncate(int fd, off_t bytes) {
  if (!is_watched(fd)) return real_ftruncate(fd, bytes);
  pthread_mutex_lock(&lock);
  remember(fd, bytes, SSIZE_MAX);
  const int result = real_ftruncate(fd, bytes);
  pthread_mutex_unlock(&lock);
  return result;
}
int ftruncate64(int fd, off_t bytes) { return ftruncate(fd, bytes); }

static in_port_t proxy_of(in_port_t port) {
  const char* map = getenv("SHIM_CONNECT");
  for (const char* at = map; at != NULL && *at != 0; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
    char* end;
    const long from = strtol(at, &end, 10);
    if (*end == '=' && from == port) return (in_port_t)strtol(end + 1, NULL, 10);
  }
  return port;
}

int connect(int fd, const struct sockaddr* address, socklen_t length) {
  if (address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) {
    struct sockaddr_in changed = *(const struct sockaddr_in*)address;
    if ((ntohl(changed.sin_addr.s_addr) >> 24) == 127) {
      changed.sin_port = htons(proxy_of(ntohs(changed.sin_port)));
      return real_connect(fd, (const struct sockaddr*)&changed, sizeof changed);
    }
  }
  return real_connect(fd, address, length);
}
