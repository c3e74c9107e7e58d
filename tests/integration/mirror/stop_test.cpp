// What stops a mirror, and where it then is.
#include <catch2/catch.hpp>
#include <csignal>

#include "shaped.h"
#include "support/slot.h"

using namespace support;
using Texts = std::vector<std::string>;

TEST_CASE("mirror: what stops it takes no transaction before it along",
          "[mirror][shape][integration]") {
  Shaped s;
  s.cluster.execute("UPDATE t SET b = 11 WHERE id = 1");
  s.cluster.execute("INSERT INTO u VALUES(2, 'before')");
  s.cluster.execute("DROP TABLE t; CREATE TABLE t(id int PRIMARY KEY)");
  for (int attempt = 0; attempt < 2; ++attempt) {
    CHECK(s.run_to_trouble().exit == Exit{3, 0});
    CHECK(s.value("SELECT b FROM t WHERE id = 1") == "11");
    CHECK(s.rows("SELECT v FROM u ORDER BY id") == Texts{"u", "before"});
  }
}

TEST_CASE("mirror: a gap stops it, right after what came before", "[mirror][integration]") {
  Shaped s;
  s.cluster.execute("INSERT INTO u VALUES(2, 'before')");
  const std::string lsn = s.cluster.scalar("SELECT pg_current_wal_flush_lsn()");
  REQUIRE(eventually([&] {
    return s.cluster.scalar("SELECT bool_or(confirmed_flush_lsn >= '" + lsn +
                            "') FROM pg_replication_slots WHERE slot_name = 'mirror'") == "t";
  }));
  s.streamer->signal(SIGTERM);
  s.streamer->wait();
  drop_slot(s.cluster, "mirror");
  s.cluster.execute("INSERT INTO u VALUES(3, 'lost')");
  run_ok({program("deltastream"), "-d", s.cluster.conninfo(), "-S", "mirror", "-D", s.stream(),
          "--recreate-slot"});
  s.cluster.execute("INSERT INTO u VALUES(4, 'after')");
  const Result run = support::run(
      {program("deltamirror"), "run", s.mirror(), "--daystream", s.stream(), "--once"});
  CHECK(run.exit == Exit{3, 0});
  CHECK_THAT(run.err, Catch::Contains("the daystream lacks what PostgreSQL committed between") &&
                          Catch::Contains("-d CONNINFO"));
  CHECK(s.rows("SELECT v FROM u ORDER BY id") == Texts{"u", "before"});
}

TEST_CASE("mirror: with --shape-changes stop it stops before one", "[mirror][integration]") {
  Shaped s;
  s.cluster.execute("INSERT INTO u VALUES(2, 'before')");
  s.cluster.execute("ALTER TABLE t ADD COLUMN c int; INSERT INTO u VALUES(3, 'after')");
  const auto run = [&](const std::string& policy) {
    const std::string lsn = s.cluster.scalar("SELECT pg_current_wal_flush_lsn()");
    return support::run({program("deltamirror"), "run", s.mirror(), "--daystream", s.stream(),
                         "--until-lsn", lsn, "--shape-changes", policy});
  };
  const Result stopped = run("stop");
  CHECK(stopped.exit == Exit{3, 0});
  CHECK_THAT(stopped.err, Catch::Contains("table public.t changes its shape"));
  CHECK_THAT(stopped.err, Catch::Contains("column \"c\" integer is new"));
  CHECK(s.rows("SELECT v FROM u ORDER BY id") == Texts{"u", "before"});
  const Result followed = run("follow");
  INFO(followed.err);
  CHECK(followed.ok());
  CHECK(s.rows("SELECT v FROM u ORDER BY id") == Texts{"u", "before", "after"});
}
