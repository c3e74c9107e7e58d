// A server that is not the one the daystream came from, or no longer: refused, and nothing written.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <optional>

#include "streamed_source.h"

using support::Cluster;
using support::Result;
using namespace fault;

namespace fs = std::filesystem;

TEST_CASE("deltastream: another cluster with a slot of the same name is refused",
          "[fault][deltastream][source]") {
  const Source source;
  const Cluster other({.own_system_identifier = true});
  other.query("SELECT pg_create_logical_replication_slot('s', 'deltaflood')");
  source.check_refused(other, "of another cluster");
}

TEST_CASE("deltastream: another database of the cluster is refused",
          "[fault][deltastream][source]") {
  const Source source;
  source.cluster.create_database("other");
  source.check_refused(source.cluster, "of database \"postgres\", not \"other\"", "other");
}

TEST_CASE("deltastream: a slot that was dropped, re-created, advanced or of another plugin is seen",
          "[fault][deltastream][source]") {
  Source source;
  SECTION("dropped") {
    source.cluster.query("SELECT pg_drop_replication_slot('s')");
    source.check_refused(source.cluster, "slot \"s\" does not exist");
  }
  SECTION("dropped and re-created, a row between") {
    source.cluster.query("SELECT pg_drop_replication_slot('s')");
    source.insert(2);
    source.cluster.query("SELECT pg_create_logical_replication_slot('s', 'deltaflood')");
    source.insert(3);
    source.check_refused(source.cluster, "is ahead of daystream");
  }
  SECTION("advanced by hand over a row") {
    source.insert(2);
    source.cluster.query("SELECT pg_replication_slot_advance('s', pg_current_wal_flush_lsn())");
    source.check_refused(source.cluster, "is ahead of daystream");
  }
  SECTION("read by someone else") {
    source.insert(2);
    source.cluster.query("SELECT pg_logical_slot_get_changes('s', NULL, NULL)");
    source.check_refused(source.cluster, "is ahead of daystream");
  }
  SECTION("another plugin") {
    source.cluster.query("SELECT pg_drop_replication_slot('s')");
    source.cluster.query("SELECT pg_create_logical_replication_slot('s', 'test_decoding')");
    source.check_refused(source.cluster, "uses plugin \"test_decoding\"");
  }
  SECTION("a physical slot") {
    source.cluster.query("SELECT pg_drop_replication_slot('s')");
    source.cluster.query("SELECT pg_create_physical_replication_slot('s')");
    source.check_refused(source.cluster, "is a physical slot");
  }
}

TEST_CASE("deltastream: a slot that lost its WAL is refused, and not re-created",
          "[fault][deltastream][source]") {
  Source source(
      {.config = {"max_slot_wal_keep_size = 1MB", "min_wal_size = 32MB", "max_wal_size = 32MB"}});
  const auto lost = [&] {
    source.cluster.execute("SELECT pg_switch_wal(); CREATE TABLE x (); DROP TABLE x; CHECKPOINT");
    return source.cluster.scalar("SELECT wal_status FROM pg_replication_slots") == "lost";
  };
  REQUIRE(support::eventually(lost));
  source.check_refused(source.cluster, "slot \"s\" is lost");
  CHECK(source.cluster.scalar("SELECT wal_status FROM pg_replication_slots") == "lost");
}

TEST_CASE("deltastream: a copy of the cluster that is back in time is refused",
          "[fault][deltastream][source]") {
  Source source;
  Cluster clone({.start = false});
  source.cluster.stop();
  copy_cold(source.cluster, clone);
  source.cluster.start();
  for (int a = 2; a < 50; ++a) source.insert(a);
  source.cluster.execute("SELECT pg_switch_wal()");
  source.insert(50);
  source.stream();
  source.cluster.stop();
  clone.start();
  source.check_refused(clone, "diverged");
  // It writes on, and its WAL is another history now.
  clone.execute("INSERT INTO t VALUES (1000)");
  source.check_refused(clone, "diverged");
}

TEST_CASE("deltastream: a directory that is back in time is refused, as the slot has gone on",
          "[fault][deltastream][source]") {
  Source source;
  fs::copy(source.dir / "d", source.dir / "old");
  source.insert(2);
  source.stream();
  fs::remove_all(source.dir / "d");
  fs::rename(source.dir / "old", source.dir / "d");
  source.check_refused(source.cluster, "is ahead of daystream");
}

TEST_CASE("deltastream: a promoted standby that has everything goes on without a gap",
          "[fault][deltastream][source][standby]") {
  Source source({.config = {"wal_keep_size = 256MB"}});
  Cluster standby({.config = {"wal_keep_size = 256MB"}, .standby_of = &source.cluster});
  source.insert(2);
  source.stream();
  source.insert(3);       // not streamed before the failover
  source.cluster.stop();  // waits until the standby has all
  standby.stop();
  copy_slot(source.cluster, standby);
  standby.start();
  standby.promote();
  standby.execute("INSERT INTO t VALUES (4)");
  const Result result = support::run(source.command(standby, Source::end_of(standby)));
  INFO(result.err);
  CHECK(result.exit == support::Exit{0, 0});
  CHECK(source.streamed() == std::vector<std::string>{"1", "2", "3", "4"});
}

TEST_CASE("deltastream: a promoted standby that lacks what was streamed is refused",
          "[fault][deltastream][source][standby]") {
  Source source({.config = {"wal_keep_size = 256MB"}});
  Cluster standby({.config = {"wal_keep_size = 256MB"}, .standby_of = &source.cluster});
  source.cluster.stop();
  standby.stop();
  copy_slot(source.cluster, standby);
  source.cluster.start();
  source.insert(2);  // the standby never hears of it
  source.stream();
  source.cluster.kill9();
  standby.start();
  standby.promote();
  // Far past where the daystream ends: only the timelines' history tells.
  for (int a = 100; a < 400; ++a) standby.execute(fmt::format("INSERT INTO t VALUES ({})", a));
  source.check_refused(standby, "diverged");
}

TEST_CASE("deltastream: a slot that is behind and still held by another is waited for",
          "[fault][deltastream][source]") {
  Source source;
  source.insert(2);
  source.stream();
  // Its server forgets what was confirmed last: now the slot is behind us, and our history is to be
  // proven. As long as another has the slot nobody can tell how far it will be.
  source.cluster.kill9();
  source.cluster.start();
  REQUIRE(source.cluster.scalar("SELECT confirmed_flush_lsn < pg_current_wal_flush_lsn() FROM "
                                "pg_replication_slots") == "t");
  std::optional<daystream::program::PgConn> holder(daystream::program::connect(
      source.cluster.conninfo(), "holder", {{"replication", "database"}}));
  const daystream::program::PgResult held(
      PQexec(holder->get(), "START_REPLICATION SLOT s LOGICAL 0/0"));
  REQUIRE(PQresultStatus(held.get()) == PGRES_COPY_BOTH);

  support::Process stream(source.command(source.cluster));
  CHECK(support::eventually(
      [&] { return stream.err().find("is in use by process") != std::string::npos; }));
  holder.reset();
  source.insert(3);
  INFO(stream.err());
  CHECK(support::eventually([&] {
    return support::check_stream(source.dir / "d", {.live = true}).commits().size() == 3 ||
           !stream.running();
  }));
  stream.signal(SIGTERM);
  CHECK(stream.wait() == support::Exit{0, 0});
  CHECK(source.streamed() == std::vector<std::string>{"1", "2", "3"});
}
