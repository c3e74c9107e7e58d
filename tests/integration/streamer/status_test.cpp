// What `deltastream status` tells: what is so now, and what is not known.
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include <catch2/catch.hpp>

#include "stream.h"

using deltastream_test::contains;
using deltastream_test::Stream;
using deltastream_test::streaming;
using support::Cluster;
using support::Exit;
using support::Process;
using support::Result;

namespace {

Result run_status(const Stream& stream, const std::vector<std::string>& more = {}) {
  std::vector<std::string> argv = {support::program("deltastream"), "status",
                                   stream.directory().string()};
  argv.insert(argv.end(), more.begin(), more.end());
  return support::run(argv);
}

// Empty while there is no daystream yet.
nlohmann::json status_of(const Stream& stream) {
  const Result result = run_status(stream, {"--json"});
  return result.out.empty() ? nlohmann::json::object() : nlohmann::json::parse(result.out);
}

// Some megabytes of WAL that no slot waits for.
void push_wal(const Cluster& cluster, const std::string& database = "postgres") {
  cluster.execute("SELECT pg_logical_emit_message(false, 'noise', 'x')", database);
  cluster.execute("SELECT pg_switch_wal()", database);
}

}  // namespace

TEST_CASE("status: for people and for machines", "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  CHECK(run_status(stream).exit == Exit{1, 0});  // no daystream there
  Process process = stream.start({"--create-slot", "-s", "1"});
  REQUIRE(streaming(process));
  REQUIRE(stream.caught_up());
  const std::string confirmed = stream.confirmed();  // before, as both may move
  REQUIRE(support::eventually([&] { return status_of(stream)["state"] == "streaming"; }));
  const Result machine = run_status(stream, {"--json"});
  CHECK(machine.ok());
  const auto json = nlohmann::json::parse(machine.out);
  CHECK(json["state"] == "streaming");
  CHECK(json["pid"] == process.pid());
  CHECK(deltastream_test::lsn_value(json["lsn"]) >= deltastream_test::lsn_value(confirmed));
  CHECK(support::eventually([&] { return status_of(stream)["retained_wal_bytes"].is_number(); }));
  CHECK(contains(run_status(stream).out,
                 "streaming (process " + std::to_string(process.pid()) + ")"));
  process.signal(SIGKILL);
  process.wait();
  CHECK(run_status(stream).exit == Exit{1, 0});
  CHECK(contains(run_status(stream).out, "state        stopped"));
}

TEST_CASE("status: says how much WAL is kept and how long until the slot is lost, in time",
          "[streamer]") {
  const Cluster cluster(
      {.config = {"max_wal_size = 32MB", "min_wal_size = 32MB", "max_slot_wal_keep_size = 1GB"}});
  cluster.execute("CREATE TABLE fox (a int)");
  const Stream stream(cluster);
  Process process = stream.start({"--create-slot", "-s", "1"});
  REQUIRE(streaming(process));
  // A transaction that stays open keeps the WAL it began in.
  support::Session open = cluster.session();
  open.execute("BEGIN; INSERT INTO fox VALUES (1)");
  REQUIRE(support::eventually([&] {
    push_wal(cluster);
    return contains(process.err(), "of WAL from being lost (max_slot_wal_keep_size)");
  }));
  const nlohmann::json status = status_of(stream);
  for (const char* key : {"position", "lsn", "server_lsn", "wal_status"}) {
    CAPTURE(key);
    CHECK(status[key].is_string());
  }
  for (const char* key : {"lines_per_second", "bytes_per_second", "lag_bytes", "lag_seconds",
                          "retained_wal_bytes", "until_lost_bytes", "disk_free_bytes"}) {
    CAPTURE(key);
    CHECK(status[key].is_number());
  }
  CHECK(status["last_error"].is_null());
  CHECK(status["wal_status"] == "extended");
  CHECK(status["retained_wal_bytes"].get<std::uint64_t>() > 32'000'000);
  CHECK(contains(run_status(stream).out, "before the slot is lost"));
}

TEST_CASE("status: keeps the last error", "[streamer]") {
  Cluster cluster;
  const Stream stream(cluster);
  Process process = stream.start({"--create-slot", "-s", "1"});
  REQUIRE(stream.caught_up());
  REQUIRE(support::eventually(
      [&] { return std::filesystem::exists(stream.directory() / "status.json"); }));
  cluster.stop();
  const auto status = [&] { return status_of(stream); };
  CHECK(support::eventually([&] { return status()["state"] == "waiting"; }));
  CHECK(status()["last_error"].is_string());
  CHECK(status()["last_error_at"].is_string());
  cluster.start();
  CHECK(support::eventually([&] { return status()["state"] == "streaming"; }));
  CHECK(status()["last_error"].is_string());

  // Also what ends it, and what keeps it from beginning.
  const auto says = [&](const char* text) {
    const nlohmann::json error = status()["last_error"];
    return error.is_string() && contains(error.get<std::string>(), text);
  };
  cluster.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots");
  REQUIRE(support::eventually([&] {
    return support::run({Cluster::tool("psql"), "-h", cluster.socket_dir(), "-U", "postgres", "-c",
                         "SELECT pg_drop_replication_slot('stream')"})
        .ok();
  }));
  CHECK(process.wait() == Exit{3, 0});
  CHECK(status()["state"] == "stopped");
  CHECK(says("does not exist"));
  cluster.execute("SELECT pg_create_logical_replication_slot('stream', 'test_decoding')");
  CHECK(stream.run().exit == Exit{3, 0});
  CHECK(says("uses plugin"));
}

TEST_CASE("status: a pipe in its place is refused, not waited for", "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  REQUIRE(stream.run_to_end({"--create-slot"}).ok());
  const std::string file = (stream.directory() / "status.json").string();
  REQUIRE(unlink(file.c_str()) == 0);
  REQUIRE(mkfifo(file.c_str(), 0600) == 0);
  const Result refused = run_status(stream);
  CHECK(refused.exit == Exit{3, 0});
  CHECK(contains(refused.err, "it is no regular file"));
  CHECK(stream.run({"--create-slot"}).exit == Exit{3, 0});  // has an error to remember there
  CHECK(stream.run_to_end().ok());
  CHECK(contains(run_status(stream).out, "stopped"));
}

TEST_CASE("status: who waits goes on telling what the server keeps meanwhile", "[streamer]") {
  Cluster cluster;
  const Stream stream(cluster);
  Process process = stream.start({"--create-slot", "-s", "1"});
  REQUIRE(support::eventually([&] { return status_of(stream)["lag_bytes"] == 0; }));
  // Sessions as before, but none that streams.
  cluster.append_config("max_wal_senders = 0\nmax_replication_slots = 4\n");
  cluster.restart();
  REQUIRE(support::eventually([&] {
    return status_of(stream)["state"] == "waiting" && status_of(stream)["server_problem"].is_null();
  }));
  for (int i = 0; i < 3; ++i) push_wal(cluster);
  CHECK(support::eventually([&] {
    const auto status = status_of(stream);
    return status["lag_bytes"].is_number() && status["lag_bytes"] > 32'000'000 &&
           status["retained_wal_bytes"] > 32'000'000 && status["lag_seconds"] > 0;
  }));
  CHECK(process.running());
}

TEST_CASE("status: what the server does not tell any more is not told as if it were so now",
          "[streamer]") {
  const Cluster cluster;
  cluster.create_database("other");
  const Stream stream(cluster);
  Process process = stream.start({"--create-slot", "-s", "1"});
  REQUIRE(support::eventually([&] { return status_of(stream)["lag_bytes"] == 0; }));
  const auto allow = [&](const char* whether) {
    cluster.execute(std::string("ALTER DATABASE postgres ALLOW_CONNECTIONS ") + whether, "other");
  };
  allow("false");  // the stream that is there goes on
  push_wal(cluster, "other");
  const auto unknown = [&] {
    const auto status = status_of(stream);
    for (const char* key : {"server_lsn", "lag_bytes", "lag_seconds", "retained_wal_bytes"}) {
      if (!status[key].is_null()) return false;
    }
    return status["server_problem"].is_string() &&
           contains(status["server_problem"].get<std::string>(), "not currently accepting");
  };
  CHECK(support::eventually(unknown));
  CHECK(contains(run_status(stream).out, "does not tell how far it is: "));
  CHECK(support::eventually(
      [&] { return contains(process.err(), "lag, WAL kept and the time until the slot"); }));
  CHECK(status_of(stream)["state"] == "streaming");
  allow("true");
  CHECK(support::eventually([&] { return status_of(stream)["lag_bytes"] == 0; }));
  CHECK(status_of(stream)["server_problem"].is_null());
  CHECK(support::eventually([&] { return contains(process.err(), "says again how far it is"); }));
}
