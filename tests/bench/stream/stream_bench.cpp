// The parts of `./dev bench stream` that need a clock of their own: makes synthetic days, measures
// seeks, and the time from COMMIT to a local follower.
//
//   stream_bench make DIR DAYS MEGABYTES       DAYS days of about so much text each, and a little
//   of
//                                              one more, the current
//   stream_bench seek DIR COUNT                opens a Reader at random places of the days before
//                                              the last, and reads one transaction: ms
//   stream_bench latency CONNINFO COUNT PER_SECOND -- FOLLOWER…
//                                              commits, and waits for each to come out of
//                                              FOLLOWER's standard output: ms after COMMIT returned
//   stream_bench sync DIR COUNT                fdatasync of a line appended to a file: ms
#include <fcntl.h>
#include <fmt/format.h>
#include <libpq-fe.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "daystream/reader.h"
#include "daystream/writer.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kFirstDay = 1507507200;  // 2017-10-09
constexpr std::int64_t kDay = 86'400;

double milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

// As `name p50 p99 largest count`.
void print(const char* name, std::vector<double> times) {
  if (times.empty()) throw std::runtime_error("nothing was measured");
  std::sort(times.begin(), times.end());
  const auto at = [&](double part) {
    return times[static_cast<std::size_t>(part * static_cast<double>(times.size() - 1))];
  };
  fmt::print("{} {:.3f} {:.3f} {:.3f} {}\n", name, at(0.5), at(0.99), times.back(), times.size());
}

int make(const std::string& directory, int days, std::uint64_t megabytes) {
  std::int64_t now = kFirstDay;
  daystream::WriterOptions options;
  options.clock = [&now](std::int64_t) { return now; };
  options.day_mark = [] { return daystream::MarkFacts{1, 1000, {}}; };
  daystream::Manifest manifest;
  manifest.name = "bench";
  daystream::Writer writer(directory, manifest, std::nullopt, options);
  std::mt19937_64 random(1);
  std::uint64_t number = 1000;
  std::string lines;
  const auto add_transaction = [&] {
    ++number;
    lines.clear();
    for (int row = 0; row < 100; ++row) {
      const std::uint64_t value = random();
      fmt::format_to(std::back_inserter(lines),
                     "_table\tt{}\t_xid\t{}\t_action\tinsert\tid\t{}\tv\t{}\tt\trow {:x} of the "
                     "table, as text\n",
                     row / 10, number & 0xFFFFFFFF, number * 100 + row, value % 1000, value);
    }
    fmt::format_to(std::back_inserter(lines),
                   "_xid\t{}\t_lsn\t{}\t_next\t{}\t_time\t{}.000000\t_action\tcommit",
                   number & 0xFFFFFFFF, daystream::Lsn{number * 1024}.text(), number + 1, now);
    writer.append(lines);
  };
  for (int day = 0; day < days; ++day) {
    const std::uint64_t begin = writer.appended_bytes();
    const std::uint64_t wanted = megabytes << 20;
    for (std::uint64_t done = 0; done <= wanted; done = writer.appended_bytes() - begin) {
      const auto part = static_cast<std::int64_t>(done * kDay / (wanted + 1));
      now = kFirstDay + day * kDay + std::min(part, kDay - 1);
      add_transaction();
      if (megabytes == 0) break;
    }
  }
  now = kFirstDay + days * kDay;
  add_transaction();
  writer.flush();
  return 0;
}

int seek(const std::string& directory, int count) {
  const auto bounds = daystream::Stream(directory).extent();
  if (!bounds) throw std::runtime_error("the daystream is empty");
  std::mt19937_64 random(2);
  std::vector<double> times;
  const std::int64_t last = bounds->last.c / kDay * kDay;
  for (int i = 0; i < count; ++i) {
    const std::int64_t c =
        bounds->first.c + static_cast<std::int64_t>(random() % (last - 10 - bounds->first.c));
    const auto begin = Clock::now();
    daystream::Reader reader(daystream::Stream(directory),
                             {daystream::Position{c, UINT64_MAX}, std::nullopt});
    if (reader.next() == nullptr) throw std::runtime_error("there is nothing there");
    times.push_back(milliseconds(Clock::now() - begin));
  }
  print("seek", times);
  return 0;
}

int sync(const std::string& directory, int count) {
  const std::string path = directory + "/stream_bench.sync";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) throw std::runtime_error("could not create " + path);
  std::vector<double> times;
  const std::string line(200, 'x');
  for (int i = 0; i < count; ++i) {
    if (::write(fd, line.data(), line.size()) < 0) throw std::runtime_error("could not write");
    const auto begin = Clock::now();
    if (::fdatasync(fd) != 0) throw std::runtime_error("could not sync");
    times.push_back(milliseconds(Clock::now() - begin));
  }
  ::close(fd);
  ::unlink(path.c_str());
  print("fdatasync", times);
  return 0;
}

// Reads a follower's lines and keeps when each token came.
class Follower {
 public:
  explicit Follower(char** argv) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::execvp(argv[0], argv);
      ::_exit(127);
    }
    ::close(ends[1]);
    in_ = ends[0];
    thread_ = std::thread([this] { read(); });
  }
  ~Follower() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
    thread_.join();
    ::close(in_);
  }
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

  // When the line with `token:N.` came.
  std::map<int, Clock::time_point> seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  void read() {
    std::string text;
    char buffer[65536];
    for (;;) {
      const ssize_t size = ::read(in_, buffer, sizeof buffer);
      if (size <= 0) return;
      const auto now = Clock::now();
      text.append(buffer, static_cast<std::size_t>(size));
      constexpr std::string_view kToken = "token:";
      std::size_t done = 0;
      for (;;) {
        const auto at = text.find(kToken, done);
        const auto end = at == std::string::npos ? at : text.find('.', at);
        if (end == std::string::npos) break;
        const std::lock_guard lock(mutex_);
        seen_.emplace(std::stoi(text.substr(at + kToken.size())), now);
        done = end;
      }
      // What may be the beginning of one stays.
      text.erase(0, std::max(done, text.size() > 40 ? text.size() - 40 : 0));
    }
  }

  pid_t pid_ = -1;
  int in_ = -1;
  std::mutex mutex_;
  std::map<int, Clock::time_point> seen_;
  std::thread thread_;
};

int latency(const std::string& conninfo, int count, int per_second, char** follower_argv) {
  PGconn* connection = PQconnectdb(conninfo.c_str());
  if (PQstatus(connection) != CONNECTION_OK) {
    throw std::runtime_error(PQerrorMessage(connection));
  }
  const auto insert = [&](int n) {
    const std::string sql = fmt::format("INSERT INTO latency VALUES ('token:{}.')", n);
    PGresult* result = PQexec(connection, sql.c_str());
    const bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    if (!good) throw std::runtime_error(PQerrorMessage(connection));
  };
  std::vector<Clock::time_point> returned;
  std::map<int, Clock::time_point> seen;
  {
    Follower follower(follower_argv);
    // It runs when the first lines come through.
    int n = -1;
    while (follower.seen().empty()) {
      insert(n--);
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    auto due = Clock::now();
    for (int i = 0; i < count; ++i) {
      due += std::chrono::microseconds(1'000'000 / per_second);
      std::this_thread::sleep_until(due);
      insert(i);
      returned.push_back(Clock::now());
    }
    for (int tries = 0; tries < 500; ++tries) {
      seen = follower.seen();
      if (seen.contains(count - 1)) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  PQfinish(connection);
  std::vector<double> times;
  for (int i = 0; i < count; ++i) {
    const auto found = seen.find(i);
    if (found == seen.end()) throw std::runtime_error(fmt::format("commit {} never came", i));
    // One that came before COMMIT returned to us took no time.
    const auto when = returned[static_cast<std::size_t>(i)];
    times.push_back(std::max(0.0, milliseconds(found->second - when)));
  }
  print("latency", times);
  return 0;
}

int run(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  if (command == "make" && argc == 5) {
    return make(argv[2], std::stoi(argv[3]), std::stoull(argv[4]));
  }
  if (command == "seek" && argc == 4) return seek(argv[2], std::stoi(argv[3]));
  if (command == "sync" && argc == 4) return sync(argv[2], std::stoi(argv[3]));
  if (command == "latency" && argc > 6 && std::strcmp(argv[5], "--") == 0) {
    return latency(argv[2], std::stoi(argv[3]), std::stoi(argv[4]), argv + 6);
  }
  throw std::runtime_error("usage: see the head of stream_bench.cpp");
}

}  // namespace

int main(int argc, char** argv) try { return run(argc, argv); } catch (const std::exception& e) {
  fmt::print(stderr, "stream_bench: {}\n", e.what());
  return 1;
}
