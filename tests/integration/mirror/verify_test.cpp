#include <catch2/catch.hpp>
#include <csignal>
#include <nlohmann/json.hpp>

#include "bank.h"
#include "pipeline.h"
#include "shards.h"

using namespace support;

namespace {

const std::string kAccountRows =
    "SELECT id || '|' || balance || '|' || note FROM account ORDER BY id";
const std::string kLedgerRows =
    "SELECT id || '|' || src || '|' || dst || '|' || amount FROM ledger ORDER BY id";

}  // namespace

TEST_CASE("mirror: verify under load finds what differs, and mends it", "[mirror][integration]") {
  Pipeline pipeline;
  Bank bank(pipeline.cluster);
  pipeline.cluster.execute(
      "CREATE TABLE twins(a int, b text); ALTER TABLE twins REPLICA IDENTITY FULL;"
      "INSERT INTO twins VALUES(1, 'x'), (1, 'x'), (2, 'y')");
  pipeline.start_stream();
  bank.start();
  REQUIRE(pipeline.seed({"--table", "account", "--table", "ledger", "--table", "twins"}).ok());
  const auto verify = [&](std::vector<std::string> more) {
    std::vector<std::string> argv = {
        program("deltamirror"),      "verify",      pipeline.mirror(), "-d",
        pipeline.cluster.conninfo(), "--daystream", pipeline.stream()};
    argv.insert(argv.end(), more.begin(), more.end());
    return run(argv);
  };
  pipeline.start_run();
  const Result clean = verify({});
  INFO(clean.err);
  CHECK(clean.ok());
  CHECK_THAT(clean.out, Catch::Contains("account: 200 rows, 0 differ"));
  pipeline.runner->signal(SIGTERM);
  CHECK(pipeline.runner->wait() == Exit{0, 0});

  deltamirror::Database(pipeline.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec(
          "UPDATE ledger SET amount = -1 WHERE id = 7; DELETE FROM account WHERE id = 8;"
          "INSERT INTO account VALUES(-5, 0, 'surplus'); DELETE FROM twins WHERE rowid = 1");
  const Result found = verify({});
  CHECK(found.exit == Exit{3, 0});
  CHECK_THAT(found.out, Catch::Contains("ledger: row id=7 differs in amount"));
  CHECK_THAT(found.out, Catch::Contains("account: row id=8 is missing in the mirror"));
  CHECK_THAT(found.out, Catch::Contains("account: row id=-5 is not in PostgreSQL"));
  CHECK_THAT(found.out, Catch::Contains("twins: row (1, 'x') is in PostgreSQL 2 times"));
  CHECK_THAT(found.out, Catch::Contains("account: 200 rows, 2 differ"));

  const auto json = nlohmann::json::parse(verify({"--json"}).out);
  CAPTURE(json.dump());
  CHECK(json["differences"] == json["sources"][0]["rows_that_differ"].size());
  REQUIRE(json["sources"].size() == 1);
  const auto& source = json["sources"][0];
  CHECK(source["tables"][0] ==
        nlohmann::json({{"table", "account"}, {"rows", 200}, {"differences", 2}}));
  CHECK(source["passed_over"].empty());
  CHECK(source["rows_that_differ"].size() == 5);

  const Result mended = verify({"--repair"});
  INFO(mended.err);
  CHECK(mended.ok());
  CHECK(pipeline.value("SELECT sum(balance) FROM account") == "200000");
  const Result after = verify({});
  INFO(after.out);
  CHECK(after.ok());
  pipeline.start_run();
  bank.stop();
  pipeline.catch_up();
  CHECK(pipeline.rows(kAccountRows) == pipeline.source_rows(kAccountRows));
  CHECK(pipeline.rows(kLedgerRows) == pipeline.source_rows(kLedgerRows));
  CHECK(pipeline.value("SELECT count(*) FROM twins") == "3");
}

namespace {

std::string wide_table() {
  std::string columns;
  for (int i = 1; i <= 500; ++i) columns += ", c" + std::to_string(i) + " int";
  return "CREATE TABLE wide(_n int" + columns +
         "); ALTER TABLE wide REPLICA IDENTITY FULL;"
         "INSERT INTO wide(_n, c500) VALUES(1, 2), (1, 2), (3, 4)";
}

}  // namespace

TEST_CASE("mirror: verify compares a table of five hundred columns that has no key",
          "[mirror][integration]") {
  Pipeline pipeline;
  pipeline.cluster.execute(wide_table());
  pipeline.start_stream();
  REQUIRE(pipeline.seed({"--table", "wide"}).ok());
  const auto verify = [&] {
    return run({program("deltamirror"), "verify", pipeline.mirror(), "-d",
                pipeline.cluster.conninfo(), "--daystream", pipeline.stream()});
  };
  const Result clean = verify();
  INFO(clean.err);
  CHECK(clean.ok());
  CHECK_THAT(clean.out, Catch::Contains("wide: 3 rows, 0 differ"));
  deltamirror::Database(pipeline.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec("DELETE FROM wide WHERE rowid = 1");
  const Result found = verify();
  CHECK(found.exit == Exit{3, 0});
  CHECK_THAT(found.out, Catch::Contains("wide: row (1, NULL, "));
  CHECK_THAT(found.out, Catch::Contains(", 2) is in PostgreSQL 2 times"));
}

TEST_CASE("mirror: verify compares five hundred columns without a key, of three sources",
          "[mirror][sources][integration]") {
  const Together together = GENERATE(Together::Shared, Together::Prefixed);
  Shards s(wide_table());
  s.write_config({{{"table", "wide"}}}, together);
  s.seed();
  s.start_run();
  for (const std::string& name : s.names) {
    s.cluster.execute(
        "UPDATE wide SET c250 = 7 WHERE _n = 3; DELETE FROM wide WHERE ctid = (SELECT min(ctid) "
        "FROM wide); INSERT INTO wide(c1) VALUES(5)",
        name);
  }
  s.catch_up();
  s.check_equal("wide", "coalesce(_n, 0) || coalesce(c250, 0) || coalesce(c500, 0)");
  s.end_run();
  const Result clean = s.command("verify", {"--config", s.config()});
  INFO(clean.out << clean.err);
  CHECK(clean.ok());
  CHECK_THAT(clean.out,
             Catch::Contains("source b\n" + s.name_of("b", "wide") + ": 3 rows, 0 differ"));
  deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec("DELETE FROM " + s.name_of("b", "wide") + " WHERE _n = 3" +
            (together == Together::Shared ? " AND shard = 'b'" : ""));
  const Result found = s.command("verify", {"--config", s.config()});
  CHECK(found.exit == Exit{3, 0});
  CHECK_THAT(found.out,
             Catch::Contains("3, NULL, ") && Catch::Contains(", 4) is in PostgreSQL 1 times"));
}

TEST_CASE("mirror: verify looks past what the stream has not told the mirror yet",
          "[mirror][integration]") {
  Pipeline pipeline;
  pipeline.cluster.execute(
      "CREATE TABLE many(id bigint PRIMARY KEY, v text);"
      "INSERT INTO many SELECT i, 'v' || i FROM generate_series(1, 2000) i;"
      "CREATE TABLE pair(a text, b int, v text, PRIMARY KEY(a, b));"
      "INSERT INTO pair SELECT 'k' || i % 7, i, 'v' || i FROM generate_series(1, 200) i;"
      "CREATE TABLE twins(a int); ALTER TABLE twins REPLICA IDENTITY FULL;"
      "INSERT INTO twins VALUES(1), (1)");
  pipeline.start_stream();
  REQUIRE(pipeline.seed({"--table", "many", "--table", "pair", "--table", "twins"}).ok());
  // Nobody follows: the mirror stays behind.
  pipeline.cluster.execute(
      "UPDATE many SET v = 'later' WHERE id % 10 = 0; DELETE FROM many WHERE id = 5;"
      "INSERT INTO many VALUES(9001, 'new'); UPDATE many SET id = id + 5000 WHERE id IN (1, 2);"
      "UPDATE pair SET b = b + 1000 WHERE b < 10; DELETE FROM pair WHERE a = 'k3'");
  const auto verify = [&] {
    return run({program("deltamirror"), "verify", pipeline.mirror(), "-d",
                pipeline.cluster.conninfo(), "--daystream", pipeline.stream()});
  };
  const Result clean = verify();
  INFO(clean.out << clean.err);
  CHECK(clean.ok());
  CHECK_THAT(clean.err, !Catch::Contains("a copy of the mirror"));

  deltamirror::Database(pipeline.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec(
          "DELETE FROM many WHERE id = 10; UPDATE many SET v = 'wrong' WHERE id = 21;"
          "INSERT INTO many VALUES(9001, 'x'), (-7, 'x'), (5001, 'x');"
          "INSERT INTO pair VALUES('k9', 1, 'x')");
  const Result found = verify();
  INFO(found.out);
  CHECK(found.exit == Exit{3, 0});
  for (const char* what :
       {"many: row id=10 is missing in the mirror\n", "many: row id=21 differs in v\n",
        "many: row id=9001 differs in v\n", "many: row id=-7 is not in PostgreSQL\n",
        "many: row id=5001 differs in v\n", "many: row id=1 is not in PostgreSQL\n",
        "many: 2000 rows, 6 differ\n", "pair: row a='k9', b=1 is not in PostgreSQL\n",
        "pair: 171 rows, 1 differ\n", "twins: 2 rows, 0 differ\n"}) {
    CHECK_THAT(found.out, Catch::Contains(what));
  }
  CHECK(std::filesystem::exists(pipeline.mirror() + ".verify") == false);

  // More than rows: what empties a table, and rows that no key tells apart.
  pipeline.cluster.execute("TRUNCATE many; INSERT INTO twins VALUES(2)");
  const Result copied = verify();
  INFO(copied.err);
  CHECK_THAT(copied.err, Catch::Contains("a copy of the mirror"));
  CHECK_THAT(copied.out, Catch::Contains("many: 0 rows, 0 differ\n"));
  CHECK_THAT(copied.out, Catch::Contains("twins: 3 rows, 0 differ\n"));
}

TEST_CASE("mirror: verify --sample finds what is damaged, and nothing on a busy mirror",
          "[mirror][integration]") {
  Pipeline pipeline;
  Bank bank(pipeline.cluster);
  pipeline.cluster.execute(
      "CREATE TABLE pair(a text, b int, v text, PRIMARY KEY(a, b));"
      "INSERT INTO pair SELECT 'k' || i % 7, i, 'v' || i FROM generate_series(1, 2000) i;"
      "CREATE TABLE many(id bigint PRIMARY KEY, v text);"
      "INSERT INTO many SELECT i, 'v' || i FROM generate_series(1, 2000) i;"
      "CREATE TABLE cases(a int PRIMARY KEY, \"A\" text); INSERT INTO cases VALUES(1, 'x');"
      "CREATE TABLE twins(a int); ALTER TABLE twins REPLICA IDENTITY FULL");
  pipeline.start_stream();
  bank.start();
  REQUIRE(pipeline
              .seed({"--table", "account", "--table", "ledger", "--table", "pair", "--table",
                     "many", "--table", "twins", "--table", "cases", "--query",
                     "SELECT a, \"A\" AS a_text FROM cases"})
              .ok());
  const auto sample = [&](const std::string& size) {
    return run({program("deltamirror"), "verify", pipeline.mirror(), "-d",
                pipeline.cluster.conninfo(), "--daystream", pipeline.stream(), "--sample", size});
  };
  pipeline.start_run();
  const std::uint64_t before = bank.transfers();
  for (const char* size : {"100%", "50", "100%", "10%", "100%"}) {
    const Result clean = sample(size);
    INFO(clean.out << clean.err);
    CHECK(clean.ok());
  }
  CHECK(bank.transfers() > before);
  bank.stop();
  pipeline.catch_up();
  pipeline.runner->signal(SIGTERM);
  CHECK(pipeline.runner->wait() == Exit{0, 0});

  deltamirror::Database(pipeline.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec(
          "UPDATE pair SET v = 'wrong' WHERE b = 77; DELETE FROM many WHERE id = 1999;"
          "INSERT INTO many SELECT id + 10000, v FROM many");
  // What the stream has not told the mirror yet is no damage.
  pipeline.cluster.execute(
      "UPDATE pair SET v = 'later' WHERE b = 78; DELETE FROM many WHERE id = 5");
  const Result found = sample("100%");
  INFO(found.out << found.err);
  CHECK(found.exit == Exit{3, 0});
  CHECK_THAT(found.out, Catch::Contains("pair: row a=\"k0\", b=77 differs in v\n"));
  CHECK_THAT(found.out, Catch::Contains("many: row id=1999 is missing in the mirror\n"));
  CHECK_THAT(found.out, Catch::Contains(" is not in PostgreSQL\n"));
  CHECK_THAT(found.out, !Catch::Contains("b=78"));
  CHECK_THAT(found.out, !Catch::Contains("id=5 "));
  CHECK_THAT(found.out, Catch::Contains("cases: 1 row of a sample"));
  CHECK_THAT(found.out, Catch::Contains("twins: passed over, it has no key\n"));
  CHECK(sample("0").exit == Exit{2, 0});
  CHECK(sample("101%").exit == Exit{2, 0});
}

TEST_CASE("mirror: wait --time knows when all before that time is there", "[mirror][integration]") {
  Pipeline pipeline;
  pipeline.cluster.execute("CREATE TABLE t(id int PRIMARY KEY)");
  pipeline.start_stream();
  REQUIRE(pipeline.seed({"--table", "t"}).ok());
  pipeline.start_run();
  pipeline.cluster.execute("INSERT INTO t SELECT generate_series(1, 1000)");
  const std::string time =
      pipeline.cluster.scalar("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::text");
  pipeline.cluster.execute("INSERT INTO t VALUES(1001)");
  const auto wait = [&](const std::string& until, const std::string& timeout) {
    return run(
        {program("deltamirror"), "wait", pipeline.mirror(), "--time", until, "--timeout", timeout});
  };
  const Result there = wait(time, "60");
  INFO(there.err);
  CHECK(there.ok());
  CHECK(std::stoi(pipeline.value("SELECT count(*) FROM t")) >= 1000);
  CHECK(pipeline.value("SELECT complete_to > '2026' FROM _deltamirror_checkpoint") == "1");
  const Result future = wait("2999-01-01 00:00", "0.1");
  CHECK(future.exit == Exit{1, 0});
  CHECK_THAT(future.err, Catch::Contains("has not reached 2999-01-01 00:00:00.000000 in time"));
  CHECK(wait("tomorrow", "1").exit == Exit{2, 0});
}

// A type's arrays may be separated by something else than a comma; PostGIS has `:`.
TEST_CASE("verify: arrays are taken apart by what separates them, by both sides on their own",
          "[mirror][verify][types][integration]") {
  Pipeline s;
  s.cluster.execute(
      "CREATE TYPE geo;"
      "CREATE FUNCTION geo_in(cstring) RETURNS geo LANGUAGE internal IMMUTABLE STRICT AS 'textin';"
      "CREATE FUNCTION geo_out(geo) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS "
      "'textout';"
      "CREATE TYPE geo (INPUT = geo_in, OUTPUT = geo_out, DELIMITER = ':', LIKE = text);"
      "CREATE DOMAIN place AS geo; CREATE DOMAIN places AS geo[]; CREATE DOMAIN corner AS box;"
      "CREATE TABLE t(id int PRIMARY KEY, b box[], g geo[], p place[], d places, c corner[],"
      "  n int[], f float8[], o bool[], z timestamptz[], x text[], m text[], l int[], e text[])");
  const std::string values =
      "'{(2,2),(1,1);(4,4),(3,3)}', '{a,b:\"c:d\":NULL}', '{x,y:z}', '{p,q:r}', "
      "'{(2,2),(1,1);(4,4),(3,3)}', '{1,NULL,-3}', '{1.5,NaN,-Infinity,NULL}', '{t,f,NULL}', "
      "'{2026-01-02 03:04:05.5+00,infinity,NULL}', "
      "E'{\"a\\\\\"b\\nc\\td\\re\\bf\\fg\\x01\",\"\",NULL,"
      "\"NULL\",ü}', '{{a,b},{c,NULL}}', '[0:1]={1,2}', '{}')";
  s.cluster.execute("INSERT INTO t VALUES(1, " + values);
  s.start_stream();
  REQUIRE(s.seed({"--table", "t"}).ok());
  s.cluster.execute("INSERT INTO t VALUES(2, " + values);
  const Result run = s.run_once();
  INFO(run.err);
  REQUIRE(run.ok());
  for (const char* id : {"1", "2"}) {
    CAPTURE(id);
    const auto value = [&](const std::string& column) {
      return s.value("SELECT " + column + " FROM t WHERE id = " + id);
    };
    CHECK(value("b") == R"x(["(2,2),(1,1)","(4,4),(3,3)"])x");
    CHECK(value("c") == R"x(["(2,2),(1,1)","(4,4),(3,3)"])x");
    CHECK(value("g") == R"x(["a,b","c:d",null])x");
    CHECK(value("p") == R"x(["x,y","z"])x");
    CHECK(value("d") == R"x(["p,q","r"])x");
    CHECK(value("n || f || o || e") ==
          R"([1,null,-3][1.5,"NaN","-Infinity",null][true,false,null][])");
  }
  const auto verify = [&] {
    return support::run({program("deltamirror"), "verify", s.mirror(), "-d", s.cluster.conninfo(),
                         "--daystream", s.stream()});
  };
  const Result equal = verify();
  INFO(equal.err << equal.out);
  REQUIRE(equal.ok());
  // As a mirror would be that believes in commas.
  deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec(R"(UPDATE t SET g = '["a","b:\"c:d\":NULL"]' WHERE id = 1;
               UPDATE _deltamirror_tables SET columns = replace(columns, '"delimiter":":"', '"delimiter":","'))");
  const Result garbled = verify();
  CHECK_FALSE(garbled.ok());
  CHECK_THAT(garbled.err + garbled.out, Catch::Contains("row id=1 differs in g"));
}

TEST_CASE("mirror: who waits for a table's lock says so, and hears that it is to end",
          "[mirror][integration]") {
  Pipeline pipeline;
  pipeline.cluster.execute("CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES(1)");
  pipeline.start_stream();
  REQUIRE(pipeline.seed({"--table", "t"}).ok());
  Session lock = pipeline.cluster.session();
  lock.execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
  std::vector<std::string> argv = {
      program("deltamirror"),      "verify",      pipeline.mirror(), "-d",
      pipeline.cluster.conninfo(), "--daystream", pipeline.stream()};
  SECTION("verify") {}
  SECTION("seed") {
    argv[1] = "seed";
    argv[2] = (pipeline.dir / "other.db").string();
    argv.insert(argv.end(), {"--table", "t"});
  }
  CAPTURE(argv[1]);
  Process waiting(argv);
  CHECK(eventually([&] {
    return waiting.err().find("waiting for table \"public.t\": another transaction") !=
           std::string::npos;
  }));
  waiting.signal(SIGTERM);
  CHECK(waiting.wait() == Exit{1, 0});
  CHECK_THAT(waiting.err(), Catch::Contains("stopped before all"));
  lock.execute("COMMIT");
  CHECK(run(argv).ok());
}
