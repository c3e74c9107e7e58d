// A nats-server of a test, with JetStream, or several that are a cluster; and a daystream to put
// there.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "remote/nats_link.h"
#include "stream_fixture.h"
#include "support/process.h"
#include "support/scratch_dir.h"

namespace nats_test {

using daystream::Lsn;
using daystream::Writer;
using daystream::test::transaction;
using daystream::test::WrittenStream;

class Broker {
 public:
  enum class JetStream { On, Off };

  // `more`: lines of its configuration.
  explicit Broker(int servers = 1, std::string more = {}, JetStream jetstream = JetStream::On);

  std::string address(const std::string& stream = "prod") const;  // nats://…/STREAM
  std::string address_of(int server, const std::string& stream = "prod") const;
  // Which server leads the stream's; nullopt: none does just now.
  std::optional<int> leader_of(const std::string& stream) const;
  void start(int server = 0);
  void kill(int server = 0);
  void signal(int number, int server = 0);
  bool running(int server) { return processes_.at(static_cast<std::size_t>(server))->running(); }
  void restart(int server = 0) {
    kill(server);
    start(server);
  }
  int port(int server = 0) const { return ports_.at(static_cast<std::size_t>(server)); }
  // What it has on disk.
  std::filesystem::path store(int server = 0) const;
  std::string log(int server = 0) const;

 private:
  void write_config(int server) const;

  const std::string more_;
  const JetStream jetstream_;
  support::ScratchDir folder_;
  std::vector<int> ports_;
  std::vector<int> routes_;
  std::vector<std::optional<support::Process>> processes_;
};

inline support::Result daystream_command(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), support::program("daystream"));
  return support::run(arguments);
}

inline support::Process daystream_process(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), support::program("daystream"));
  return support::Process(arguments);
}

// What `daystream cat` says of it.
inline support::Result cat(const std::string& address, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"cat", address});
  return daystream_command(std::move(more));
}

inline daystream::remote::NatsLink link_to(const std::string& address) {
  return daystream::remote::NatsLink(daystream::remote::NatsAddress::parse({}, address));
}

// A daystream that grows when it is told to.
struct Source : WrittenStream {
  // `id`: another one makes it another daystream, not a copy.
  explicit Source(int days = 3, const std::string& id = "den-1")
      : writer_(directory.path(), manifest_of(id), std::nullopt, options()) {
    writer_.mark(Lsn{0x1000}, {1, 1, {}});
    add_days(days);
  }
  // Eleven transactions each.
  void add_days(int count) {
    for (int i = 0; i < count * 11; ++i) add(1 + number_ % 5, number_ % 11 == 10 ? 86400 : 1);
    writer_.flush();
  }
  static daystream::Manifest manifest_of(const std::string& id) {
    auto manifest = daystream::test::source();
    manifest.id = id;
    return manifest;
  }
  void add(int rows, int seconds = 1) {
    now += seconds;
    ++number_;
    writer_.append(transaction(number_, rows));
  }
  void flush() { writer_.flush(); }
  std::string path() const { return directory.path().string(); }
  std::string cat() const { return daystream_command({"cat", path()}).out; }
  std::string tail() const { return daystream_command({"tail", path(), "-n", "1000"}).out; }

  Writer writer_;
  int number_ = 0;
};

inline support::Result publish(const Source& source, const Broker& broker,
                               std::vector<std::string> more = {"--once"}) {
  std::vector<std::string> arguments = {"publish", source.path(), broker.address()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return daystream_command(arguments);
}

inline bool can_be_read(const Broker& broker) {
  return daystream_command({"info", broker.address()}).ok();
}

// ---- what happens at random --------------------------------------------------------------------

using Random = std::mt19937_64;

// DELTAFLOOD_FAULT_SEED where given, else new for each run; said on standard error, and another one
// for each test.
Random seeded(const std::string& test);
inline int below(Random& random, int limit) {
  return std::uniform_int_distribution<int>(0, limit - 1)(random);
}
// DELTAFLOOD_FAULT_ROUNDS where given; the long form is that of the fault suites.
int rounds(int usual, int many);

std::filesystem::path copy_of(const std::filesystem::path& from, const std::filesystem::path& to);
void put_back(const std::filesystem::path& from, const std::filesystem::path& to);
// Where a server has the messages of its streams.
std::vector<std::filesystem::path> block_files(const std::filesystem::path& store);
void flip_a_bit(const std::filesystem::path& file, Random& random);

// What differs between two directories' days; empty: they are the same byte for byte.
std::string difference(const std::filesystem::path& one, const std::filesystem::path& other);

}  // namespace nats_test
