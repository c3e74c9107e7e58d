// A full disk: says so, lets go of PostgreSQL, and goes on by itself when there is room.
#include <signal.h>

#include <catch2/catch.hpp>
#include <regex>

#include "stream.h"
#include "support/free_port.h"
#include "support/small_disk.h"

using deltastream_test::check_sound;
using deltastream_test::contains;
using deltastream_test::Stream;
using deltastream_test::streaming;
using support::Cluster;
using support::Exit;
using support::Process;
using support::SmallDisk;

TEST_CASE("disk: full, then with room again", "[streamer][disk]") {
  Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY, b text)");
  const Stream stream(cluster);
  stream.create_slot();
  SmallDisk disk(stream.directory());
  if (!disk.mounted()) {
    WARN("mounting a small file system needs root: not tested");
    return;
  }
  const std::filesystem::path ballast = stream.directory() / "ballast";
  Process process = stream.start();
  REQUIRE(streaming(process));
  support::write_file(ballast, std::string(2 << 20, 'x'));
  cluster.execute("INSERT INTO fox VALUES (0, 'before')");
  REQUIRE(stream.caught_up());
  for (int i = 1; i <= 30; ++i) {
    cluster.execute("INSERT INTO fox SELECT g, repeat('x', 1000) FROM generate_series(" +
                    std::to_string(100 * i) + ", " + std::to_string(100 * i + 99) + ") g");
  }
  REQUIRE(support::eventually([&] { return contains(process.err(), "No space left on device"); }));
  // PostgreSQL is not held up: nobody holds the slot while there is no room, and it can stop.
  REQUIRE(support::eventually(
      [&] { return cluster.scalar("SELECT active FROM pg_replication_slots") == "f"; }));
  cluster.restart();
  CHECK(process.running());
  // It holds no lock now and the file can hardly be written, but the status tells.
  CHECK(support::eventually([&] {
    const auto status =
        support::run({support::program("deltastream"), "status", stream.directory()});
    return status.exit == support::Exit{1, 0} && contains(status.out, "waiting (process") &&
           contains(status.out, "No space left on device");
  }));

  // And so does a server.
  const std::string port = std::to_string(support::free_port());
  const Process server({support::program("daystream"), "serve", stream.directory(), "--listen",
                        "127.0.0.1:" + port});
  const auto answer = [&](const std::string& path) {
    return support::run({"curl", "-s", "-w", "%{http_code}", "http://127.0.0.1:" + port + path})
        .out;
  };
  CHECK(support::eventually([&] { return contains(answer("/healthz/streams"), "503"); }));
  CHECK(contains(answer("/metrics"), "daystream_up{stream=\"daystream\"} 0\n"));
  CHECK(contains(answer("/status"), "deltastream waits: "));
  const auto info = support::run({support::program("daystream"), "info", stream.directory()});
  CHECK(contains(info.out, "\nwriter    deltastream waits: "));
  // How far behind it is, it says of what is on disk, and not of nothing.
  const std::string told =
      support::run({support::program("deltastream"), "status", stream.directory(), "--json"}).out;
  const std::regex lag("\"lag_bytes\": ([0-9]+)");
  std::smatch found;
  if (std::regex_search(told, found, lag)) CHECK(std::stoll(found[1].str()) < 10'000'000);

  // The check says it as well, and that it is no small matter.
  const support::Result checked = stream.run({"--check"});
  CHECK(checked.exit.code == 1);
  CHECK(contains(checked.out, "FAILED  room       "));
  CHECK(contains(checked.out, "the disk is full: "));

  std::filesystem::remove(ballast);
  disk.resize("64m");
  CHECK(stream.caught_up());
  check_sound(stream);
  CHECK(stream.commit_lsns().size() == 31);
  CHECK(support::eventually([&] { return contains(answer("/healthz/streams"), "200"); }));
  CHECK(contains(answer("/metrics"), "daystream_up{stream=\"daystream\"} 1\n"));
  process.signal(SIGTERM);
  CHECK(process.wait() == Exit{0, 0});
}

TEST_CASE("disk: little room is said in time, with how long it lasts", "[streamer][disk]") {
  Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int, b text); ALTER TABLE fox REPLICA IDENTITY FULL");
  const Stream stream(cluster);
  const SmallDisk disk(stream.directory(), "64m");
  if (!disk.mounted()) {
    WARN("mounting a small file system needs root: not tested");
    return;
  }
  Process process = stream.start({"--create-slot", "-s", "1"});
  REQUIRE(streaming(process));
  const auto warned = [&] {
    cluster.execute("INSERT INTO fox SELECT g, repeat('x', 1000) FROM generate_series(1, 200) g");
    return contains(process.err(), "of disk left: ");
  };
  CHECK(support::eventually(warned));
  CHECK(contains(process.err(), "at the present rate"));
  CHECK(stream.caught_up());
}

// What does not fit in logical_decoding_work_mem goes to files beside the slots.
TEST_CASE("disk: the server's is full where it spills, then has room again", "[streamer][disk]") {
  Cluster::Options options;
  options.config = {"logical_decoding_work_mem = '64kB'"};
  Cluster cluster(options);
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY, b text)");
  cluster.stop();
  SmallDisk disk(cluster.data_dir() / "pg_replslot");
  if (!disk.mounted()) {
    WARN("mounting a small file system needs root: not tested");
    return;
  }
  cluster.start();
  const Stream stream(cluster);
  Process process = stream.start({"--create-slot"});
  REQUIRE(streaming(process));
  cluster.execute("INSERT INTO fox SELECT g, repeat('x', 100) FROM generate_series(1, 100000) g");
  cluster.execute("INSERT INTO fox VALUES (0, 'after')");
  REQUIRE(support::eventually([&] { return contains(process.err(), "No space left on device"); }));
  CHECK(process.running());
  CHECK(cluster.scalar("SELECT count(*) FROM fox") == "100001");
  CHECK(stream.commit_lsns().empty());

  disk.resize("256m");
  CHECK(stream.caught_up());
  check_sound(stream);
  CHECK(stream.commit_lsns().size() == 2);
  CHECK(stream.lines("\t_action\tinsert").size() == 100'001);
}
