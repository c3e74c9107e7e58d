// Writes a file the way careful programs do, and says what failed: for fault_preload_test.cpp.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

namespace {

int fail(const char* call) {
  std::printf("%s: %s\n", call, std::strerror(errno));
  return 1;
}

}  // namespace

int main(int, char** argv) {
  const std::string folder = argv[1], other = argv[2];
  const int outside = open(other.c_str(), O_WRONLY | O_CREAT, 0600);
  if (outside < 0 || write(outside, "outside", 7) != 7 || fsync(outside) != 0) {
    return fail("outside");
  }
  const std::string temporary = folder + "/new", final_name = folder + "/file";
  const int fd = open(temporary.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (fd < 0) return fail("open");
  ssize_t n = write(fd, "0123456789", 10);
  if (n < 0) return fail("write");
  if (n < 10) {
    std::printf("short %zd\n", n);
    n = write(fd, &"0123456789"[n], 10 - static_cast<std::size_t>(n));
    if (n < 0) return fail("write");
  }
  if (pwrite(fd, "abc", 3, 0) != 3) return fail("pwrite");
  char back[3];
  if (pread(fd, back, 3, 0) != 3) return fail("pread");
  if (ftruncate(fd, 8) != 0) return fail("ftruncate");
  if (fdatasync(fd) != 0) return fail("fdatasync");
  if (fsync(fd) != 0) return fail("fsync");
  if (rename(temporary.c_str(), final_name.c_str()) != 0) return fail("rename");
  std::puts("done");
  return 0;
}
