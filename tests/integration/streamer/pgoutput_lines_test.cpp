// deltastream --source pgoutput: the same lines as with our plugin.
#include <signal.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <iterator>
#include <set>

#include "pgoutput.h"
#include "support/fault_preload.h"

using namespace deltastream_test;

namespace {

// Those of `lines` that `others` lack.
Lines lacking(const Lines& others, const Lines& lines) {
  const std::set<std::string> there(others.begin(), others.end());
  Lines out;
  std::copy_if(lines.begin(), lines.end(), std::back_inserter(out),
               [&](const std::string& line) { return there.count(line) == 0; });
  return out;
}

// One server, both ways side by side.
struct SideBySide {
  explicit SideBySide(const std::string& before, const std::vector<std::string>& config = {},
                      const std::vector<std::string>& initdb = {})
      : cluster({.config = config, .initdb_arguments = initdb}) {
    cluster.execute(before);
    install(cluster);
    cluster.execute("CREATE PUBLICATION flood FOR ALL TABLES; SELECT deltaflood.install('flood')");
    plugin.create_slot();
    const Result made = managed.run_to_end(with(kPgoutput, {"--create-slot"}));
    CAPTURE(made.err);
    REQUIRE(made.ok());
  }

  void read_on() const {
    const Result one = plugin.run_to_end({"-o", "exclude-tables=deltaflood.*"});
    const Result other = managed.run_to_end(kPgoutput);
    CAPTURE(one.err, other.err);
    REQUIRE(one.ok());
    REQUIRE(other.ok());
  }
  // All lines of both, which are the same.
  Lines same() const {
    read_on();
    check_sound(managed);
    Lines lines = told(managed);
    const Lines wanted = told(plugin);
    CHECK(lacking(lines, wanted) == Lines{});
    CHECK(lacking(wanted, lines) == Lines{});
    const bool same = lines == wanted;
    CHECK(same);
    return lines;
  }

  Cluster cluster;
  Stream plugin{cluster, "plugin"};
  Stream managed{cluster, "managed"};
};

}  // namespace

TEST_CASE("pgoutput: rows are told as the plugin tells them", "[streamer][pgoutput]") {
  const SideBySide both(R"(
    CREATE TABLE flight (id int PRIMARY KEY, name text, late boolean, at timestamptz, price numeric,
                         raw bytea, span interval, doc jsonb, tags text[], big text);
    ALTER TABLE flight ALTER big SET STORAGE EXTERNAL;
    CREATE TABLE "Odd.Name" ("Key" text, "select" float8, PRIMARY KEY ("Key", "select"));
    CREATE SCHEMA ops;
    CREATE TABLE ops.pair (a int, b text);
    ALTER TABLE ops.pair REPLICA IDENTITY FULL;
    CREATE TABLE byindex (a int NOT NULL, b text NOT NULL, c text);
    CREATE UNIQUE INDEX byindex_b ON byindex (b);
    ALTER TABLE byindex REPLICA IDENTITY USING INDEX byindex_b)");
  both.cluster.execute(R"(
    INSERT INTO flight VALUES (1, E'tab\there\\ \n', true, '2017-10-09 02:03:04.5+02', 1.50, '\xdead',
      '1 day 02:00', '{"a": [1, null]}', '{a,"b c",NULL}', repeat('x', 5000)),
      (2, NULL, false, 'infinity', 'NaN', '', NULL, NULL, '{}', NULL))");
  both.cluster.execute("UPDATE flight SET name = 'other' WHERE id = 1");
  both.cluster.execute("UPDATE flight SET id = 3, name = NULL WHERE id = 1");
  both.cluster.execute("UPDATE flight SET big = 'small' WHERE id = 3");
  both.cluster.execute("DELETE FROM flight WHERE id = 2");
  both.cluster.execute("INSERT INTO \"Odd.Name\" VALUES ('hén', 0.1), ('', 'Infinity')");
  both.cluster.execute("UPDATE \"Odd.Name\" SET \"select\" = 1e300 WHERE \"Key\" = ''");
  both.cluster.execute("INSERT INTO ops.pair VALUES (1, NULL), (NULL, 'x')");
  both.cluster.execute("UPDATE ops.pair SET a = 2 WHERE b IS NULL; DELETE FROM ops.pair");
  both.cluster.execute("INSERT INTO byindex VALUES (1, 'a', 'x'); UPDATE byindex SET c = NULL");
  both.cluster.execute("UPDATE byindex SET b = 'b'; DELETE FROM byindex");
  both.cluster.execute(
      "BEGIN; SAVEPOINT a; INSERT INTO byindex VALUES (3, 'c'); "
      "ROLLBACK TO a; INSERT INTO byindex VALUES (4, 'd'); COMMIT");
  both.cluster.execute("BEGIN; INSERT INTO byindex VALUES (5, 'e'); ROLLBACK");
  both.cluster.execute("SELECT pg_logical_emit_message(false, 'noise', 'of no transaction')");
  both.cluster.execute(
      "BEGIN; INSERT INTO byindex VALUES (6, 'f'); "
      "SELECT pg_logical_emit_message(false, 'noise', 'of none'), "
      "pg_logical_emit_message(true, 'noise', 'of this one'); COMMIT");
  both.cluster.execute("TRUNCATE flight, ops.pair; INSERT INTO flight (id) VALUES (9)");
  CHECK(both.same().size() > 40);
}

TEST_CASE("pgoutput: shapes are told as the plugin tells them", "[streamer][pgoutput]") {
  const SideBySide both(R"(
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE DOMAIN price AS numeric(10,2) CHECK (VALUE > 0);
    CREATE TYPE pair AS (x int, m mood);
    CREATE TABLE fox (a int PRIMARY KEY, m mood, p price, q pair, r int4range, t mood[]);
    CREATE TABLE hen (a int PRIMARY KEY, b text);
    CREATE TABLE parted (a int PRIMARY KEY, b text) PARTITION BY RANGE (a);
    CREATE TABLE parted1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
    CREATE TABLE parted2 PARTITION OF parted FOR VALUES FROM (100) TO (200);
    INSERT INTO fox VALUES (0, 'sad'))");
  const auto run = [&](const std::string& sql) { both.cluster.execute(sql); };
  run("INSERT INTO fox VALUES (1, 'ok', 1.5, (1, 'sad'), '[1,3)', '{ok,sad}')");
  run("INSERT INTO parted VALUES (1, 'a'), (101, 'b'); TRUNCATE parted1; TRUNCATE parted");
  run("ALTER TABLE fox ADD c text DEFAULT 'was\tthere' NOT NULL");
  run("INSERT INTO fox (a, c) VALUES (2, 'x')");
  run("ALTER TABLE fox ADD d boolean DEFAULT true");
  run("ALTER TABLE hen RENAME TO cock");
  run("INSERT INTO cock VALUES (1, 'x')");
  run("ALTER TABLE cock RENAME b TO \"B\"; ALTER TABLE cock SET SCHEMA public");
  run("BEGIN; INSERT INTO cock VALUES (2, 'y'); ALTER TABLE cock ADD e int; "
      "INSERT INTO cock VALUES (3, 'z', 1); ALTER TABLE cock DROP COLUMN \"B\"; "
      "INSERT INTO cock VALUES (4, 2); COMMIT");
  run("BEGIN; ALTER TABLE cock ADD f int; ROLLBACK");
  run("BEGIN; SAVEPOINT s; ALTER TABLE cock ADD f int; INSERT INTO cock VALUES (5, 2, 3); "
      "ROLLBACK TO s; INSERT INTO cock VALUES (5, 2); COMMIT");
  run("CREATE TABLE young (a int PRIMARY KEY); INSERT INTO young VALUES (1)");
  run("DROP TABLE young");
  run("ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'");
  run("INSERT INTO fox (a, m, c) VALUES (3, 'fine', '')");
  run("ALTER TYPE mood ADD VALUE 'great'");
  run("ALTER TYPE pair ADD ATTRIBUTE y text");
  run("ALTER TABLE cock REPLICA IDENTITY FULL; UPDATE cock SET e = e + 1 WHERE a = 4");
  run("ALTER TABLE fox ALTER c TYPE varchar");
  run("CREATE SCHEMA ops; ALTER TABLE cock SET SCHEMA ops; INSERT INTO ops.cock VALUES (9, 9)");
  run("ALTER SCHEMA ops RENAME TO works; INSERT INTO works.cock VALUES (10, 9)");
  run("BEGIN; ALTER TABLE fox RENAME TO x; ALTER TABLE works.cock RENAME TO fox; "
      "ALTER TABLE x RENAME TO cock; COMMIT");
  run("ALTER TABLE parted DETACH PARTITION parted2; INSERT INTO parted2 VALUES (150, 'x')");
  run("DROP TABLE parted, parted2");
  run("ALTER TABLE works.fox SET UNLOGGED");
  CHECK(both.same().size() > 40);
}

TEST_CASE("pgoutput: CREATE TABLE AS tells its rows", "[streamer][pgoutput]") {
  const SideBySide both("CREATE TABLE fox (a int PRIMARY KEY)");
  both.cluster.execute("INSERT INTO fox SELECT generate_series(1, 5)");
  both.cluster.execute("CREATE TABLE copy AS SELECT * FROM fox");
  both.cluster.execute("SELECT * INTO other FROM fox");
  const Lines lines = both.same();
  CHECK(std::count_if(lines.begin(), lines.end(), [](const std::string& line) {
          return contains(line, "_table\tcopy\t") && contains(line, "\tinsert\t");
        }) == 5);
}

TEST_CASE("pgoutput: of a rewrite no rows are told, and the table is said to be untold",
          "[streamer][pgoutput]") {
  const SideBySide both("CREATE TABLE fox (a int PRIMARY KEY, b text)");
  both.cluster.execute("INSERT INTO fox VALUES (1, '5')");
  both.cluster.execute("ALTER TABLE fox ALTER b TYPE int USING b::int");
  both.cluster.execute("INSERT INTO fox VALUES (2, 6)");
  both.read_on();
  const Lines lines = told(both.managed);
  REQUIRE(lines.size() == 8);
  CHECK(contains(lines[3],
                 "_untold\tit was rewritten, and pgoutput tells no rows of that\t_action\t"
                 "oversize"));
  CHECK(contains(lines[4], "\t_action\tschema\ta\t1 integer not null\tb\t2 integer"));
  CHECK(contains(lines[5], "\t_action\tcommit"));
  // The plugin tells the rows instead.
  CHECK(lacking(told(both.plugin), lines) == Lines{lines[3]});
  CHECK(lacking(lines, told(both.plugin)).size() == 2);
}

TEST_CASE("pgoutput: transactions in pieces are told as the plugin tells them",
          "[streamer][pgoutput]") {
  const SideBySide both(
      "CREATE TABLE fox (a int PRIMARY KEY, b text); CREATE TABLE hen (a int "
      "PRIMARY KEY, b text)",
      {"logical_decoding_work_mem = 64kB"});
  support::Session one = both.cluster.session();
  support::Session other = both.cluster.session();
  const auto rows = [](const std::string& table, int from, int count) {
    return "INSERT INTO " + table + " SELECT i, repeat('x', 200) FROM generate_series(" +
           std::to_string(from) + ", " + std::to_string(from + count - 1) + ") i";
  };
  one.execute("BEGIN; " + rows("fox", 0, 2000));
  other.execute("BEGIN; " + rows("hen", 0, 2000));
  // Rolled back at once, released and then rolled back from outside, three deep.
  one.execute("SAVEPOINT a; " + rows("fox", 10'000, 1000) + "; ROLLBACK TO a");
  one.execute("SAVEPOINT b; " + rows("fox", 20'000, 500) + "; SAVEPOINT c; " +
              rows("fox", 30'000, 500) + "; SAVEPOINT d; " + rows("fox", 40'000, 500) +
              "; RELEASE c; " + rows("fox", 50'000, 500) + "; ROLLBACK TO b");
  one.execute("SAVEPOINT e; ALTER TABLE fox ADD c int; " + rows("fox (a, b)", 60'000, 1000) +
              "; ROLLBACK TO e; " + rows("fox", 70'000, 1000));
  other.execute(
      "SAVEPOINT f; " + rows("hen", 10'000, 1000) +
      "; RELEASE f; ALTER TABLE hen ADD c "
      "int DEFAULT 7; INSERT INTO hen SELECT i, 'y', i FROM generate_series(20000, 23000) "
      "i; UPDATE hen SET b = 'z' WHERE a < 1500; TRUNCATE hen; " +
      rows("hen (a, b)", 0, 900));
  both.cluster.execute("BEGIN; " + rows("fox", 90'000, 3000) + "; ROLLBACK");
  one.execute("COMMIT");
  other.execute("COMMIT");
  // Half of it has been sent when the stream breaks off.
  one.execute("BEGIN; " + rows("fox", 100'000, 3000));
  {
    Process process = both.managed.start(kPgoutput);
    REQUIRE(streaming(process));
    REQUIRE(both.managed.caught_up());
    process.signal(SIGKILL);
    process.wait();
  }
  CHECK(std::filesystem::exists(both.managed.directory() / ".spool"));
  both.read_on();  // each connection tells shapes again
  one.execute(rows("fox", 110'000, 3000) + "; COMMIT");
  CHECK(both.same().size() > 9000);
  CHECK(!std::filesystem::exists(both.managed.directory() / ".spool"));
  CHECK(both.cluster.scalar("SELECT stream_txns > 0 FROM pg_stat_replication_slots WHERE slot_name "
                            "= 'managed'") == "t");
}

TEST_CASE(
    "pgoutput: transactions that have no room here stay at the server until they are committed",
    "[streamer][pgoutput]") {
  const SideBySide both("CREATE TABLE fox (a int PRIMARY KEY, b text)",
                        {"logical_decoding_work_mem = 64kB"});
  const bool by_disk = GENERATE(true, false);
  support::FaultPreload full({.calls = {"write", "pwrite"},
                              .path_prefix = (both.managed.directory() / ".spool").string(),
                              .at = 2,
                              .sticky = true,
                              .error = ENOSPC});
  both.cluster.execute(
      "BEGIN; INSERT INTO fox SELECT i, repeat('x', 500) FROM generate_series(1, 4000) i; "
      "SAVEPOINT s; INSERT INTO fox SELECT i, repeat('y', 500) FROM generate_series(5000, 6000) i; "
      "ROLLBACK TO s; COMMIT; INSERT INTO fox VALUES (0, 'after')");
  const Lines how = by_disk ? Lines{} : Lines{"--max-spool", "600K"};
  Process::Options options;
  if (by_disk) options.env = full.env();
  Process process(both.managed.command(with(kPgoutput, how)), options);
  REQUIRE(both.managed.caught_up());
  const std::string said = process.err();
  INFO(said);
  CHECK(contains(said, by_disk ? "no room for transactions in progress: could not write"
                               : "transactions in progress take more than --max-spool, 614400"));
  CHECK(contains(said, "lets PostgreSQL keep them until they are committed"));
  CHECK(both.cluster.scalar("SELECT spill_txns > 0 FROM pg_stat_replication_slots WHERE slot_name "
                            "= 'managed'") == "t");
  process.signal(SIGTERM);
  CHECK(process.wait() == support::Exit{0, 0});
  CHECK(both.same().size() > 4000);
}

TEST_CASE("pgoutput: databases of other encodings are told as the plugin tells them",
          "[streamer][pgoutput]") {
  const std::string encoding = GENERATE("LATIN1", "SQL_ASCII");
  CAPTURE(encoding);
  const SideBySide both(
      "CREATE TABLE fox (a int PRIMARY KEY, b text); CREATE TYPE mood AS ENUM ('sad', 'ok'); "
      "CREATE TABLE hen (a text PRIMARY KEY, m mood)",
      {}, {"-E", encoding, "--locale=C"});
  both.cluster.execute("SET client_encoding = 'UTF8'; INSERT INTO fox VALUES (1, 'h\xC3\xA9n')");
  both.cluster.execute("SET client_encoding = 'UTF8'; INSERT INTO hen VALUES ('\xC3\xA9', 'ok')");
  both.cluster.execute(
      "SET client_encoding = 'UTF8'; ALTER TABLE fox RENAME b TO \"\xC3\xA4\"; INSERT INTO fox "
      "VALUES (2, '\xC3\xBF')");
  both.cluster.execute(
      "SET client_encoding = 'UTF8'; ALTER TYPE mood RENAME VALUE 'ok' TO '\xC3\xB6k'; "
      "UPDATE hen SET a = 'b'; DELETE FROM hen");
  CHECK(both.same().size() >= 10);
}
