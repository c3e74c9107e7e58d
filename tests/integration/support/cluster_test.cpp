#include "support/cluster.h"

#include <catch2/catch.hpp>
#include <csignal>

using namespace support;

TEST_CASE("cluster: starts, answers, is killed, recovers and is gone afterwards",
          "[support][cluster]") {
  std::filesystem::path data;
  {
    Cluster cluster({.config = {"work_mem = 3MB"}});
    data = cluster.data_dir();
    CHECK(cluster.scalar("SHOW wal_level") == "logical");
    CHECK(cluster.scalar("SHOW work_mem") == "3MB");
    CHECK(cluster.scalar("SELECT count(*) FROM pg_create_logical_replication_slot("
                         "'own', 'test_decoding')") == "1");
    cluster.create_database("air port");
    cluster.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)", "air port");

    cluster.kill9();
    CHECK_FALSE(cluster.running());
    CHECK_THROWS_AS(cluster.session(), daystream::ConnectionLost);
    cluster.start();
    CHECK(cluster.scalar("SELECT a FROM t", "air port") == "1");

    const pid_t before = cluster.postmaster_pid();
    cluster.restart();
    CHECK(cluster.postmaster_pid() != before);
    cluster.configure({"work_mem = 5MB"});
    CHECK(eventually([&] { return cluster.scalar("SHOW work_mem") == "5MB"; }));
    CHECK(cluster.run_tool("psql", {"-Atc", "SELECT 1"}) == "1\n");
    CHECK_THROWS_WITH(cluster.execute("SELECT wrong"), Catch::Contains("wrong"));
  }
  CHECK_FALSE(std::filesystem::exists(data));
}

TEST_CASE("cluster: a standby streams and is promoted", "[support][cluster]") {
  const Cluster primary;
  Cluster standby({.standby_of = &primary});
  primary.execute("CREATE TABLE t (a int)");
  primary.execute("INSERT INTO t VALUES (7)");
  CHECK(eventually([&] {
    return standby.scalar("SELECT count(*) FROM pg_class WHERE relname = 't'") == "1" &&
           standby.scalar("SELECT count(*) FROM t") == "1";
  }));
  CHECK(standby.scalar("SELECT system_identifier FROM pg_control_system()") ==
        primary.scalar("SELECT system_identifier FROM pg_control_system()"));
  standby.promote();
  standby.execute("INSERT INTO t VALUES (8)");
  CHECK(standby.scalar("SELECT count(*) FROM t") == "2");
  CHECK(primary.scalar("SELECT count(*) FROM t") == "1");
}

TEST_CASE("cluster: another one has another system identifier where asked for",
          "[support][cluster]") {
  const Cluster one;
  const Cluster other({.own_system_identifier = true});
  const std::string sql = "SELECT system_identifier FROM pg_control_system()";
  CHECK(one.scalar(sql) != other.scalar(sql));
}

TEST_CASE("cluster: the server ends with the process that started it", "[support][cluster]") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const Cluster cluster;
    const std::string pid = std::to_string(cluster.postmaster_pid()) + "\n";
    if (write(ends[1], pid.data(), pid.size()) < 0) _exit(1);
    kill(getpid(), SIGKILL);
  }
  close(ends[1]);
  char text[32] = {};
  REQUIRE(read(ends[0], text, sizeof text - 1) > 1);
  close(ends[0]);
  const pid_t postmaster = std::atoi(text);
  REQUIRE(postmaster > 1);
  CHECK(eventually([&] { return kill(postmaster, 0) != 0; }));
}
