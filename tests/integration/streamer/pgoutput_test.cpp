// deltastream --source pgoutput: the same daystream without our plugin.
#include <signal.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <set>
#include <thread>

#include "stream.h"

using deltastream_test::check_sound;
using deltastream_test::contains;
using deltastream_test::Stream;
using deltastream_test::streaming;
using support::Cluster;
using support::Process;
using support::Result;

namespace {

using Lines = std::vector<std::string>;

const Lines kPgoutput = {"--source", "pgoutput", "--publication", "flood"};

Lines with(Lines arguments, const Lines& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

// What lines say, without what depends on when they came: positions, CRCs, marks, `_next`.
Lines told(const Stream& stream) {
  // Takes the pair that begins at `at` out.
  const auto take_out = [](std::string& line, std::size_t at) {
    const std::size_t end = line.find('\t', line.find('\t', at) + 1);
    line.erase(at, end + 1 - at);
  };
  Lines out;
  for (std::string& line : stream.lines("")) {
    if (contains(line, "\t_action\tmark")) continue;
    take_out(line, 0);
    take_out(line, 0);
    if (line.starts_with("_crc\t")) take_out(line, 0);
    if (const auto next = line.find("\t_next\t"); next != std::string::npos) {
      take_out(line, next + 1);
    }
    out.push_back(std::move(line));
  }
  return out;
}

// Those of `lines` that `others` lack.
Lines lacking(const Lines& others, const Lines& lines) {
  const std::set<std::string> there(others.begin(), others.end());
  Lines out;
  std::copy_if(lines.begin(), lines.end(), std::back_inserter(out),
               [&](const std::string& line) { return there.count(line) == 0; });
  return out;
}

void install(const Cluster& cluster) {
  cluster.run_tool(
      "psql", {"-q", "-v", "ON_ERROR_STOP=1"},
      {.input = support::read_file(std::string(SUPPORT_SQL_DIR) + "/deltaflood_managed.sql")});
}

// One server, both ways side by side.
struct SideBySide {
  explicit SideBySide(const std::string& before, const std::vector<std::string>& config = {})
      : cluster({.config = config}) {
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
    const Lines lines = told(managed);
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

namespace {

// A stream that runs, and a mirror of it.
struct Managed {
  explicit Managed(const std::string& before) {
    cluster.execute(before);
    install(cluster);
    cluster.execute("CREATE PUBLICATION flood FOR ALL TABLES; SELECT deltaflood.install('flood')");
    start();
  }
  void start() {
    process.emplace(stream.command(with(kPgoutput, {"--create-slot", "--if-not-exists"})));
    REQUIRE(streaming(*process));
  }
  Result mirror(const std::string& command, const Lines& more) const {
    return support::run(with({support::program("deltamirror"), command, path(), "-d",
                              cluster.conninfo(), "--daystream", stream.directory().string()},
                             more));
  }
  void seed(const Lines& tables) const {
    Lines arguments;
    for (const std::string& table : tables) arguments.insert(arguments.end(), {"--table", table});
    const Result seeded = mirror("seed", arguments);
    INFO(seeded.err);
    REQUIRE(seeded.ok());
  }
  void run() {
    runner.emplace(Lines{support::program("deltamirror"), "run", path(), "-d", cluster.conninfo(),
                         "--daystream", stream.directory().string()});
  }
  // Once it has all that is committed by now.
  void check_equal() const {
    const std::string lsn = cluster.scalar("SELECT pg_current_wal_flush_lsn()");
    const Result waited = support::run(
        {support::program("deltamirror"), "wait", path(), "--lsn", lsn, "--timeout", "60"});
    const Result verified = mirror("verify", {});
    INFO(waited.err << verified.out << verified.err << runner->err() << process->err());
    CHECK(waited.ok());
    CHECK(verified.ok());
  }
  std::string path() const { return (dir / "mirror.db").string(); }

  support::TempDir dir;
  Cluster cluster{{.config = {"logical_decoding_work_mem = 64kB"}}};
  Stream stream{cluster, "managed"};
  std::optional<Process> process;
  std::optional<Process> runner;
};

// Writes to fox and hen, with rollbacks and subtransactions, until it goes.
class Writers {
 public:
  explicit Writers(const Cluster& cluster, int count) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this, &cluster, i](const std::stop_token& stop) {
        support::Session session = cluster.session();
        for (int n = 1; !stop.stop_requested(); ++n) write(session, i * 1'000'000 + n * 10, n);
      });
    }
  }
  int transactions() const noexcept { return transactions_; }

 private:
  void write(support::Session& session, int id, int n) {
    const std::string a = std::to_string(id);
    const std::string many = n % 20 == 0 ? "500" : "1";
    session.execute("BEGIN; INSERT INTO fox (a, b) SELECT -" + a +
                    " * 10 - i, repeat('x', 300) FROM "
                    "generate_series(1, " +
                    many + ") i; SAVEPOINT s; INSERT INTO hen (a, b) VALUES (" + a +
                    ", 'gone'); ROLLBACK TO s; INSERT INTO hen (a, b) VALUES (" + a +
                    ", 'kept'); UPDATE fox "
                    "SET b = 'seen' WHERE a = -" +
                    a + " * 10 - 1; DELETE FROM hen WHERE a = " + a + " - 20; " +
                    (n % 5 == 0 ? "ROLLBACK" : "COMMIT"));
    ++transactions_;
  }

  std::atomic<int> transactions_ = 0;
  std::vector<std::jthread> threads_;
};

}  // namespace

TEST_CASE("pgoutput: a mirror that is seeded and follows under load is equal",
          "[streamer][pgoutput]") {
  Managed s(
      "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE fox (a int PRIMARY KEY, b text, m "
      "mood DEFAULT 'ok'); CREATE TABLE hen (a int PRIMARY KEY, b text)");
  {
    Writers writers(s.cluster, 3);
    REQUIRE(support::eventually([&] { return writers.transactions() > 30; }));
    s.seed({"fox", "hen"});
    s.run();
    for (const char* ddl :
         {"ALTER TABLE fox ADD c text DEFAULT 'c'", "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",
          "ALTER TABLE hen ALTER b TYPE varchar(20)", "BEGIN; ALTER TABLE fox ADD d int; ROLLBACK",
          "ALTER TABLE hen ADD e timestamptz DEFAULT clock_timestamp()"}) {
      const int before = writers.transactions();
      s.cluster.execute(ddl);
      REQUIRE(support::eventually([&] { return writers.transactions() > before + 20; }));
    }
    s.process->signal(SIGKILL);
    s.process->wait();
    s.start();
  }
  s.check_equal();
}

TEST_CASE("pgoutput: many seeds under load are each exact", "[streamer][pgoutput]") {
  Managed s(
      "CREATE TABLE fox (a int PRIMARY KEY, b text); CREATE TABLE hen (a int PRIMARY KEY, b "
      "text)");
  Writers writers(s.cluster, 4);
  for (int seed = 0; seed < 8; ++seed) {
    const int before = writers.transactions();
    REQUIRE(support::eventually([&] { return writers.transactions() > before + 10; }));
    s.seed({"fox", "hen"});
    const Result verified = s.mirror("verify", {});
    INFO(seed << verified.out << verified.err);
    CHECK(verified.ok());
    for (const char* end : {"", "-wal", "-shm", ".lock", ".sock"}) {
      std::filesystem::remove(s.path() + end);
    }
  }
}

TEST_CASE("pgoutput: what triggers do not tell is copied, and never wrong",
          "[streamer][pgoutput]") {
  Managed s(
      "CREATE TABLE fox (a int PRIMARY KEY, b text); CREATE TABLE hen (a int PRIMARY KEY, b "
      "text); INSERT INTO fox VALUES (1, 'one')");
  s.seed({"fox", "hen"});
  s.run();
  s.cluster.execute(
      "ALTER EVENT TRIGGER deltaflood_ddl DISABLE; ALTER EVENT TRIGGER "
      "deltaflood_rewrite DISABLE");
  s.cluster.execute("ALTER TABLE fox ADD c int DEFAULT 7; ALTER TABLE hen RENAME b TO d");
  s.cluster.execute("INSERT INTO fox VALUES (2, 'two', 2); INSERT INTO hen VALUES (1, 'x')");
  REQUIRE(support::eventually([&] { return contains(s.process->err(), "told again"); }));
  REQUIRE(s.stream.caught_up());
  s.cluster.execute("INSERT INTO fox VALUES (3, 'three', 3); UPDATE hen SET d = 'y'");
  s.check_equal();
  const Lines lines = told(s.stream);
  CHECK(std::any_of(lines.begin(), lines.end(),
                    [](const std::string& line) { return contains(line, "\t_untold\t"); }));
}

TEST_CASE("pgoutput: a slot that somebody else has made is followed", "[streamer][pgoutput]") {
  const Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY)");
  install(cluster);
  cluster.execute("CREATE PUBLICATION flood FOR TABLE fox; SELECT deltaflood.install('flood')");
  cluster.execute("SELECT pg_create_logical_replication_slot('s', 'pgoutput')");
  cluster.execute("INSERT INTO fox VALUES (1)");
  const Stream stream(cluster, "s");
  Process process = stream.start(kPgoutput);
  REQUIRE(streaming(process));
  REQUIRE(support::eventually([&] { return contains(process.err(), "told again"); }));
  REQUIRE(stream.caught_up());
  cluster.execute("INSERT INTO fox VALUES (2)");
  REQUIRE(stream.caught_up());
  const Lines lines = told(stream);
  CHECK(contains(lines.at(0), "_table\t\"fox\"\t"));
  CHECK(contains(lines.at(1), "_table\tfox\t"));
  CHECK(contains(lines.at(lines.size() - 2), "\t_action\tinsert\ta\t2"));
  CHECK(stream.lines("\ttables\t\"public\".\"fox\"\tpublication\tflood").size() == 1);

  // Another table comes in: it is held once nobody runs who wrote to it before.
  cluster.execute("CREATE TABLE hen (a int PRIMARY KEY)");
  support::Session old = cluster.session();
  old.execute("BEGIN; INSERT INTO hen VALUES (1)");
  cluster.execute("ALTER PUBLICATION flood ADD TABLE hen; INSERT INTO hen VALUES (2)");
  std::this_thread::sleep_for(std::chrono::seconds(12));
  CHECK(stream.lines("\ttables\t\"public\".\"fox\",\"public\".\"hen\"").empty());
  old.execute("COMMIT");
  CHECK(support::eventually([&] {
    cluster.execute("INSERT INTO fox SELECT max(a) + 1 FROM fox");
    return !stream.lines("\ttables\t\"public\".\"fox\",\"public\".\"hen\"").empty();
  }));
}

TEST_CASE("pgoutput: a publication that leaves something out is refused", "[streamer][pgoutput]") {
  const Cluster cluster;
  const Stream stream(cluster, "s");
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY, b text); CREATE TABLE hen (a int)");
  const auto refused = [&](const std::string& sql, const std::string& message,
                           const std::string& hint) {
    if (!sql.empty()) cluster.execute(sql);
    const Result result = stream.run(with(kPgoutput, {"--create-slot"}));
    INFO(sql << '\n' << result.err);
    CHECK(result.exit == support::Exit{3, 0});
    CHECK(contains(result.err, message));
    CHECK(contains(result.err, "HINT: " + hint));
    CHECK(cluster.scalar("SELECT count(*) FROM pg_replication_slots") == "0");
    CHECK_FALSE(stream.exists());
  };
  refused("", "publication \"flood\" does not exist", "CREATE PUBLICATION \"flood\"");
  refused("CREATE PUBLICATION flood FOR TABLE fox", "has no table deltaflood.ddl", "psql -f");
  install(cluster);
  refused("", "does not publish deltaflood.ddl", "SELECT deltaflood.install('flood');");
  cluster.execute("SELECT deltaflood.install('flood')");
  refused("ALTER PUBLICATION flood SET (publish = 'insert')", "does not publish all changes",
          "ALTER PUBLICATION \"flood\" SET (publish = 'insert, update, delete, truncate');");
  refused(
      "ALTER PUBLICATION flood SET (publish = 'insert, update, delete, truncate', "
      "publish_via_partition_root)",
      "publishes partitions via their root", "ALTER PUBLICATION \"flood\" SET (publish_via");
  refused(
      "ALTER PUBLICATION flood SET (publish_via_partition_root = false); ALTER PUBLICATION "
      "flood SET TABLE deltaflood.ddl, fox (a)",
      "has a list of columns on table fox", "ALTER PUBLICATION \"flood\" DROP TABLE fox;");
  refused("ALTER PUBLICATION flood SET TABLE deltaflood.ddl, fox WHERE (a > 1)",
          "has a row filter on table fox", "ALTER PUBLICATION \"flood\" DROP TABLE fox;");
  refused("ALTER PUBLICATION flood SET TABLE deltaflood.ddl, fox, hen",
          "table hen of publication \"flood\" has no replica identity", "ALTER TABLE hen ADD");
  const Result check = stream.run(with(kPgoutput, {"--check", "--create-slot"}));
  CHECK(contains(check.out, "table hen has no replica identity"));
  cluster.execute("ALTER TABLE hen REPLICA IDENTITY FULL");
  CHECK(stream.run_to_end(with(kPgoutput, {"--create-slot"})).ok());
  // Not a slot of the plugin, nor the other way round.
  const Result plugin = stream.run_to_end();
  CHECK(plugin.exit == support::Exit{3, 0});
  CHECK(contains(plugin.err, "uses plugin \"pgoutput\", not \"deltaflood\""));
  CHECK(stream.run({"--source", "pgoutput"}).exit == support::Exit{2, 0});
  CHECK(stream.run(with(kPgoutput, {"--tables", "fox"})).exit == support::Exit{2, 0});
}
