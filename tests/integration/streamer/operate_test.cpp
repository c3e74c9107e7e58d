// What an operator sees of a running deltastream: systemd, logs, status, warnings, pauses.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "stream.h"
#include "support/cut_proxy.h"
#include "support/notify_socket.h"
#include "support/slot.h"

using deltastream_test::contains;
using deltastream_test::Stream;
using deltastream_test::streaming;
using support::Cluster;
using support::CutProxy;
using support::Exit;
using support::Process;
using support::Result;

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The pauses that the log tells, in milliseconds.
std::vector<int> pauses_in(const std::string& log) {
  std::vector<int> pauses;
  constexpr std::string_view kText = "next try in ";
  for (const std::string& line : lines_of(log)) {
    const auto at = line.find(kText);
    if (at != std::string::npos) pauses.push_back(std::stoi(line.substr(at + kText.size())));
  }
  return pauses;
}

}  // namespace

TEST_CASE("systemd: told when the stream runs, that it lives, and that it stops", "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  const support::TempDir dir;
  support::NotifySocket systemd(dir / "notify");
  Process process(
      stream.command({"--create-slot"}),
      {.env = {{"NOTIFY_SOCKET", systemd.path().string()}, {"WATCHDOG_USEC", "2000000"}}});
  REQUIRE(support::eventually([&] { return systemd.count("READY=1") == 1; }));
  CHECK(contains(process.err(), "streaming from slot"));
  REQUIRE(support::eventually([&] { return systemd.count("WATCHDOG=1") >= 2; }));
  process.signal(SIGTERM);
  CHECK(process.wait() == Exit{0, 0});
  CHECK(systemd.messages().back() == "STOPPING=1");
  CHECK(systemd.count("READY=1") == 1);
}

TEST_CASE("systemd: a stream that cannot begin is alive, but not ready", "[streamer]") {
  Cluster cluster;
  const Stream stream(cluster);
  stream.create_slot();
  REQUIRE(stream.run_to_end().ok());
  cluster.stop();
  const support::TempDir dir;
  support::NotifySocket systemd(dir / "notify");
  Process process(stream.command(), {.env = {{"NOTIFY_SOCKET", systemd.path().string()},
                                             {"WATCHDOG_USEC", "1000000"}}});
  REQUIRE(support::eventually([&] { return contains(process.err(), " WARN "); }));
  CHECK(systemd.count("READY=1") == 0);
  cluster.start();
  CHECK(support::eventually([&] { return systemd.count("READY=1") == 1; }));
}

TEST_CASE("log: as JSON, each line is an object that says when, how bad, who and what",
          "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  Process process = stream.start({"--create-slot", "--log-format", "json", "--log-level", "debug"});
  REQUIRE(streaming(process));
  process.signal(SIGTERM);
  CHECK(process.wait() == Exit{0, 0});
  const auto lines = lines_of(process.err());
  CHECK(lines.size() >= 2);
  for (const std::string& line : lines) {
    CAPTURE(line);
    const auto json = nlohmann::json::parse(line);
    for (const char* key : {"time", "level", "program", "message"}) CHECK(json[key].is_string());
  }

  // How it ends too, hint and all.
  support::drop_slot(cluster, "stream");
  const Result refused = stream.run({"--log-format", "json"});
  CHECK(refused.exit == Exit{3, 0});
  const auto last = nlohmann::json::parse(lines_of(refused.err).back());
  CHECK(last["level"] == "ERROR");
  CHECK(contains(last["message"], "replication slot \"stream\" does not exist, but daystream"));
  CHECK(contains(last["message"], "; HINT: "));
}

TEST_CASE("stream: pauses grow until a stream gets somewhere, then begin again", "[streamer]") {
  const Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY)");
  const Stream stream(cluster);
  stream.create_slot();
  REQUIRE(stream.run_to_end().ok());
  CutProxy proxy(cluster.socket_dir());
  Process process({support::program("deltastream"), "-d",
                   proxy.conninfo() + " user=postgres dbname=postgres", "-S", stream.slot(), "-D",
                   stream.directory(), "--log-level", "debug"});
  const auto streams = [&] {
    std::ptrdiff_t count = 0;
    for (const std::string& line : lines_of(process.err())) {
      count += contains(line, "streaming from slot") ? 1 : 0;
    }
    return count;
  };
  // Each stream begins, and ends before anything has come.
  const auto longest = [&] {
    const auto pauses = pauses_in(process.err());
    return pauses.empty() ? 0 : *std::max_element(pauses.begin(), pauses.end());
  };
  for (std::ptrdiff_t n = 1; longest() < 400; ++n) {
    INFO(process.err());
    REQUIRE(n < 30);
    REQUIRE(support::eventually([&] { return streams() >= n; }));
    proxy.break_all(CutProxy::Fault::Close);
  }
  const auto before = streams();
  REQUIRE(support::eventually([&] { return streams() > before; }));
  cluster.execute("INSERT INTO fox VALUES (1)");
  REQUIRE(stream.caught_up());
  const auto count = pauses_in(process.err()).size();
  proxy.break_all(CutProxy::Fault::Close);
  REQUIRE(support::eventually([&] { return pauses_in(process.err()).size() > count; }));
  CHECK(pauses_in(process.err()).back() <= 100);  // the next would have been 200 ms or more
}
