#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <thread>

#include "bank.h"
#include "pipeline.h"

using namespace support;

namespace {

const std::string kAccounts = "SELECT id || '|' || balance || '|' || note FROM account ORDER BY id";
const std::string kLedger =
    "SELECT id || '|' || src || '|' || dst || '|' || amount FROM ledger ORDER BY id";

}  // namespace

TEST_CASE("mirror: a seed in the middle of a load, kills and readers end up equal",
          "[mirror][integration]") {
  Pipeline pipeline;
  Bank bank(pipeline.cluster);
  pipeline.start_stream();
  bank.start();
  REQUIRE(eventually([&] { return bank.transfers() > 200; }));
  const Result seeded = pipeline.seed({"--table", "account", "--table", "ledger"});
  INFO(seeded.err);
  REQUIRE(seeded.ok());

  const std::uint64_t before = bank.transfers();
  std::uint64_t reads = 0;
  pipeline.start_run();
  const deltamirror::Database reader = pipeline.open();
  for (int kills = 0; kills < 8; ++kills) {
    for (int i = 0; i < 250; ++i) {
      ++reads;
      REQUIRE(reader.value("SELECT sum(balance) FROM account") == "200000");
    }
    pipeline.kill_run();
    CHECK(reader.value("SELECT sum(balance) FROM account") == "200000");
    pipeline.start_run();
  }
  REQUIRE(eventually([&] { return bank.transfers() > before + 500; }));
  bank.stop();
  pipeline.catch_up();
  CHECK(reads == 2000);
  CHECK(pipeline.rows(kAccounts) == pipeline.source_rows(kAccounts));
  CHECK(pipeline.rows(kLedger) == pipeline.source_rows(kLedger));
  CHECK(pipeline.value("PRAGMA integrity_check") == "ok");
  pipeline.runner->signal(SIGTERM);
  CHECK(pipeline.runner->wait() == Exit{0, 0});
}

TEST_CASE("mirror: many seeds under load are each exact", "[mirror][integration]") {
  Pipeline pipeline;
  Bank bank(pipeline.cluster);
  pipeline.start_stream();
  bank.start();
  for (int i = 0; i < 10; ++i) {
    for (const char* suffix : {"", "-wal", "-shm", ".lock"}) {
      std::filesystem::remove(pipeline.mirror() + suffix);
    }
    // An old transaction that the snapshot must not see, and one that ends while it is copied.
    Session old = pipeline.cluster.session();
    old.execute("BEGIN; INSERT INTO ledger(src, dst, amount) VALUES(0, 0, 0)");
    const Result seeded = pipeline.seed({"--table", "account", "--table", "ledger"});
    INFO(seeded.err);
    REQUIRE(seeded.ok());
    old.execute("COMMIT");
    const Result run = pipeline.run_once();
    INFO(run.err);
    REQUIRE(run.ok());
    REQUIRE(pipeline.value("SELECT sum(balance) FROM account") == "200000");
    REQUIRE(pipeline.value("SELECT count(*) FROM ledger WHERE src = 0") == std::to_string(i + 1));
  }
  bank.stop();
  REQUIRE(pipeline.run_once().ok());
  CHECK(pipeline.rows(kAccounts) == pipeline.source_rows(kAccounts));
  CHECK(pipeline.rows(kLedger) == pipeline.source_rows(kLedger));
}

TEST_CASE("mirror: a table truncated or rewritten while a seed waits for it is whole",
          "[mirror][integration]") {
  Pipeline pipeline;
  pipeline.cluster.execute(
      "CREATE TABLE a(id int PRIMARY KEY, v text); INSERT INTO a SELECT i, 'old' FROM "
      "generate_series(1, 100) i; CREATE TABLE b(id int PRIMARY KEY, v int);"
      "INSERT INTO b SELECT i, i FROM generate_series(1, 100) i");
  pipeline.start_stream();
  Session other = pipeline.cluster.session();
  other.execute(
      "BEGIN; TRUNCATE a; INSERT INTO a SELECT i, 'new' FROM generate_series(1, 50) i;"
      "ALTER TABLE b ALTER v TYPE bigint USING v + 1");
  Process seed({program("deltamirror"), "seed", pipeline.mirror(), "-d",
                pipeline.cluster.conninfo(), "--daystream", pipeline.stream(), "--table", "a",
                "--table", "b"});
  REQUIRE(eventually([&] {
    return pipeline.cluster.scalar("SELECT count(*) FROM pg_locks WHERE NOT granted") != "0";
  }));
  other.execute("COMMIT");
  CHECK(seed.wait() == Exit{0, 0});
  REQUIRE(pipeline.run_once().ok());
  CHECK(pipeline.value("SELECT count(*) || min(v) FROM a") == "50new");
  CHECK(pipeline.value("SELECT count(*) || '/' || sum(v) FROM b") == "100/5150");
}

TEST_CASE("mirror: a change of the key keeps a TOASTed value that did not change",
          "[mirror][integration]") {
  Pipeline pipeline;
  pipeline.cluster.execute(
      "CREATE TABLE t(id int PRIMARY KEY, big text, small int);"
      "ALTER TABLE t ALTER big SET STORAGE EXTERNAL;"
      "INSERT INTO t VALUES(1, repeat('x', 100000), 1)");
  pipeline.start_stream();
  REQUIRE(pipeline.seed({"--table", "t"}).ok());
  pipeline.cluster.execute("UPDATE t SET id = 2, small = 2; UPDATE t SET small = 3");
  REQUIRE(pipeline.run_once().ok());
  CHECK(pipeline.value("SELECT id || '|' || length(big) || '|' || small FROM t") == "2|100000|3");
}

TEST_CASE("mirror: a reader under another user id may read in every state",
          "[mirror][integration]") {
  const User nobody = getuid() == 0 ? User::named("nobody") : User::caller();
  Pipeline pipeline;
  pipeline.cluster.execute("CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES(1)");
  pipeline.start_stream();
  REQUIRE(pipeline.seed({"--table", "t"}).ok());
  const std::string python =
      "import sqlite3, sys; print(sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True)"
      ".execute('SELECT count(*) FROM t').fetchone()[0])";
  // What people have: the shell, Python where it is installed, both without any option of ours.
  const auto read = [&] {
    std::string count = run_ok(
        {"sqlite3", "-readonly", pipeline.mirror(), "SELECT count(*) FROM t"}, {.user = nobody});
    if (std::filesystem::exists("/usr/bin/python3")) {
      CHECK(run_ok({"/usr/bin/python3", "-c", python, pipeline.mirror()}, {.user = nobody}) ==
            count);
    }
    return count;
  };
  CHECK(read() == "1\n");  // after the seed
  pipeline.start_run();
  pipeline.cluster.execute("INSERT INTO t VALUES(2)");
  pipeline.catch_up();
  CHECK(read() == "2\n");  // while it runs
  pipeline.runner->signal(SIGTERM);
  CHECK(pipeline.runner->wait() == Exit{0, 0});
  CHECK(read() == "2\n");  // after a clean stop
  pipeline.start_run();
  pipeline.cluster.execute("INSERT INTO t VALUES(3)");
  pipeline.catch_up();
  pipeline.kill_run();
  CHECK(read() == "3\n");  // after SIGKILL
}

TEST_CASE("mirror: every kind of key and identity is followed", "[mirror][integration]") {
  Pipeline pipeline;
  pipeline.cluster.execute(R"(
    CREATE SCHEMA "Ops Center";
    CREATE TABLE "Ops Center"."a ""b"""(k text PRIMARY KEY, "tab	bed" text);
    CREATE TABLE two(x int, y text, v int, PRIMARY KEY(y, x));
    CREATE TABLE by_index(a int NOT NULL, b int NOT NULL UNIQUE, v text);
    ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_b_key;
    CREATE TABLE keyless(a int, b text);
    ALTER TABLE keyless REPLICA IDENTITY FULL;
    CREATE TABLE full_pk(id int PRIMARY KEY, v text);
    ALTER TABLE full_pk REPLICA IDENTITY FULL;
    INSERT INTO keyless VALUES(1, 'x'), (1, 'x'), (1, 'x'), (NULL, NULL))");
  pipeline.start_stream();
  const Result seeded =
      pipeline.seed({"--table", R"("Ops Center"."a ""b""")", "--as", "ab", "--table", "two",
                     "--table", "by_index", "--table", "keyless", "--table", "full_pk"});
  INFO(seeded.err);
  REQUIRE(seeded.ok());
  pipeline.cluster.execute(R"(
    INSERT INTO "Ops Center"."a ""b""" VALUES('q	\', E'\\N'), ('', NULL), ('NULL', '');
    UPDATE "Ops Center"."a ""b""" SET k = 'new' WHERE k = '';
    INSERT INTO two VALUES(1, 'a', 1), (2, 'a', 2), (3, 'b', 3);
    UPDATE two SET x = 10 WHERE x = 1; UPDATE two SET v = 20 WHERE x = 2; DELETE FROM two WHERE x = 3;
    INSERT INTO by_index VALUES(1, 1, 'a'), (1, 2, 'b');
    UPDATE by_index SET a = 5 WHERE b = 1; UPDATE by_index SET b = 7 WHERE b = 2;
    DELETE FROM keyless WHERE ctid = (SELECT min(ctid) FROM keyless);
    UPDATE keyless SET b = 'y' WHERE ctid = (SELECT min(ctid) FROM keyless WHERE a = 1);
    DELETE FROM keyless WHERE a IS NULL;
    INSERT INTO full_pk VALUES(1, 'a'), (2, NULL); UPDATE full_pk SET v = 'b' WHERE id = 1;
    UPDATE full_pk SET id = 3 WHERE id = 2; DELETE FROM full_pk WHERE id = 1)");
  const Result run = pipeline.run_once();
  INFO(run.err);
  REQUIRE(run.ok());
  CHECK(pipeline.rows("SELECT k || '|' || coalesce(\"tab\tbed\", 'null') FROM ab ORDER BY k") ==
        Texts{"NULL|", "new|null", "q\t\\|\\N"});
  CHECK(pipeline.rows("SELECT x || y || v FROM two ORDER BY x") == Texts{"2a20", "10a1"});
  CHECK(pipeline.rows("SELECT a || ',' || b || v FROM by_index ORDER BY b") ==
        Texts{"5,1a", "1,7b"});
  CHECK(pipeline.rows("SELECT a || b FROM keyless ORDER BY b") == Texts{"1x", "1y"});
  CHECK(pipeline.rows("SELECT id || coalesce(v, 'null') FROM full_pk") == Texts{"3null"});
}

TEST_CASE("mirror: seed and replay agree to the byte on every type", "[mirror][integration]") {
  Pipeline pipeline;
  // Settings of the database must not leak into what a seed reads.
  pipeline.cluster.execute(R"(
    ALTER DATABASE postgres SET datestyle = 'SQL, DMY';
    ALTER DATABASE postgres SET intervalstyle = 'sql_standard';
    ALTER DATABASE postgres SET bytea_output = 'escape';
    ALTER DATABASE postgres SET extra_float_digits = -15;
    ALTER DATABASE postgres SET timezone = 'Asia/Kolkata';
    CREATE TYPE mood AS ENUM('007', 'sad');
    CREATE DOMAIN counted AS bigint;
    CREATE TYPE pair AS (a int, b boolean);
    CREATE TABLE v(id int PRIMARY KEY, i2 smallint, i8 bigint, o oid, b boolean, f4 real,
      f8 double precision, n numeric, n2 numeric(10,2), m money, t text, vc varchar(20), bc char(5),
      nm name, ch "char", u uuid, e mood, by bytea, j json, jb jsonb, d date, ts timestamp,
      tz timestamptz, ti time, tt timetz, iv interval, ip inet, ci cidr, mac macaddr, bi bit(3),
      vb bit varying, ai int[], at text[], ab boolean[], af float8[], ad timestamptz[], an numeric[],
      r int4range, mr int4multirange, p point, bx box[], c counted, ca counted[], co pair,
      tv tsvector, x xml, rc regclass, l pg_lsn))");
  pipeline.start_stream();
  const std::string values = R"(
    (1, -32768, 9223372036854775807, 4294967295, true, 0.1, 1e-300, '1.10', 2.50, '-1234.5', E'tab\tnl\nback\\',
     '', 'ab', 'nm', 'c', '11111111-1111-1111-1111-111111111111', '007', '\x00ff', '1e5', '{"a": [1,  2]}',
     '2026-11-21', '2026-11-21 10:15:04.5', '2026-11-21 10:15:04.123456+00', '24:00:00', '10:00:00+02',
     '1 mon 2 days 03:04:05.6', '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', B'101', B'10',
     '{1,NULL,3}', '{"a,b","NULL",NULL,"","q\"\\"}', '{t,f}', '{1.5,NaN,Infinity}',
     '{2026-11-21 10:15:04+00}', '{1.10}', '[1,5)', '{[1,3),[5,7)}', '(1.5,2)',
     '{(2,2),(1,1);(4,4),(3,3)}', 7, '{7,8}', '(1,t)', 'a fat cat', '<a>b</a>', 'v', '0/17B1480'),
    (2, 0, 0, 0, false, 'NaN', '-Infinity', 'NaN', 0.00, 0, 'NULL', '\N', '', '', '', NULL, 'sad', '',
     'null', 'null', 'infinity', '-infinity', '0044-03-15 00:00:00+00 BC', '00:00', '00:00+00', '0',
     '::1', '::/0', NULL, B'000', B'', '{}', '{}', '{}', '{}', '{}', '{}', 'empty', '{}', '(-0,0)',
     '{}', 0, '{}', NULL, '', '', NULL, '0/0'),
    (3, NULL, NULL, NULL, NULL, '-0', '-0', '1e100', NULL, NULL, E'é€😀\r\x07', NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, '10000-01-01', '0001-01-01 00:00:00', 'infinity', NULL, NULL,
     '-1 year', NULL, NULL, NULL, NULL, NULL, '[0:1]={1,2}', '{{a,b},{c,d}}', NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL))";
  pipeline.cluster.execute("INSERT INTO v VALUES " + values);
  const Result seeded = pipeline.seed({"--table", "v"});
  INFO(seeded.err);
  REQUIRE(seeded.ok());
  Texts columns;
  for (const std::string& name : pipeline.rows("SELECT name FROM pragma_table_info('v')")) {
    if (name != "id") columns.push_back(name);
  }
  std::string list;
  for (const std::string& name : columns) list += ", " + name;
  pipeline.cluster.execute("INSERT INTO v SELECT id + 10" + list + " FROM v");
  const Result run = pipeline.run_once();
  INFO(run.err);
  REQUIRE(run.ok());
  CHECK(pipeline.value("SELECT count(*) FROM v") == "6");
  for (const std::string& name : columns) {
    CAPTURE(name);
    CHECK(pipeline.value("SELECT count(*) FROM v a JOIN v b ON b.id = a.id + 10 WHERE a." + name +
                         " IS b." + name + " AND typeof(a." + name + ") = typeof(b." + name +
                         ")") == "3");
  }
  CHECK(pipeline.value("SELECT tz FROM v WHERE id = 1") == "2026-11-21 10:15:04.123456");
  CHECK(pipeline.value("SELECT iv FROM v WHERE id = 1") == "1 mon 2 days 03:04:05.6");
  CHECK(pipeline.value("SELECT d || f8 || hex(by) FROM v WHERE id = 1") ==
        "2026-11-211.0e-30000FF");
  CHECK(pipeline.value("SELECT rc FROM v WHERE id = 1") == "public.v");
  CHECK(pipeline.value("SELECT ca || typeof(c) FROM v WHERE id = 1") == "[7,8]integer");
  CHECK(pipeline.value("SELECT at FROM v WHERE id = 1") == R"(["a,b","NULL",null,"","q\"\\"])");
}

TEST_CASE("mirror: an asynchronous commit undone by a crash is not in the mirror",
          "[mirror][integration]") {
  // The WAL writer sleeps long, so that the commit stays in memory.
  Pipeline pipeline({"wal_writer_delay = 10s", "fsync = on", "synchronous_commit = off"});
  pipeline.cluster.execute("CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES(0)");
  pipeline.start_stream();
  for (int i = 1; i <= 5; ++i) {
    for (const char* suffix : {"", "-wal", "-shm", ".lock"}) {
      std::filesystem::remove(pipeline.mirror() + suffix);
    }
    pipeline.cluster.execute("INSERT INTO t VALUES(" + std::to_string(i) + ")");
    Process seed({program("deltamirror"), "seed", pipeline.mirror(), "-d",
                  pipeline.cluster.conninfo(), "--daystream", pipeline.stream(), "--table", "t"});
    if (i % 2 == 1) seed.wait();
    pipeline.cluster.kill9();
    seed.wait();
    pipeline.cluster.start();
    if (!std::filesystem::exists(pipeline.mirror())) continue;
    pipeline.cluster.execute("SET synchronous_commit = on; INSERT INTO t VALUES(" +
                             std::to_string(100 + i) + ")");
    const Result run = pipeline.run_once();
    INFO(run.err);
    REQUIRE(run.ok());
    CHECK(pipeline.rows("SELECT id FROM t ORDER BY id") ==
          pipeline.source_rows("SELECT id FROM t ORDER BY id"));
  }
}

TEST_CASE("mirror: bad requests are refused with nothing written", "[mirror][integration]") {
  Pipeline pipeline;
  pipeline.cluster.execute(
      "CREATE TABLE t(id int PRIMARY KEY, v text); INSERT INTO t VALUES(1, 'a'), (2, 'b');"
      "CREATE TABLE nokey(a int); CREATE VIEW w AS SELECT * FROM t;"
      "CREATE UNLOGGED TABLE u(id int PRIMARY KEY); CREATE TABLE twin(id int PRIMARY KEY, \"ID\" "
      "int);"
      "CREATE TABLE rls(id int PRIMARY KEY); ALTER TABLE rls ENABLE ROW LEVEL SECURITY;"
      "CREATE ROLE limited LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO limited;"
      "CREATE TABLE elsewhere(id int PRIMARY KEY)");
  pipeline.start_stream("t,nokey,u,twin,rls");
  const auto refused = [&](int code, std::vector<std::string> arguments) {
    const Result result = pipeline.seed(std::move(arguments));
    CHECK(result.exit == Exit{code, 0});
    CHECK_FALSE(std::filesystem::exists(pipeline.mirror()));
    CHECK_FALSE(std::filesystem::exists(pipeline.mirror() + ".seeding"));
    CHECK_FALSE(std::filesystem::exists(pipeline.mirror() + ".lock"));
    return result.err;
  };
  CHECK_THAT(refused(2, {"--table", "nope"}), Catch::Contains("\"public.nope\" does not exist"));
  CHECK_THAT(refused(3, {"--table", "nokey"}), Catch::Contains("has no key"));
  CHECK_THAT(refused(3, {"--table", "w"}), Catch::Contains("a view"));
  CHECK_THAT(refused(3, {"--table", "u"}), Catch::Contains("an unlogged table"));
  CHECK_THAT(refused(2, {"--table", "twin"}), Catch::Contains("SQLite would both call"));
  CHECK_THAT(refused(3, {"--table", "elsewhere"}), Catch::Contains("does not hold table"));
  CHECK_THAT(refused(2, {"--table", "t", "--as", "sqlite_t"}), Catch::Contains("cannot be called"));
  CHECK_THAT(refused(2, {"--table", "t", "--query", "SELECT id FROM t WHERE id = 1"}),
             Catch::Contains("returns 1 row, but the table has 2"));
  CHECK_THAT(refused(2, {"--table", "t", "--query", "SELECT v FROM t"}),
             Catch::Contains("leaves out the key column \"id\""));
  CHECK_THAT(refused(2, {"--table", "t", "--query", "SELECT id, upper(v) AS v FROM t"}),
             Catch::Contains("is not a column of that table"));
  CHECK_THAT(refused(3, {"--table", "rls", "-d", pipeline.cluster.conninfo("postgres", "limited")}),
             Catch::Contains("row-level security"));
  pipeline.cluster.create_database("other");
  CHECK_THAT(refused(3, {"--table", "t", "-d", pipeline.cluster.conninfo("other")}),
             Catch::Contains("is of database \"postgres\""));

  REQUIRE(pipeline
              .seed({"--table", "t", "--query", "SELECT v AS label, id FROM t", "--query",
                     "SELECT count(*) AS n FROM w", "--as", "counted"})
              .ok());
  CHECK(pipeline.value("SELECT n FROM counted") == "2");
  CHECK(pipeline.seed({"--table", "t"}).exit == Exit{3, 0});
  pipeline.cluster.execute("UPDATE t SET v = 'c' WHERE id = 1; ALTER TABLE t ADD COLUMN more int");
  const Result run = pipeline.run_once();
  INFO(run.err);
  REQUIRE(run.ok());
  CHECK(pipeline.rows("SELECT id || label FROM t ORDER BY id") == Texts{"1c", "2b"});
  // Someone else's write is noticed at the row's next change.
  deltamirror::Database(pipeline.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec("DELETE FROM t WHERE id = 2");
  pipeline.cluster.execute("UPDATE t SET v = 'd' WHERE id = 2");
  const Result diverged = pipeline.run_to_trouble();
  CHECK(diverged.exit == Exit{3, 0});
  CHECK_THAT(diverged.err, Catch::Contains("lacks the row with id=2"));
}

TEST_CASE("mirror: one owner, and up goes on where it was killed", "[mirror][integration]") {
  Pipeline pipeline;
  pipeline.cluster.execute("CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES(1)");
  const std::vector<std::string> up = {program("deltamirror"),
                                       "up",
                                       pipeline.mirror(),
                                       "-d",
                                       pipeline.cluster.conninfo(),
                                       "--table",
                                       "t"};
  Process first(up, {.own_group = true});
  REQUIRE(eventually([&] { return std::filesystem::exists(pipeline.mirror()); }));
  pipeline.cluster.execute("INSERT INTO t VALUES(2)");
  pipeline.catch_up();
  const Result second = run({program("deltamirror"), "run", pipeline.mirror(), "--daystream",
                             pipeline.mirror() + ".daystream"});
  CHECK(second.exit == Exit{1, 0});
  CHECK_THAT(second.err,
             Catch::Contains("in use by deltamirror (pid " + std::to_string(first.pid())));
  first.signal_group(SIGKILL);
  first.wait();
  pipeline.cluster.execute("INSERT INTO t VALUES(3)");
  Process again(up);
  pipeline.catch_up();
  CHECK(pipeline.value("SELECT count(*) FROM t") == "3");
  again.signal(SIGTERM);
  CHECK(again.wait() == Exit{0, 0});
  // The child is gone with it, so the slot is free.
  CHECK(eventually(
      [&] { return pipeline.cluster.scalar("SELECT active FROM pg_replication_slots") == "f"; }));
}

TEST_CASE("mirror: up takes up a table that its configuration names later",
          "[mirror][integration]") {
  Pipeline pipeline;
  pipeline.cluster.execute(
      "CREATE TABLE t(id int PRIMARY KEY); CREATE TABLE u(id int PRIMARY KEY);"
      "INSERT INTO u VALUES(1)");
  const std::string config = (pipeline.dir / "c.json").string();
  const auto write = [&](const std::string& text) { std::ofstream(config) << text; };
  write(R"({"tables": [{"table": "t"}]})");
  Process up({program("deltamirror"), "up", pipeline.mirror(), "-d", pipeline.cluster.conninfo(),
              "--config", config});
  REQUIRE(eventually([&] { return std::filesystem::exists(pipeline.mirror() + ".sock"); }));
  write(R"({"tables": [{"table": "t"}, {"table": "u"}]})");
  up.signal(SIGHUP);
  INFO(up.err());
  REQUIRE(eventually([&] {
    return pipeline.value("SELECT count(*) FROM sqlite_schema WHERE name = 'u'") == "1";
  }));
  pipeline.cluster.execute("INSERT INTO u VALUES(2)");
  pipeline.catch_up();
  CHECK(pipeline.value("SELECT count(*) FROM u") == "2");
  up.signal(SIGTERM);
  CHECK(up.wait() == Exit{0, 0});
}
