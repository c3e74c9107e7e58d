// libfault_preload.so: see fault_preload.h. Loaded into programs under test, before libc.
//
// Plain C in C++ clothes: no allocation and no C++ runtime on the way of a call, as any thread may
// come here at any time, also before main() and from inside malloc.

// The plain names are what is defined here; glibc's headers would redirect or fortify them.
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "support/fault_shared.h"

namespace {

struct Settings {
  const char* calls = "";
  const char* path = "";
  std::size_t path_size = 0;
  const char* except = "";
  bool all_opens = false;
  long sync_delay_ms = 0;
  int sync_log = -1;
  const char* keep = "";     // files with this in their name are kept as they were synced,
  const char* keep_in = "";  // in this folder
  support::FaultShared* shared = nullptr;
};

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

int real_open(const char* path, int flags, mode_t mode) {
  static const auto call = next<int (*)(const char*, int, mode_t)>("open");
  return call(path, flags, mode);
}

const char* setting(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

// A descriptor out of the way of programs that expect theirs to be the smallest free ones.
int moved_up(int fd) {
  if (fd < 0) return fd;
  const int high = fcntl(fd, F_DUPFD_CLOEXEC, 900);
  if (high < 0) return fd;
  close(fd);
  return high;
}

Settings load() {
  Settings s;
  s.calls = setting("FAULT_CALLS");
  s.path = setting("FAULT_PATH");
  s.path_size = strlen(s.path);
  s.except = setting("FAULT_EXCEPT");
  s.all_opens = *setting("FAULT_ALL_OPENS") != '\0';
  s.sync_delay_ms = atol(setting("FAULT_SYNC_DELAY_MS"));
  s.keep = setting("FAULT_KEEP");
  s.keep_in = setting("FAULT_KEEP_IN");
  const int fd = real_open(setting("FAULT_COUNTS"), O_RDWR | O_CLOEXEC, 0);
  if (fd >= 0) {
    void* page =
        mmap(nullptr, sizeof(support::FaultShared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) s.shared = static_cast<support::FaultShared*>(page);
    close(fd);
  }
  if (*setting("FAULT_SYNC_LOG") != '\0') {
    s.sync_log = moved_up(
        real_open(setting("FAULT_SYNC_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  }
  return s;
}

// Before this runs, and while it does, every call passes: load() itself opens and maps.
constexpr Settings kNothing;
Settings loaded;
bool ready = false;
__attribute__((constructor)) void begin() {
  loaded = load();
  ready = true;
}

const Settings& settings() {
  return ready ? loaded : kNothing;
}

bool names(const char* list, const char* call) {
  const std::size_t size = strlen(call);
  for (const char* at = list; (at = strstr(at, call)) != nullptr; at += size) {
    if ((at == list || at[-1] == ',') && at[size] == ',') return true;
  }
  return false;
}

bool excepted(const char* path) {
  for (const char* part = settings().except; *part != '\0';) {
    const char* end = strchr(part, ',');
    if (memmem(path, strlen(path), part, static_cast<std::size_t>(end - part)) != nullptr) {
      return true;
    }
    part = end + 1;
  }
  return false;
}

bool under_prefix(const char* path) {
  const Settings& s = settings();
  return s.path_size > 0 && strncmp(path, s.path, s.path_size) == 0 && !excepted(path);
}

bool path_of(int fd, char (&path)[PATH_MAX]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return false;
  path[size] = '\0';
  return true;
}

// A relative name is meant from the working directory, or from `folder`.
bool path_matches(int folder, const char* path) {
  if (path[0] == '/') return under_prefix(path);
  char whole[2 * PATH_MAX];
  char base[PATH_MAX];
  if (folder == AT_FDCWD) {
    if (getcwd(base, sizeof base) == nullptr) return false;
  } else if (!path_of(folder, base)) {
    return false;
  }
  snprintf(whole, sizeof whole, "%s/%s", base, path);
  return under_prefix(whole);
}

bool descriptor_matches(int fd) {
  const int before = errno;
  char path[PATH_MAX];
  const bool matches = path_of(fd, path) && under_prefix(path);
  errno = before;
  return matches;
}

enum class Verdict { Pass, Fail, Short };

Verdict judge() {
  support::FaultShared* const shared = settings().shared;
  if (shared == nullptr) return Verdict::Pass;
  const std::uint64_t n = shared->matched.fetch_add(1) + 1;
  const std::uint64_t at = shared->at.load();
  if (at == 0 || n < at || (n > at && shared->sticky.load() == 0)) return Verdict::Pass;
  shared->struck.fetch_add(1);
  return shared->short_write.load() != 0 && n == at ? Verdict::Short : Verdict::Fail;
}

Verdict judge_descriptor(const char* call, int fd) {
  if (!names(settings().calls, call) || !descriptor_matches(fd)) return Verdict::Pass;
  return judge();
}

Verdict judge_path(const char* call, int folder, const char* path) {
  if (!names(settings().calls, call) || !path_matches(folder, path)) return Verdict::Pass;
  return judge();
}

template <typename Result>
Result failed() {
  errno = static_cast<int>(settings().shared->error.load());
  return static_cast<Result>(-1);
}

std::size_t half(std::size_t size) {
  return size < 2 ? size : size / 2;
}

// A copy of the file as it is now, in the folder for what is synced; `to` is its name there. False:
// it is none of those, or cannot be copied.
bool copy_aside(const char* path, const char* to) {
  const int copy = real_open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  const int from = real_open(path, O_RDONLY | O_CLOEXEC, 0);
  bool whole = copy >= 0 && from >= 0;
  static const auto real_read = next<ssize_t (*)(int, void*, size_t, off64_t)>("pread64");
  static const auto real_write = next<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  char bytes[1 << 16];
  for (off64_t at = 0; whole;) {
    const ssize_t got = real_read(from, bytes, sizeof bytes, at);
    if (got == 0) break;
    whole = got > 0 && real_write(copy, bytes, static_cast<size_t>(got), at) == got;
    at += got;
  }
  if (from >= 0) close(from);
  if (copy >= 0) close(copy);
  return whole;
}

int sync_with(const char* call, int fd) {
  const Settings& s = settings();
  char path[PATH_MAX];
  const bool matches = path_of(fd, path) && under_prefix(path);
  struct stat before {};
  if (matches && s.sync_log >= 0) fstat(fd, &before);
  if (matches && s.sync_delay_ms > 0) {
    const timespec pause{s.sync_delay_ms / 1000, (s.sync_delay_ms % 1000) * 1000000};
    nanosleep(&pause, nullptr);
  }
  if (matches && names(s.calls, call) && judge() != Verdict::Pass) return failed<int>();
  char kept[2 * PATH_MAX] = "";
  char fresh[2 * PATH_MAX + 8] = "";
  const char* const name = matches ? strrchr(path, '/') : nullptr;
  if (*s.keep != '\0' && name != nullptr && strstr(name, s.keep) != nullptr) {
    snprintf(kept, sizeof kept, "%s%s", s.keep_in, name);
    snprintf(fresh, sizeof fresh, "%s.new", kept);
    if (!copy_aside(path, fresh)) *kept = '\0';
  }
  static const auto real_fsync = next<int (*)(int)>("fsync");
  static const auto real_fdatasync = next<int (*)(int)>("fdatasync");
  const int result = strcmp(call, "fsync") == 0 ? real_fsync(fd) : real_fdatasync(fd);
  if (result == 0 && *kept != '\0') {
    static const auto real_rename = next<int (*)(const char*, const char*)>("rename");
    real_rename(fresh, kept);
  }
  if (result == 0 && matches && s.sync_log >= 0) {
    char line[PATH_MAX + 32];
    const int size =
        snprintf(line, sizeof line, "%lld\t%s\n", static_cast<long long>(before.st_size), path);
    static const auto real_write = next<ssize_t (*)(int, const void*, size_t)>("write");
    const ssize_t written = real_write(s.sync_log, line, static_cast<std::size_t>(size));
    static_cast<void>(written);
  }
  return result;
}

bool counts_as_open(int flags) {
  return settings().all_opens || (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0;
}

int open_at(int folder, const char* path, int flags, mode_t mode) {
  if (counts_as_open(flags) && judge_path("open", folder, path) != Verdict::Pass) {
    return failed<int>();
  }
  static const auto call = next<int (*)(int, const char*, int, mode_t)>("openat");
  return call(folder, path, flags, mode);
}

mode_t mode_in(int flags, va_list arguments) {
  if ((flags & O_CREAT) == 0 && (flags & O_TMPFILE) != O_TMPFILE) return 0;
  return static_cast<mode_t>(va_arg(arguments, int));
}

ssize_t write_at(int fd, const void* data, size_t size, off64_t offset) {
  const Verdict verdict = judge_descriptor("pwrite", fd);
  if (verdict == Verdict::Fail) return failed<ssize_t>();
  static const auto call = next<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  return call(fd, data, verdict == Verdict::Short ? half(size) : size, offset);
}

ssize_t read_at(int fd, void* data, size_t size, off64_t offset) {
  if (judge_descriptor("pread", fd) != Verdict::Pass) return failed<ssize_t>();
  static const auto call = next<ssize_t (*)(int, void*, size_t, off64_t)>("pread64");
  return call(fd, data, size, offset);
}

int truncate_to(int fd, off64_t size) {
  if (judge_descriptor("ftruncate", fd) != Verdict::Pass) return failed<int>();
  static const auto call = next<int (*)(int, off64_t)>("ftruncate64");
  return call(fd, size);
}

void* map(void* address, size_t size, int protection, int flags, int fd, off64_t offset) {
  if (fd >= 0 && judge_descriptor("mmap", fd) != Verdict::Pass) {
    errno = static_cast<int>(settings().shared->error.load());
    return MAP_FAILED;
  }
  static const auto call = next<void* (*)(void*, size_t, int, int, int, off64_t)>("mmap64");
  return call(address, size, protection, flags, fd, offset);
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* data, size_t size) {
  const Verdict verdict = judge_descriptor("write", fd);
  if (verdict == Verdict::Fail) return failed<ssize_t>();
  static const auto call = next<ssize_t (*)(int, const void*, size_t)>("write");
  return call(fd, data, verdict == Verdict::Short ? half(size) : size);
}

ssize_t writev(int fd, const iovec* parts, int count) {
  const Verdict verdict = judge_descriptor("write", fd);
  if (verdict == Verdict::Fail) return failed<ssize_t>();
  if (verdict == Verdict::Short) {
    static const auto one = next<ssize_t (*)(int, const void*, size_t)>("write");
    return one(fd, parts[0].iov_base, half(parts[0].iov_len));
  }
  static const auto call = next<ssize_t (*)(int, const iovec*, int)>("writev");
  return call(fd, parts, count);
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  return write_at(fd, data, size, offset);
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  return write_at(fd, data, size, offset);
}

ssize_t pwritev(int fd, const iovec* parts, int count, off_t offset) {
  const Verdict verdict = judge_descriptor("write", fd);
  if (verdict == Verdict::Fail) return failed<ssize_t>();
  if (verdict == Verdict::Short) {
    static const auto one = next<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
    return one(fd, parts[0].iov_base, half(parts[0].iov_len), offset);
  }
  static const auto call = next<ssize_t (*)(int, const iovec*, int, off64_t)>("pwritev64");
  return call(fd, parts, count, offset);
}
ssize_t pwritev64(int fd, const iovec* parts, int count, off64_t offset) {
  return pwritev(fd, parts, count, offset);
}

ssize_t read(int fd, void* data, size_t size) {
  if (judge_descriptor("read", fd) != Verdict::Pass) return failed<ssize_t>();
  static const auto call = next<ssize_t (*)(int, void*, size_t)>("read");
  return call(fd, data, size);
}
ssize_t pread(int fd, void* data, size_t size, off_t offset) {
  return read_at(fd, data, size, offset);
}
ssize_t pread64(int fd, void* data, size_t size, off64_t offset) {
  return read_at(fd, data, size, offset);
}

// An instance is of no file.
int inotify_init1(int flags) __THROW {
  if (names(settings().calls, "inotify_init1") && judge() != Verdict::Pass) return failed<int>();
  static const auto call = next<int (*)(int)>("inotify_init1");
  return call(flags);
}
int inotify_add_watch(int fd, const char* path, uint32_t mask) __THROW {
  if (judge_path("inotify_add_watch", AT_FDCWD, path) != Verdict::Pass) return failed<int>();
  static const auto call = next<int (*)(int, const char*, uint32_t)>("inotify_add_watch");
  return call(fd, path, mask);
}

int fsync(int fd) {
  return sync_with("fsync", fd);
}
int fdatasync(int fd) {
  return sync_with("fdatasync", fd);
}

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  return open_at(AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  return open_at(AT_FDCWD, path, flags, mode);
}
int openat(int folder, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  return open_at(folder, path, flags, mode);
}
int openat64(int folder, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  return open_at(folder, path, flags, mode);
}
// NOLINTBEGIN(bugprone-reserved-identifier): what glibc makes of open() with _FORTIFY_SOURCE
int __open_2(const char* path, int flags) {
  return open_at(AT_FDCWD, path, flags, 0);
}
int __open64_2(const char* path, int flags) {
  return open_at(AT_FDCWD, path, flags, 0);
}
int __openat_2(int folder, const char* path, int flags) {
  return open_at(folder, path, flags, 0);
}
int __openat64_2(int folder, const char* path, int flags) {
  return open_at(folder, path, flags, 0);
}
// NOLINTEND(bugprone-reserved-identifier)
int creat(const char* path, mode_t mode) {
  return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int rename(const char* from, const char* to) noexcept {
  if (judge_path("rename", AT_FDCWD, to) != Verdict::Pass) return failed<int>();
  static const auto call = next<int (*)(const char*, const char*)>("rename");
  return call(from, to);
}
int renameat(int from_dir, const char* from, int to_dir, const char* to) noexcept {
  if (judge_path("rename", to_dir, to) != Verdict::Pass) return failed<int>();
  static const auto call = next<int (*)(int, const char*, int, const char*)>("renameat");
  return call(from_dir, from, to_dir, to);
}
int renameat2(int from_dir, const char* from, int to_dir, const char* to, unsigned flags) noexcept {
  if (judge_path("rename", to_dir, to) != Verdict::Pass) return failed<int>();
  static const auto call = next<int (*)(int, const char*, int, const char*, unsigned)>("renameat2");
  return call(from_dir, from, to_dir, to, flags);
}

int ftruncate(int fd, off_t size) noexcept {
  return truncate_to(fd, size);
}
int ftruncate64(int fd, off64_t size) noexcept {
  return truncate_to(fd, size);
}

int unlink(const char* path) noexcept {
  if (judge_path("unlink", AT_FDCWD, path) != Verdict::Pass) return failed<int>();
  static const auto call = next<int (*)(const char*)>("unlink");
  return call(path);
}
int unlinkat(int folder, const char* path, int flags) noexcept {
  if (judge_path("unlink", folder, path) != Verdict::Pass) return failed<int>();
  static const auto call = next<int (*)(int, const char*, int)>("unlinkat");
  return call(folder, path, flags);
}
int link(const char* from, const char* to) noexcept {
  if (judge_path("link", AT_FDCWD, to) != Verdict::Pass) return failed<int>();
  static const auto call = next<int (*)(const char*, const char*)>("link");
  return call(from, to);
}
int mkdir(const char* path, mode_t mode) noexcept {
  if (judge_path("mkdir", AT_FDCWD, path) != Verdict::Pass) return failed<int>();
  static const auto call = next<int (*)(const char*, mode_t)>("mkdir");
  return call(path, mode);
}

void* mmap(void* address, size_t size, int protection, int flags, int fd, off_t offset) noexcept {
  return map(address, size, protection, flags, fd, offset);
}
void* mmap64(void* address, size_t size, int protection, int flags, int fd,
             off64_t offset) noexcept {
  return map(address, size, protection, flags, fd, offset);
}
}
