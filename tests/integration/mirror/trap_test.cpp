// A role that may create a schema, or owns a table that is mirrored, and means to have its own code
// run by those who stream and mirror.
#include <catch2/catch.hpp>

#include "pipeline.h"

using namespace support;

namespace {

struct Trapped : Pipeline {
  Trapped() {
    cluster.execute(
        "CREATE ROLE mallory LOGIN; GRANT CREATE ON DATABASE postgres TO mallory;"
        "CREATE TABLE a(id int PRIMARY KEY, v text); INSERT INTO a VALUES(1, 'x')");
  }
  void as_mallory(const std::string& sql) const {
    Session(cluster.conninfo("postgres", "mallory")).execute(sql);
  }
  // What was run of mallory's.
  Texts trapped() const {
    Texts lines;
    std::istringstream log(cluster.log_tail(50'000'000));
    for (std::string line; std::getline(log, line);) {
      const auto at = line.find("LOG:  trapped: ");
      if (at != std::string::npos) lines.push_back(line.substr(at));
    }
    return lines;
  }
  Texts deltamirror(const std::string& verb, const Texts& more) const {
    Texts argv = {program("deltamirror"), verb, mirror(), "-d", cluster.conninfo()};
    argv.insert(argv.end(), more.begin(), more.end());
    return argv;
  }
};

}  // namespace

TEST_CASE("trap: a view that comes under a table's name while others are copied is not read",
          "[mirror][integration][security]") {
  Trapped place;
  place.as_mallory(
      "CREATE SCHEMA s; CREATE TABLE s.t(id int PRIMARY KEY, v text, n int GENERATED ALWAYS AS (id "
      "+ 1) STORED); INSERT INTO s.t(id, v) VALUES(1, 'x');"
      "CREATE FUNCTION s.trap() RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN RAISE LOG 'trapped: "
      "view as %', current_user; RETURN true; END $f$");
  place.start_stream();
  Session holder = place.cluster.session();
  holder.execute("SELECT pg_advisory_lock(1)");
  Process seeding(
      place.deltamirror("seed", {"--daystream", place.stream(), "--query",
                                 "SELECT pg_advisory_xact_lock_shared(1)::text AS waited", "--as",
                                 "held", "--table", "s.t"}));
  REQUIRE(eventually([&] {
    return place.cluster.scalar(
               "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == "1";
  }));
  place.as_mallory(
      "ALTER SCHEMA s RENAME TO was; CREATE SCHEMA s; CREATE VIEW s.t AS SELECT * FROM was.t WHERE "
      "was.trap(); GRANT USAGE ON SCHEMA s, was TO PUBLIC");
  holder.execute("SELECT pg_advisory_unlock(1)");
  const Exit end = seeding.wait();
  INFO(seeding.err());
  CHECK_FALSE(end == Exit{0, 0});
  CHECK_THAT(seeding.err(), Catch::Contains("access to non-system view \"t\" is restricted"));
  CHECK(place.trapped() == Texts{});
}

TEST_CASE("trap: a policy's function is not run by who may read columns",
          "[mirror][integration][security]") {
  Trapped place;
  place.cluster.execute("CREATE ROLE reader LOGIN; GRANT pg_read_all_settings TO reader");
  place.as_mallory(
      "CREATE SCHEMA s; GRANT USAGE ON SCHEMA s TO PUBLIC; CREATE TABLE s.t(id int PRIMARY KEY, v "
      "text); GRANT SELECT (id, v) ON s.t TO reader;"
      "CREATE FUNCTION s.trap(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN RAISE "
      "LOG 'trapped: policy as %', current_user; RETURN true; END $f$;"
      "ALTER TABLE s.t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON s.t USING (s.trap(1))");
  place.start_stream();
  const Result seeded =
      run({program("deltamirror"), "seed", place.mirror(), "--daystream", place.stream(), "-d",
           place.cluster.conninfo("postgres", "reader"), "--table", "s.t"});
  INFO(seeded.err);
  CHECK_FALSE(seeded.ok());
  CHECK_THAT(seeded.err, Catch::Contains("row-level security"));
  CHECK(place.trapped() == Texts{});
}
