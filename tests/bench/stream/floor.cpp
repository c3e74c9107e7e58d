// What the bytes alone cost: the least that any program can spend on them.
//
//   stream_floor copy IN OUT        IN to OUT as it is, by 64 KiB, and one fsync: what
//                                   pg_recvlogical writes
//   stream_floor daystream IN OUT   a prefix before each line, CRC-32C over all, by 256 KiB, and 20
//                                   fdatasyncs a second: what is in a daystream
//
// Prints CPU milliseconds, user and system. Both read IN from the page cache instead of a socket.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "crc32c.h"
#include "line_prefix.h"
#include "row_copy.h"
#include "write_buffer.h"

namespace {

using namespace daystream;

constexpr std::size_t kRead = 64 * 1024;
constexpr std::size_t kWrite = 256 * 1024;

void put(int fd, std::string_view bytes) {
  if (::write(fd, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    throw std::runtime_error("could not write");
  }
}

void copy(int in, int out) {
  std::vector<char> bytes(kRead);
  for (ssize_t got = 0; (got = ::read(in, bytes.data(), bytes.size())) > 0;) {
    put(out, {bytes.data(), static_cast<std::size_t>(got)});
  }
  ::fsync(out);
}

void as_daystream(int in, int out) {
  std::vector<char> bytes(kRead + 4096);
  std::size_t kept = 0;  // the beginning of a line
  LinePrefix prefix(Position{1507507200, 0});
  WriteBuffer buffer;
  std::uint32_t crc = 0;
  auto synced = std::chrono::steady_clock::now();
  for (ssize_t got = 0; (got = ::read(in, bytes.data() + kept, kRead)) > 0;) {
    const char* at = bytes.data();
    const char* const end = at + kept + got;
    char* const begin = buffer.room(6 * kRead);
    char* to = begin;
    for (;;) {
      const std::size_t head = prefix.copy_to(to);
      const std::size_t size = copy_line(to + head, at, end);
      if (size == 0) break;
      at += size;
      to += head + size;
      prefix.count_up();
    }
    buffer.grow(static_cast<std::size_t>(to - begin));
    kept = static_cast<std::size_t>(end - at);
    std::memmove(bytes.data(), at, kept);
    if (buffer.size() < kWrite) continue;
    const std::string_view blocks = buffer.view().substr(0, buffer.size() - buffer.size() % kWrite);
    crc = extend_crc(crc, blocks);
    put(out, blocks);
    buffer.drop_front(blocks.size());
    if (std::chrono::steady_clock::now() - synced < std::chrono::milliseconds(50)) continue;
    ::fdatasync(out);
    synced = std::chrono::steady_clock::now();
  }
  crc = extend_crc(crc, buffer.view());
  put(out, buffer.view());
  ::fdatasync(out);
  std::fprintf(stderr, "crc %08x\n", crc);  // so that it is not left out
}

double milliseconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 4) throw std::runtime_error("usage: see the head of floor.cpp");
  const int in = ::open(argv[2], O_RDONLY | O_CLOEXEC);
  const int out = ::open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (in < 0 || out < 0) throw std::runtime_error("could not open the files");
  std::string(argv[1]) == "copy" ? copy(in, out) : as_daystream(in, out);
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  std::printf("user %.1f sys %.1f ms\n", milliseconds(used.ru_utime), milliseconds(used.ru_stime));
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "stream_floor: %s\n", e.what());
  return 1;
}
