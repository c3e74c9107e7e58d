// Table lists end to end: what deltastream is asked for is what a mirror believes that there is.
#include <catch2/catch.hpp>

#include "pipeline.h"

using namespace support;

namespace {

struct Listed : Pipeline {
  Listed() {
    cluster.execute(
        "CREATE SCHEMA ops; CREATE SCHEMA \"Air\"; CREATE TABLE flights(id int PRIMARY KEY);"
        "CREATE TABLE \"Flights\"(id int PRIMARY KEY);"
        "CREATE TABLE \"Odd, \"\"Name*\"(id int PRIMARY KEY);"
        "CREATE TABLE größe(id int PRIMARY KEY); CREATE TABLE ops.crew(id int PRIMARY KEY);"
        "CREATE TABLE \"Air\".\"Übung\"(id int PRIMARY KEY); CREATE TABLE other(id int PRIMARY "
        "KEY)");
  }
  // Follows `table`, and has what comes after the seed.
  void check_follows(const std::string& table, const std::string& as) {
    CAPTURE(table);
    std::filesystem::remove(mirror());
    for (const char* rest : {"-wal", "-shm", ".lock", ".sock"}) {
      std::filesystem::remove(mirror() + rest);
    }
    const Result seeded = seed({"--table", table, "--as", as});
    INFO(seeded.err);
    REQUIRE(seeded.ok());
    const std::string id = cluster.scalar("SELECT coalesce(max(id), 0) + 1 FROM " + table);
    cluster.execute("INSERT INTO " + table + " VALUES(" + id + ")");
    const Result run = run_once();
    INFO(run.err);
    REQUIRE(run.ok());
    CHECK(rows("SELECT max(id) FROM " + as) == Texts{id});
  }
  void check_refused(const std::string& table) {
    CAPTURE(table);
    const Result seeded = seed({"--table", table, "--as", "x"});
    CHECK(seeded.exit == Exit{3, 0});
    CHECK_THAT(seeded.err, Catch::Contains("the daystream does not hold table"));
  }
};

}  // namespace

TEST_CASE("lists: capital letters, quotes, schemas and other letters are as in SQL",
          "[mirror][lists][integration]") {
  Listed s;
  s.start_stream("FLIGHTS , \"Odd, \"\"Name*\",Ops.*,Größe,\"Air\".Üb*,typo,gone.*");
  s.check_follows("Flights", "a");
  s.check_follows("\"Odd, \"\"Name*\"", "b");
  s.check_follows("ops.Crew", "c");
  s.check_follows("größe", "d");
  s.check_follows("\"Air\".\"Übung\"", "e");
  s.check_refused("\"Flights\"");
  s.check_refused("other");
  const std::string log = s.streamer->err();
  CHECK_THAT(log, Catch::Contains("has nothing that this filter names: tables: typo") &&
                      Catch::Contains("has nothing that this filter names: tables: gone.*") &&
                      !Catch::Contains("names: tables: FLIGHTS"));
}

TEST_CASE("lists: an asterisk alone is every table of every schema",
          "[mirror][lists][integration]") {
  Listed s;
  s.start_stream("*");
  s.check_follows("ops.crew", "a");
  s.check_follows("\"Flights\"", "b");
}

TEST_CASE("lists: what is excluded is not held", "[mirror][lists][integration]") {
  Listed s;
  s.cluster.execute(
      "CREATE TABLE log(id int PRIMARY KEY) PARTITION BY RANGE(id);"
      "CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (10);"
      "CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (10) TO (20)");
  s.streamer.emplace(Texts{program("deltastream"), "-d", s.cluster.conninfo(), "-S", "mirror", "-D",
                           s.stream(), "--create-slot", "--partition-root", "-o",
                           "exclude-tables=Other,ops.*,*_2,nothing"});
  REQUIRE(eventually([&] { return std::filesystem::exists(s.dir / "stream/durable"); }));
  s.check_follows("flights", "a");
  s.check_refused("other");
  s.check_refused("ops.crew");
  s.check_refused("log");  // without the rows of log_2 it would have holes
  CHECK_THAT(s.streamer->err(), Catch::Contains("this filter names: exclude-tables: nothing"));
  s.cluster.execute("DROP TABLE log_2");
  s.check_follows("log", "l");
  // A partition that comes later and is excluded makes a hole as well, and it is told.
  s.cluster.execute("CREATE TABLE more_2 PARTITION OF log FOR VALUES FROM (30) TO (40)");
  const Result run = s.run_to_trouble();
  CHECK(run.exit == Exit{3, 0});
  CHECK_THAT(run.err, Catch::Contains("more_2 of table public.log was detached or dropped"));
}

TEST_CASE("lists: names of a database that is not UTF-8", "[mirror][lists][integration]") {
  Pipeline s;
  s.cluster.execute(
      "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' "
      "TEMPLATE template0");
  s.cluster.execute("CREATE TABLE U&\"gr\\00f6\\00dfe\"(id int PRIMARY KEY)", "latin");
  const std::string conninfo = s.cluster.conninfo("latin");
  s.streamer.emplace(Texts{program("deltastream"), "-d", conninfo, "-S", "mirror", "-D", s.stream(),
                           "--create-slot", "--tables", "größe"});
  REQUIRE(eventually([&] { return std::filesystem::exists(s.dir / "stream/durable"); }));
  const Result seeded = run({program("deltamirror"), "seed", s.mirror(), "-d", conninfo,
                             "--daystream", s.stream(), "--table", "größe", "--as", "a"});
  INFO(seeded.err);
  REQUIRE(seeded.ok());
  s.cluster.execute("INSERT INTO U&\"gr\\00f6\\00dfe\" VALUES(7)", "latin");
  const Result followed = s.run_once();
  INFO(followed.err);
  REQUIRE(followed.ok());
  CHECK(s.rows("SELECT id FROM a") == Texts{"7"});
}
