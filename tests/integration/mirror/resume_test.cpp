// A first seed that is killed in the middle, and gone on with.
#include <catch2/catch.hpp>
#include <csignal>

#include "pipeline.h"
#include "support/row_compare.h"

using namespace support;

namespace {

struct Halted : Pipeline {
  Halted() {
    cluster.execute(
        "CREATE TABLE a(id int PRIMARY KEY, v text);"
        "INSERT INTO a SELECT i, 'a' || i FROM generate_series(1, 1000) i;"
        "CREATE TABLE b(id int PRIMARY KEY, v text); INSERT INTO b SELECT * FROM a");
    start_stream();
  }
  // Two tables and two queries that can be made to wait.
  std::vector<std::string> command(const std::string& columns_of_b = "*") const {
    return {program("deltamirror"),
            "seed",
            mirror(),
            "-d",
            cluster.conninfo(),
            "--daystream",
            stream(),
            "--table",
            "a",
            "--table",
            "b",
            "--query",
            "SELECT " + columns_of_b + " FROM b",
            "--query",
            "SELECT 1 AS one FROM pg_advisory_lock_shared(2)",
            "--as",
            "gate",
            "--query",
            "SELECT 7 AS seven FROM pg_advisory_lock_shared(1)",
            "--as",
            "last"};
  }
  // Returns once all but the last are whole. What was copied counts as whole once the log up to the
  // snapshot is on PostgreSQL's disk: a commit sees to that while the first query waits.
  void halt(int signal) {
    Session gate = cluster.session();
    gate.execute("SELECT pg_advisory_lock(1), pg_advisory_lock(2)");
    Process seed(command());
    const auto waits_for = [&](int query) {
      REQUIRE(eventually([&] {
        return cluster.scalar(
                   "SELECT count(*) FROM pg_locks WHERE NOT granted AND "
                   "locktype = 'advisory' AND objid = " +
                   std::to_string(query)) == "1";
      }));
    };
    waits_for(2);
    cluster.execute("SELECT pg_logical_emit_message(true, 'flush', '')");
    gate.execute("SELECT pg_advisory_unlock(2)");
    waits_for(1);
    seed.signal(signal);
    seed.wait();
    CHECK_FALSE(std::filesystem::exists(mirror()));
    cluster.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted");
  }
  void check_equal() const {
    const Result run = run_once();
    INFO(run.err);
    REQUIRE(run.ok());
    Session session = cluster.session();
    CHECK(compare_tables(session, mirror(), {{"public.a", "a", {}}, {"public.b", "b", {}}}) ==
          std::vector<std::string>{});
    CHECK(value("SELECT seven FROM last") == "7");
    CHECK(value("PRAGMA integrity_check") == "ok");
    CHECK(value("SELECT count(*) FROM sqlite_schema WHERE name = '_deltamirror_seeding'") == "0");
    CHECK_FALSE(std::filesystem::exists(mirror() + ".seeding"));
  }
};

}  // namespace

TEST_CASE("mirror: a killed seed goes on with the tables that are whole", "[mirror][integration]") {
  Halted h;
  h.halt(SIGKILL);
  h.cluster.execute("UPDATE a SET v = 'later' WHERE id < 10; DELETE FROM b WHERE id = 5");
  h.cluster.execute("ALTER TABLE a ADD COLUMN c int DEFAULT 3; INSERT INTO a VALUES(-1, 'n', 4)");
  const Result again = run(h.command());
  INFO(again.err);
  REQUIRE(again.ok());
  CHECK_THAT(again.err, Catch::Contains("3 of 4 tables are whole"));
  CHECK_THAT(again.err, !Catch::Contains("seeding a:"));
  h.check_equal();
}

TEST_CASE("mirror: a seed begins again where what was left is of another request or cannot be read",
          "[mirror][integration]") {
  Halted h;
  h.halt(SIGKILL);
  const bool other_request = GENERATE(true, false);
  if (!other_request) {
    // Torn, as after a power loss, had it been of this boot.
    std::filesystem::resize_file(h.mirror() + ".seeding", 5000);
  }
  const Result again = run(h.command(other_request ? "v, id" : "*"));
  INFO(again.err);
  REQUIRE(again.ok());
  CHECK_THAT(again.err, Catch::Contains("seeding a:"));
  h.check_equal();
}

TEST_CASE("mirror: a seed begins again where what was left is damaged, wherever it is",
          "[mirror][integration]") {
  Halted h;
  h.halt(SIGKILL);
  constexpr std::size_t kPage = 4096;
  const std::string seeding = h.mirror() + ".seeding";
  const std::string left = read_file(seeding);
  REQUIRE(left.size() > 8 * kPage);
  for (std::size_t page = 0; page * kPage < left.size(); ++page) {
    CAPTURE(page);
    std::string damaged = left;
    damaged.replace(page * kPage, kPage, kPage, '\0');
    write_file(seeding, damaged);
    const Result again = run(h.command());
    INFO(again.err);
    REQUIRE(again.ok());
    h.check_equal();
    std::filesystem::remove(h.mirror());
    std::filesystem::remove(h.mirror() + "-wal");
    std::filesystem::remove(h.mirror() + "-shm");
  }
}
