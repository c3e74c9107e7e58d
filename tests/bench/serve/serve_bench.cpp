// Many followers of one `daystream serve` on loopback: how long from durable to delivered, and what
// it costs. Every byte that every follower got is checked.
//
//   serve_bench [followers [stuck [changes_per_second [seconds]]]]
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "crc32c.h"
#include "daystream/writer.h"
#include "support/fd.h"
#include "support/process.h"
#include "support/scratch_dir.h"

namespace {

using daystream::Lsn;
using daystream::Writer;
using std::chrono::steady_clock;

constexpr int kFlushesPerSecond = 100;

std::string argument(int count, char** arguments, int index, const char* otherwise) {
  return index < count ? arguments[index] : otherwise;
}

// Reads a chunked response: how many bytes of the body came, and their CRC.
class Follower {
 public:
  explicit Follower(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const std::string request = "GET /bench/stream HTTP/1.1\r\nHost: bench\r\n\r\n";
    if (connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        send(fd_.get(), request.data(), request.size(), 0) !=
            static_cast<ssize_t>(request.size())) {
      throw std::runtime_error("could not ask the server");
    }
    fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
  }

  int fd() const { return fd_.get(); }
  std::uint64_t size() const { return size_; }
  std::uint32_t crc() const { return crc_; }

  // Takes what there is. False: the server has ended the response.
  bool take() {
    char bytes[65536];
    for (;;) {
      const ssize_t got = recv(fd_.get(), bytes, sizeof bytes, 0);
      if (got < 0 && errno == EAGAIN) return true;
      if (got <= 0) return false;
      feed({bytes, static_cast<std::size_t>(got)});
    }
  }

 private:
  void feed(std::string_view bytes) {
    while (!bytes.empty()) {
      if (left_ > 0) {
        const std::size_t size = std::min(left_, bytes.size());
        crc_ = daystream::extend_crc(crc_, bytes.substr(0, size));
        size_ += size;
        left_ -= size;
        bytes.remove_prefix(size);
        continue;
      }
      // A header line, the line end after a chunk, or the size of the next.
      const auto end = bytes.find('\n');
      line_.append(bytes.substr(0, end));
      if (end == std::string_view::npos) return;
      bytes.remove_prefix(end + 1);
      if (!line_.empty() && line_.back() == '\r') line_.pop_back();
      if (in_headers_) {
        in_headers_ = !line_.empty();
      } else if (!line_.empty()) {
        left_ = std::stoul(line_, nullptr, 16);
      }
      line_.clear();
    }
  }

  support::Fd fd_;
  bool in_headers_ = true;
  std::string line_;
  std::size_t left_ = 0;  // of this chunk
  std::uint64_t size_ = 0;
  std::uint32_t crc_ = 0;
};

double cpu_seconds(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text;
  std::getline(file, text);
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// When which size of the stream was durable.
struct Flushes {
  struct One {
    std::uint64_t size;
    steady_clock::time_point at;
  };
  std::mutex mutex;
  std::vector<One> all;
};

std::string change(std::uint64_t number) {
  return fmt::format(
      "_table\tflights\t_xid\t{0}\t_action\tupdate\tid\t{0}\tstatus\tboarding\tgate\tB{1}\n"
      "_xid\t{0}\t_lsn\t0/{2:X}\t_next\t{3}\t_time\t1507550400.000000\t_action\tcommit",
      number, number % 90, 0x10000 + number * 64, number + 1);
}

void write_changes(Writer& writer, int per_second, int seconds, Flushes& flushes) {
  auto next = steady_clock::now();
  std::uint64_t number = 0;
  for (int flush = 0; flush < seconds * kFlushesPerSecond; ++flush) {
    for (int i = 0; i < per_second / kFlushesPerSecond; ++i) writer.append(change(++number));
    writer.flush();
    {
      const std::lock_guard lock(flushes.mutex);
      flushes.all.push_back({writer.appended_bytes(), steady_clock::now()});
    }
    next += std::chrono::microseconds(1000000 / kFlushesPerSecond);
    std::this_thread::sleep_until(next);
  }
}

int port_of(const support::Process& server) {
  const std::string sign = "://127.0.0.1:";
  support::eventually([&] { return server.err().find(sign) != std::string::npos; });
  const std::string said = server.err();
  return std::stoi(said.substr(said.find(sign) + sign.size()));
}

// Followers, of which the last ones never read.
class Crowd {
 public:
  Crowd(int port, int followers, int stuck)
      : reading_(static_cast<std::size_t>(followers - stuck)), poll_(epoll_create1(EPOLL_CLOEXEC)) {
    for (int i = 0; i < followers; ++i) {
      all_.emplace_back(port);
      if (i >= followers - stuck) continue;
      epoll_event event{EPOLLIN, {.u32 = static_cast<std::uint32_t>(i)}};
      epoll_ctl(poll_.get(), EPOLL_CTL_ADD, all_.back().fd(), &event);
    }
  }

  std::size_t reading() const { return reading_; }

  // Of those that read.
  template <typename Condition>
  std::size_t count(Condition&& condition) const {
    return static_cast<std::size_t>(
        std::count_if(all_.begin(), all_.begin() + static_cast<std::ptrdiff_t>(reading_),
                      std::forward<Condition>(condition)));
  }

  // Waits shortly. Calls `ready` first, which sees what was there when they were woken, then
  // `took` for each that has read, with its index.
  template <typename Ready, typename Took>
  void read(Ready&& ready, Took&& took) {
    epoll_event events[256];
    const int count = epoll_wait(poll_.get(), events, 256, 100);
    ready();
    for (int i = 0; i < count; ++i) {
      const std::uint32_t index = events[i].data.u32;
      if (!all_[index].take()) throw std::runtime_error("the server let a follower go");
      took(index, all_[index]);
    }
  }

  // All have the first bytes: they have been let in.
  void let_in(std::uint64_t bytes) {
    const auto end = steady_clock::now() + std::chrono::seconds(30);
    while (count([&](const Follower& one) { return one.size() >= bytes; }) < reading_) {
      if (steady_clock::now() > end) throw std::runtime_error("not all were let in");
      read([] {}, [](std::uint32_t, const Follower&) {});
    }
  }

 private:
  std::size_t reading_;
  support::Fd poll_;
  std::vector<Follower> all_;
};

// How long each flush took to each follower, sorted. Returns when all have all that was written, or
// at `deadline`.
std::vector<float> latencies_ms(Crowd& crowd, Flushes& flushes, const std::atomic<bool>& written,
                                const Writer& writer, steady_clock::time_point deadline) {
  std::vector<float> out;
  std::vector<std::size_t> next(crowd.reading(), 0);  // flush that each waits for
  std::vector<Flushes::One> known;
  bool done = false;
  while (!done && steady_clock::now() < deadline) {
    bool last = false;
    const auto ready = [&] {
      last = written;
      const std::lock_guard lock(flushes.mutex);
      known.insert(known.end(), flushes.all.begin() + static_cast<std::ptrdiff_t>(known.size()),
                   flushes.all.end());
    };
    crowd.read(ready, [&](std::uint32_t index, const Follower& follower) {
      const auto now = steady_clock::now();
      for (std::size_t& flush = next[index];
           flush < known.size() && known[flush].size <= follower.size(); ++flush) {
        const std::chrono::duration<float, std::milli> waited = now - known[flush].at;
        out.push_back(std::max(0.0F, waited.count()));
      }
    });
    const auto has_all = [&](const Follower& one) { return one.size() == writer.appended_bytes(); };
    done = last && crowd.count(has_all) == crowd.reading();
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string text_of_days(const std::filesystem::path& directory) {
  std::string text;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() != ".tsv") continue;  // one day, unless it is midnight
    std::ifstream day(entry.path(), std::ios::binary);
    text.append(std::istreambuf_iterator<char>(day), {});
  }
  return text;
}

int run(int count, char** arguments) {
  const int followers = std::stoi(argument(count, arguments, 1, "1000"));
  const int stuck = std::stoi(argument(count, arguments, 2, "200"));
  const int per_second = std::stoi(argument(count, arguments, 3, "1000"));
  const int seconds = std::stoi(argument(count, arguments, 4, "20"));
  rlimit files{65536, 65536};
  setrlimit(RLIMIT_NOFILE, &files);

  support::ScratchDir directory;
  daystream::Manifest manifest;
  manifest.name = "bench";
  Writer writer(directory.path(), manifest, std::nullopt, {});
  writer.mark(Lsn{1}, {1, 1, {}});
  writer.flush();
  const std::uint64_t before = writer.appended_bytes();

  support::Process server({support::program("daystream"), "serve", directory.path(), "--listen",
                           "127.0.0.1:0", "--most-per-address", "10000"});
  Crowd crowd(port_of(server), followers, stuck);
  crowd.let_in(before);  // before the clock starts

  Flushes flushes;
  std::atomic<bool> written{false};
  const double cpu_before = cpu_seconds(server.pid());
  const auto began = steady_clock::now();
  std::thread work([&] {
    write_changes(writer, per_second, seconds, flushes);
    written = true;
  });
  const auto latencies =
      latencies_ms(crowd, flushes, written, writer, began + std::chrono::seconds(seconds + 30));
  const std::chrono::duration<double> took = steady_clock::now() - began;
  work.join();
  const double cpu = cpu_seconds(server.pid()) - cpu_before;

  const std::string text = text_of_days(directory.path());
  const std::uint32_t expected = daystream::extend_crc(0, text);
  const std::size_t good = crowd.count(
      [&](const Follower& one) { return one.size() == text.size() && one.crc() == expected; });
  const auto percentile = [&](double part) {
    const auto last = static_cast<double>(latencies.size() - 1);
    return latencies.empty() ? 0.0F : latencies[static_cast<std::size_t>(part * last)];
  };
  fmt::print("{} followers, {} of them stuck, {} changes/s for {} s ({:.1f} MB each)\n", followers,
             stuck, per_second, seconds, static_cast<double>(text.size() - before) / 1e6);
  fmt::print("  every byte, in order: {} of {}\n", good, crowd.reading());
  fmt::print("  durable to delivered: p50 {:.1f} ms, p99 {:.1f} ms, most {:.1f} ms\n",
             percentile(0.5), percentile(0.99), percentile(1));
  fmt::print("  server: {:.2f} cores, {:.0f} MiB at most\n", cpu / took.count(),
             static_cast<double>(server.peak_resident_bytes()) / 1048576);
  return good == crowd.reading() ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return run(count, arguments);
  } catch (const std::exception& e) {
    fmt::print(stderr, "serve_bench: {}\n", e.what());
    return 1;
  }
}
