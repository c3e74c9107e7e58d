// Tables seeded into, copied again in and taken away from a mirror that runs.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "bank.h"
#include "lines.h"
#include "owner/unix_socket.h"
#include "pipeline.h"
#include "shards.h"
#include "support/row_compare.h"

using namespace support;
using nlohmann::json;

namespace {

struct Live : Pipeline {
  Live() {
    cluster.execute(
        "CREATE TABLE t(id int PRIMARY KEY, v text, n int);"
        "INSERT INTO t SELECT i, 'v' || i, i % 7 FROM generate_series(1, 3000) i;"
        "CREATE TABLE u(id int PRIMARY KEY, v text); INSERT INTO u VALUES(1, 'u');"
        "CREATE TABLE twins(a int, b text); ALTER TABLE twins REPLICA IDENTITY FULL;"
        "INSERT INTO twins VALUES(1, 'x'), (1, 'x'), (2, 'y')");
    start_stream();
    const Result seeded = seed({"--table", "t"});
    INFO(seeded.err);
    REQUIRE(seeded.ok());
  }
  void start(std::vector<std::string> more = {}) {
    std::vector<std::string> argv = {program("deltamirror"), "run", mirror(), "--daystream",
                                     stream()};
    argv.insert(argv.end(), more.begin(), more.end());
    runner.emplace(argv);
    REQUIRE(eventually([&] { return std::filesystem::exists(mirror() + ".sock"); }));
  }
  void end() {
    runner->signal(SIGTERM);
    CHECK(runner->wait() == Exit{0, 0});
    CHECK_FALSE(std::filesystem::exists(mirror() + ".sock"));
  }
  Result command(const std::string& verb, std::vector<std::string> more) const {
    std::vector<std::string> argv = {program("deltamirror"), verb, mirror()};
    argv.insert(argv.end(), more.begin(), more.end());
    return run(argv);
  }
  Texts differences(const Texts& tables) const {
    Session session = cluster.session();
    std::vector<ComparedTable> compared;
    for (const std::string& table : tables) compared.push_back({"public." + table, table, {}});
    return compare_tables(session, mirror(), compared);
  }
  // At any LSN a table may be on its way: a copy of it is there a little later.
  void check_equal(const Texts& tables) const {
    catch_up();
    CHECK(eventually([&] {
      return value("SELECT count(*) FROM _deltamirror_tables WHERE state = 'copying'") == "0";
    }));
    CHECK(differences(tables) == Texts{});
    CHECK(value("PRAGMA integrity_check") == "ok");
  }
  void write_config(const json& config) const { std::ofstream(dir / "c.json") << config; }
  json ask(const std::string& line) const {
    const daystream::UniqueFd fd = deltamirror::connect_to(mirror() + ".sock");
    const std::string whole = line + "\n";
    REQUIRE(write(fd.get(), whole.data(), whole.size()) == static_cast<ssize_t>(whole.size()));
    return json::parse(next_line(fd));
  }
};

}  // namespace

TEST_CASE("live: a table copied again keeps indexes, triggers and views, and is followed on",
          "[mirror][live][integration]") {
  Live s;
  deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec(R"(CREATE INDEX "by ""n""" ON "t"(n, v) WHERE n > 1;
               CREATE VIEW sevens AS SELECT count(*) AS c FROM t WHERE n = 6;
               CREATE TRIGGER guard BEFORE DELETE ON t WHEN old.id < 0
                 BEGIN SELECT raise(ABORT, 'no'); END)");
  const Texts schema = s.rows("SELECT sql FROM sqlite_schema WHERE tbl_name = 't' ORDER BY name");
  s.start({"-d", s.cluster.conninfo()});
  // Somebody has written to the mirror where no change will come by.
  deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec("UPDATE t SET v = 'wrong' WHERE id = 7; DELETE FROM t WHERE id = 8");
  CHECK(s.differences({"t"}) != Texts{});
  const Result reseeded = s.command("reseed", {"--table", "public.t", "--whole"});
  INFO(reseeded.err);
  CHECK(reseeded.ok());
  CHECK(s.differences({"t"}) == Texts{});
  CHECK(s.rows("SELECT sql FROM sqlite_schema WHERE tbl_name = 't' ORDER BY name") == schema);
  CHECK(s.value("SELECT c FROM sevens") == "428");
  CHECK(s.value("EXPLAIN QUERY PLAN SELECT * FROM t WHERE n = 3") != "NULL");
  s.cluster.execute("DELETE FROM t WHERE n = 6; UPDATE t SET v = 'b' WHERE id = 8");
  s.check_equal({"t"});
  CHECK(s.value("SELECT c FROM sevens") == "0");
  CHECK(s.value("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%shadow%'") == "0");
  s.end();
}

TEST_CASE("live: tables are added to and removed from a mirror that runs, and one that does not",
          "[mirror][live][integration]") {
  Live s;
  s.start();
  struct stat facts {};
  REQUIRE(stat((s.mirror() + ".sock").c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777) == 0600);
  const Texts connection = {"-d", s.cluster.conninfo()};
  const auto with = [&](Texts more) {
    more.insert(more.end(), connection.begin(), connection.end());
    return more;
  };
  Result refused = s.command("seed", {"--table", "u"});
  CHECK(refused.exit == Exit{2, 0});
  CHECK_THAT(refused.err, Catch::Contains("has no connection to PostgreSQL"));
  refused = s.command("seed", with({"--table", "t", "--as", "again"}));
  CHECK(refused.exit == Exit{2, 0});
  CHECK_THAT(refused.err, Catch::Contains("would be followed twice"));
  refused = s.command("seed", with({"--table", "missing"}));
  CHECK(refused.exit == Exit{2, 0});
  CHECK_THAT(refused.err, Catch::Contains("\"public.missing\" does not exist"));
  CHECK(s.command("reseed", with({"--table", "u"})).exit == Exit{2, 0});

  const Result added = s.command("seed", with({"--table", "u", "--table", "twins"}));
  INFO(added.err);
  CHECK(added.ok());
  s.cluster.execute(
      "UPDATE u SET v = 'v'; INSERT INTO u VALUES(2, 'n'); DELETE FROM twins WHERE "
      "ctid = (SELECT min(ctid) FROM twins); INSERT INTO twins VALUES(2, 'y')");
  s.check_equal({"t", "u", "twins"});
  CHECK(s.command("remove", {"--table", "u"}).ok());
  CHECK(s.value("SELECT count(*) FROM sqlite_schema WHERE name = 'u'") == "0");
  s.cluster.execute("UPDATE u SET v = 'w'; UPDATE t SET v = 'w' WHERE id = 1");
  s.check_equal({"t", "twins"});

  CHECK(s.ask("{").at("exit_code") == 2);
  CHECK(s.ask(R"({"version": 9, "request": "status"})").at("state") == "failed");
  CHECK(s.ask(R"({"version": 1, "request": "dance"})").at("state") == "failed");
  CHECK(s.ask(R"({"version": 1, "request": "reseed"})").at("state") == "failed");
  CHECK(s.ask(R"({"version": 1, "request": "status"})").at("pid") == s.runner->pid());
  s.end();

  // Nobody owns it: the commands do it themselves.
  CHECK(s.command("seed", with({"--table", "u"})).ok());
  CHECK(s.command("reseed", with({"--table", "twins", "--table", "t"})).ok());
  CHECK(s.differences({"t", "u", "twins"}) == Texts{});
  CHECK(s.command("remove", {"--table", "twins"}).ok());
  s.cluster.execute("UPDATE u SET v = 'x'; UPDATE t SET v = 'x' WHERE id = 2");
  REQUIRE(s.run_once().ok());
  CHECK(s.differences({"t", "u"}) == Texts{});
}

TEST_CASE("live: the configuration is read again at SIGHUP, whole or not at all",
          "[mirror][live][integration]") {
  Live s;
  s.write_config({{"tables", {{{"table", "t"}}}}});
  s.start({"-d", s.cluster.conninfo(), "--config", (s.dir / "c.json").string()});
  const auto reload = [&](const json& config, const std::string& said) {
    s.write_config(config);
    s.runner->signal(SIGHUP);
    CHECK(eventually([&] { return s.runner->err().find(said) != std::string::npos; }));
  };
  reload({{"tables", {{{"table", "u"}, {"indexes", {"v"}}}, {{"table", "t"}, {"indexes", {"n"}}}}},
          {"extra_sql", {"CREATE VIEW both AS SELECT u.v FROM t JOIN u USING(id)"}}},
         "u: 1 row in place");
  REQUIRE(eventually([&] {
    return s.value(
               "SELECT count(*) FROM sqlite_schema WHERE name IN ('u_v_idx', 't_n_idx', "
               "'both')") == "3";
  }));
  CHECK(s.value("SELECT v FROM both") == "u");
  const Texts before = s.rows("SELECT sql FROM sqlite_schema ORDER BY name");
  reload({{"tables", {{{"table", "t"}, {"indexes", {"nope"}}}}}}, "no such column: nope");
  reload({{"tables", {{{"table", "t"}}, {{"table", "t"}, {"as", "x"}}}}}, "followed twice");
  reload({{"tabels", {{{"table", "t"}}}}}, "/tabels: is not known");
  CHECK(s.rows("SELECT sql FROM sqlite_schema ORDER BY name") == before);
  s.cluster.execute("UPDATE u SET v = 'followed'");
  s.check_equal({"t", "u"});
  reload({{"tables", {{{"table", "t"}}}}}, "removed table \"u\"");
  REQUIRE(eventually([&] {
    return s.value(
               "SELECT count(*) FROM sqlite_schema WHERE name IN ('u_v_idx', 't_n_idx', "
               "'u')") == "0";
  }));
  s.cluster.execute("UPDATE t SET v = 'followed' WHERE id = 5");
  s.check_equal({"t"});
  s.end();
}

TEST_CASE("live: without a connection a configuration that takes a copy is refused whole, and said",
          "[mirror][live][integration]") {
  Live s;
  const json t = {{"table", "t"}};
  REQUIRE(s.command("seed", {"-d", s.cluster.conninfo(), "--table", "twins"}).ok());
  s.write_config({{"tables", {t, {{"table", "twins"}}}}});
  s.start({"--config", (s.dir / "c.json").string()});
  const Texts before = s.rows("SELECT sql FROM sqlite_schema ORDER BY name");
  s.write_config({{"tables", {{{"table", "t"}, {"where", "id > 1"}}, {{"table", "u"}}}},
                  {"on_trouble", "keep"}});
  s.runner->signal(SIGHUP);
  const auto status = [&] { return run({program("deltamirror"), "status", s.mirror()}); };
  CHECK(eventually([&] { return status().exit.code == 1; }));
  const Result said = status();
  CHECK_THAT(said.out, Catch::Contains("could not take configuration") &&
                           Catch::Contains("table \"t\" is asked") &&
                           Catch::Contains("HINT: give -d CONNINFO"));
  CHECK(s.rows("SELECT sql FROM sqlite_schema ORDER BY name") == before);
  CHECK(s.value("SELECT count(*) FROM _deltamirror_tables") == "2");
  s.cluster.execute("INSERT INTO twins VALUES(9, 'z'); UPDATE t SET v = 'z'");
  s.check_equal({"t", "twins"});
  s.write_config({{"tables", {t}}});  // takes none
  s.runner->signal(SIGHUP);
  CHECK(eventually([&] { return status().ok(); }));
  s.check_equal({"t"});
  s.end();
}

TEST_CASE("live: extra_sql that SQLite does not take is said before the rows of a table that comes",
          "[mirror][live][integration]") {
  Live s;
  s.write_config({{"tables", {{{"table", "t"}}}}});
  s.start({"-d", s.cluster.conninfo(), "--config", (s.dir / "c.json").string()});
  // Its copy fails at the first row.
  const json fails = {{"query", "SELECT id, 1 / (id - id) AS n FROM u"}, {"as", "f"}};
  const auto check_said = [&](const std::string& sql, const std::string& words) {
    s.write_config({{"tables", {{{"table", "t"}}, fails}}, {"extra_sql", {sql}}});
    s.runner->signal(SIGHUP);
    CHECK(eventually([&] { return s.runner->err().find(words) != std::string::npos; }));
  };
  check_said("CREATE INDEX i ON f(nope)", "extra_sql[0]: SQLite: ");
  check_said("CREATE VIEW v AS SELECT nope FROM f", "view \"v\" of extra_sql cannot be read");
  check_said("DROP TABLE t", "extra_sql[0] removes table \"t\"");
  s.check_equal({"t"});
  s.end();
}

TEST_CASE("live: extra_sql about a table that is waited for waits, and nothing else does",
          "[mirror][live][integration]") {
  Live s;
  s.write_config({{"tables", {{{"table", "t"}}, {{"table", "later"}}}},
                  {"extra_sql",
                   {"CREATE INDEX later_v ON later(v)", "CREATE INDEX t_id ON t(id)",
                    "CREATE VIEW v AS SELECT v FROM later"}}});
  const Texts with = {"-d", s.cluster.conninfo(), "--config", (s.dir / "c.json").string()};
  const auto has = [&](const std::string& name) {
    return s.value("SELECT count(*) FROM sqlite_schema WHERE name = '" + name + "'") == "1";
  };
  for (int start = 0; start < 2; ++start) {
    s.start(with);
    CHECK(eventually([&] { return has("t_id"); }));
    CHECK_FALSE(has("later_v"));
    CHECK_THAT(s.runner->err(), !Catch::Contains("could not take configuration"));
    if (start == 0) s.end();
  }
  s.cluster.execute("CREATE TABLE later(id int PRIMARY KEY, v text); INSERT INTO later VALUES(1)");
  CHECK(eventually([&] { return has("later_v"); }));
  s.check_equal({"t", "later"});
  s.end();
}

TEST_CASE("live: the configuration of three sources is taken by all of them, or by none",
          "[mirror][live][sources][integration]") {
  const Together together = GENERATE(Together::Shared, Together::Prefixed);
  Shards s(
      "CREATE TABLE t(id int PRIMARY KEY, v text); CREATE TABLE u(id int PRIMARY KEY);"
      "INSERT INTO t VALUES(1, 'one'); INSERT INTO u VALUES(1)");
  s.cluster.execute("ALTER TABLE t ADD extra int", "a");
  s.cluster.execute("CREATE TABLE later(id int PRIMARY KEY); INSERT INTO later VALUES(1)", "b");
  const auto configure = [&](const json& tables, const json& extra_sql = json::array()) {
    s.write_config(tables, together);
    json root = json::parse(read_file(s.config()));
    root["extra_sql"] = extra_sql;
    write_file(s.config(), root.dump());
  };
  const auto schema = [&] {
    return s.rows("SELECT name || coalesce(sql, '') FROM sqlite_schema ORDER BY name");
  };
  const json t = {{"table", "t"}};
  const json u = {{"table", "u"}};
  configure({t, u});
  s.seed();
  const bool running = GENERATE(true, false);
  CAPTURE(static_cast<int>(together), running);
  if (running) {
    s.start_run();
    s.catch_up();
  }
  const auto take = [&](const std::string& said) {
    if (running) {
      s.runner->signal(SIGHUP);
    } else {
      s.start_run();
    }
    INFO(s.runner->err());
    CHECK(eventually([&] { return s.runner->err().find(said) != std::string::npos; }));
    s.catch_up();
    if (!running) s.end_run();
  };
  // Each is right for some of the sources, or in some of its parts.
  const Texts before = schema();
  const std::string lacking = together == Together::Shared ? "nope" : "extra";
  configure(json::array({{{"table", "t"}, {"indexes", {lacking}}}}));
  take("no such column: " + lacking);
  CHECK(schema() == before);
  configure(json::array({t}),
            json::array({"CREATE VIEW twice AS SELECT 1; CREATE VIEW twice AS SELECT 1"}));
  take("twice already exists");
  CHECK(schema() == before);
  configure({{{"table", "t"}, {"indexes", {"v"}}}, {{"table", "t"}, {"as", "x"}}});
  take("followed twice");
  CHECK(schema() == before);
  for (const std::string& name : s.names) CHECK(s.state(name, "u") == "following");

  // What only one of them has is waited for in the others.
  const json ones = json::array({"CREATE VIEW ones AS SELECT 1 AS one"});
  configure(json::array({t, {{"table", "later"}}}), ones);
  take("took configuration");
  if (!running) s.start_run();
  CHECK(eventually([&] { return s.state("a", "later") == "waiting"; }));
  s.check_equal("later", "id", {"b"});
  CHECK(eventually([&] {
    return s.value("SELECT count(*) FROM _deltamirror_tables WHERE wish LIKE '%\"u\"%'") == "0";
  }));
  CHECK(eventually(
      [&] { return s.value("SELECT count(*) FROM sqlite_schema WHERE name = 'ones'") == "1"; }));
  s.cluster.execute("CREATE TABLE later(id int PRIMARY KEY); INSERT INTO later VALUES(2)", "c");
  s.check_equal("later", "id", {"b", "c"});
  CHECK(s.state("a", "later") == "waiting");
  // An index of what waits is made with it, and one that came later is there again after a copy.
  configure(json::array(
                {{{"table", "t"}, {"indexes", {"v"}}}, {{"table", "later"}, {"indexes", {"id"}}}}),
            ones);
  s.runner->signal(SIGHUP);
  const bool taken = eventually([&] {
    return s.value("SELECT count(*) FROM _deltamirror_tables WHERE indexes = '[[\"id\"]]'") == "3";
  });
  INFO(s.runner->err());
  CHECK(taken);
  s.cluster.execute("CREATE TABLE later(id int PRIMARY KEY); INSERT INTO later VALUES(3)", "a");
  s.check_equal("later", "id");
  for (const std::string& name : s.names) {
    s.cluster.execute("DROP TABLE t; CREATE TABLE t(id int PRIMARY KEY, v text)", name);
    s.catch_up(name);
    s.cluster.execute("INSERT INTO t VALUES(7, 'again')", name);
  }
  s.check_equal("t", "id || v");
  const std::string of_index = "SELECT count(*) FROM sqlite_schema WHERE name = '";
  CHECK(s.value(of_index + s.name_of("a", "later") + "_id_idx'") == "1");
  CHECK(s.value(of_index + s.name_of("b", "t") + "_v_idx'") == "1");
  s.end_run();
}

TEST_CASE("live: a configuration makes the mirror that run does not find, and run goes on with it",
          "[mirror][live][integration]") {
  Pipeline s;
  s.cluster.execute("CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES(1)");
  s.start_stream();
  const std::string file = (s.dir / "c.json").string();
  const json source = {{"name", "main"},
                       {"daystream", s.stream()},
                       {"connection", s.cluster.conninfo()},
                       {"tables", {{{"table", "t"}}}}};
  write_file(file, "// a service has nothing but this\n" + json{{"sources", {source}}}.dump());
  const Texts command = {program("deltamirror"), "run", s.mirror(), "--config", file};
  Process first(command);
  REQUIRE(eventually([&] { return std::filesystem::exists(s.mirror() + ".sock"); }));
  CHECK_THAT(first.err(), Catch::Contains("there is no mirror \"" + s.mirror() + "\" yet"));
  s.cluster.execute("INSERT INTO t VALUES(2)");
  s.catch_up();
  CHECK(s.rows("SELECT id FROM t") == Texts{"1", "2"});
  first.signal(SIGTERM);
  CHECK(first.wait() == Exit{0, 0});

  Process second(command);
  s.cluster.execute("INSERT INTO t VALUES(3)");
  s.catch_up();
  CHECK(second.err().find("there is no mirror") == std::string::npos);

  // One without a stream in it says what is missing.
  write_file(file, R"({"tables": [{"table": "t"}]})");
  const Result refused = run({program("deltamirror"), "run", s.mirror() + "2", "--config", file});
  CHECK(refused.exit == Exit{2, 0});
  CHECK_THAT(refused.err, Catch::Contains("no daystream specified"));
}

TEST_CASE("live: what no line tells is copied again with -d, and stops without",
          "[mirror][live][integration]") {
  Live s;
  REQUIRE(s.command("seed", {"--table", "u", "-d", s.cluster.conninfo()}).ok());
  s.cluster.execute("UPDATE u SET v = 'before'");
  s.cluster.execute(
      "CREATE TABLE fresh(id int PRIMARY KEY, late text); INSERT INTO fresh VALUES(1, 'one');"
      "BEGIN; DROP TABLE t; ALTER TABLE fresh RENAME TO t; UPDATE u SET v = 'with'; COMMIT;"
      "INSERT INTO t VALUES(2, 'two')");
  const Result stopped = s.run_to_trouble();
  CHECK(stopped.exit == Exit{3, 0});
  CHECK_THAT(stopped.err, Catch::Contains("deltamirror reseed"));
  CHECK(s.value("SELECT v FROM u") == "before");
  s.start({"-d", s.cluster.conninfo()});
  s.check_equal({"t", "u"});
  // A type that came after the seed, in two tables at once.
  s.cluster.execute(
      "CREATE DOMAIN late AS int; BEGIN; ALTER TABLE t ADD COLUMN l late; ALTER TABLE u ADD "
      "COLUMN l late; COMMIT; INSERT INTO u VALUES(9, 'nine', 9)");
  s.check_equal({"t", "u"});
  CHECK(s.value("SELECT typeof(l) FROM u WHERE id = 9") == "integer");
  s.end();
}

TEST_CASE("live: verify --repair mends a mirror that runs, row by row, under load",
          "[mirror][live][integration]") {
  Live s;
  Bank bank(s.cluster);
  s.cluster.execute(
      "CREATE TABLE pair(a text, b int, v text, PRIMARY KEY(a, b));"
      "INSERT INTO pair SELECT 'k' || i, i, 'v' || i FROM generate_series(1, 500) i");
  const Texts all = {"t", "u", "pair", "twins", "ledger", "account"};
  Texts seeded = {"-d", s.cluster.conninfo()};
  for (const std::string& table : all) {
    if (table != "t") seeded.insert(seeded.end(), {"--table", table});
  }
  REQUIRE(s.command("seed", seeded).ok());
  const std::string path = (s.dir / "changes.sock").string();
  s.start({"-d", s.cluster.conninfo(), "--on-commit", "socket:" + path});
  bank.start();
  REQUIRE(eventually([&] { return bank.transfers() > 20; }));
  s.catch_up();
  deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec(
          "UPDATE t SET v = 'wrong' WHERE id = 7; DELETE FROM t WHERE id = 8;"
          "INSERT INTO t VALUES(-5, 'surplus', 0); UPDATE pair SET v = NULL WHERE b = 3;"
          "UPDATE ledger SET amount = -1 WHERE id = 7");
  REQUIRE(eventually([&] { return std::filesystem::exists(path); }));
  const daystream::UniqueFd listener = deltamirror::connect_to(path);
  CHECK(json::parse(next_line(listener)).at("version") == 1);
  const Texts repair = {"-d", s.cluster.conninfo(), "--daystream", s.stream(), "--repair"};
  const Result mended = s.command("verify", repair);
  INFO(mended.out << mended.err << s.runner->err());
  CHECK(mended.ok());
  CHECK_THAT(mended.out, Catch::Contains("t: row id=7 differs in v\n"));
  s.cluster.execute("UPDATE t SET v = 'the last' WHERE id = 100");

  // Of all that was told meanwhile, only these rows of the quiet tables.
  std::map<std::string, std::set<json>> told;
  while (!told["t"].contains(json::parse("[100]"))) {
    const json changed = json::parse(next_line(listener)).at("tables");
    for (const auto& [table, keys] : changed.items()) {
      if (keys.is_null()) told[table].insert(nullptr);
      for (const json& key : keys) told[table].insert(key);
    }
  }
  CHECK(told["t"] == std::set<json>{{-5}, {7}, {8}, {100}});
  CHECK(told["pair"] == std::set<json>{{"k3", 3}});
  CHECK(told["ledger"].contains(json::parse("[7]")));
  CHECK(told["twins"].empty());
  CHECK(told["u"].empty());

  // Rows without a key cannot be told apart: the table is copied.
  deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec("DELETE FROM twins WHERE rowid = 1");
  CHECK(s.command("verify", repair).ok());
  bank.stop();
  s.check_equal(all);
  s.end();
}

TEST_CASE("live: status tells when a table last changed, and the last error",
          "[mirror][live][integration]") {
  Live s;
  const auto status = [&] { return json::parse(s.command("status", {"--json"}).out); };
  CHECK(status().at("last_error").is_null());
  CHECK(status().at("tables")[0].at("last_change_at").is_null());
  s.start();
  s.cluster.execute("UPDATE t SET v = 'a' WHERE id = 3");
  s.catch_up();
  s.end();  // what was put off is written by then
  const json after = status();
  CHECK(after.at("tables")[0].at("last_change_at") == after.at("commit_time"));
  CHECK(after.at("lag_bytes") == 0);
  CHECK(after.at("last_error").is_null());

  s.cluster.execute("DROP TABLE t; CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES(1)");
  CHECK(s.run_to_trouble().exit == Exit{3, 0});
  const json stopped = status();
  CHECK_THAT(stopped.at("last_error").get<std::string>(),
             Catch::Contains("table t is another table now"));
  CHECK(stopped.at("last_error_at") > after.at("applied_at"));
}

TEST_CASE("live: a table that is right already is not written by a re-seed",
          "[mirror][live][integration]") {
  Live s;
  s.start({"-d", s.cluster.conninfo()});
  const auto log_size = [&] { return std::filesystem::file_size(s.mirror() + "-wal"); };
  const auto before = log_size();
  REQUIRE(s.command("reseed", {"--table", "t"}).ok());
  CHECK(s.runner->err().find("t: 3000 rows in place, 0 of them written") != std::string::npos);
  CHECK(log_size() - before < 100'000);
  // Another shape, or many rows: the table is copied whole.
  deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec(
          "WITH RECURSIVE n(i) AS (SELECT 10000 UNION ALL SELECT i + 1 FROM n WHERE i < 40000) "
          "INSERT INTO t SELECT i, 'surplus', 0 FROM n");
  REQUIRE(s.command("reseed", {"--table", "t"}).ok());
  CHECK(s.runner->err().find("3000 rows in place, 3000 of them written") != std::string::npos);
  s.check_equal({"t"});
  s.end();
}

TEST_CASE("live: local programs hear which rows each commit changed",
          "[mirror][live][integration]") {
  Live s;
  s.cluster.execute(
      "CREATE TABLE long(k text PRIMARY KEY, n int);"
      "INSERT INTO long SELECT i || repeat('k', 10000), 0 FROM generate_series(1, 20) i");
  REQUIRE(
      s.command("seed", {"--table", "twins", "--table", "long", "-d", s.cluster.conninfo()}).ok());
  const std::string path = (s.dir / "changes.sock").string();
  s.start({"--on-commit", "socket:" + path, "-d", s.cluster.conninfo()});
  REQUIRE(eventually([&] { return std::filesystem::exists(path); }));
  const daystream::UniqueFd listener = deltamirror::connect_to(path);
  CHECK(json::parse(next_line(listener)).at("version") == 1);
  const daystream::UniqueFd deaf = deltamirror::connect_to(path);
  CHECK(json::parse(next_line(deaf)).at("version") == 1);
  const auto heard = [&] { return json::parse(next_line(listener)).at("tables"); };

  s.cluster.execute("UPDATE t SET v = 'a' WHERE id IN (3, 4)");
  CHECK(heard() == json::parse(R"({"t": [[3], [4]]})"));
  s.cluster.execute(
      "BEGIN; UPDATE t SET id = 90001 WHERE id = 5; DELETE FROM t WHERE id = 6; COMMIT");
  CHECK(heard() == json::parse(R"({"t": [[5], [90001], [6]]})"));
  s.cluster.execute("INSERT INTO twins VALUES(3, 'z')");
  CHECK(heard() == json::parse(R"({"twins": null})"));
  s.cluster.execute("UPDATE t SET v = 'all'");
  CHECK(heard() == json::parse(R"({"t": null})"));
  CHECK(s.command("reseed", {"--table", "t", "--whole"}).ok());
  CHECK(heard().at("t").is_null());

  // The deaf one is let go without anybody waiting; what it reads ends by saying so.
  REQUIRE(eventually([&] {
    s.cluster.execute("UPDATE long SET n = n + 1");
    s.catch_up();
    return s.runner->err().find("does not keep up") != std::string::npos;
  }));
  std::string last;
  for (std::string line; !(line = next_line(deaf)).empty();) last = line;
  CHECK(last == R"({"lost":true})");
  s.end();
}

namespace {

// A mirror of a, whose streams come to hold b too.
struct Widened : Shards {
  explicit Widened(const Texts& databases, Together how = Together::Shared)
      : Shards(
            "CREATE TABLE a(id int PRIMARY KEY); CREATE TABLE b(id int PRIMARY KEY);"
            "INSERT INTO b VALUES(1)",
            {.names = databases, .streamed = "a"}) {
    write_config({{{"table", "a"}}}, how);
    seed();
    start_run();
    REQUIRE(eventually([&] { return std::filesystem::exists(mirror() + ".sock"); }));
  }
  void widen() { hold("a,b"); }
  Texts seed_b(const std::string& source) const {
    return {program("deltamirror"), "seed", mirror(), "--table", "b", "--source", source, "--as",
            name_of(source, "b")};
  }
};

// One source, and three.
using Widening = std::pair<support::Texts, Together>;
const std::vector<Widening> kWidenings = {{{"a"}, Together::Prefixed},
                                          {{"a", "b", "c"}, Together::Prefixed},
                                          {{"a", "b", "c"}, Together::Shared}};

}  // namespace

TEST_CASE("live: a table that the stream came to hold is copied while nothing commits",
          "[mirror][live][integration]") {
  const auto [databases, together] = GENERATE(from_range(kWidenings));
  Widened w(databases, together);
  w.widen();
  if (together == Together::Shared) {
    w.write_config({{{"table", "a"}}, {{"table", "b"}}});
    w.runner->signal(SIGHUP);
  } else {
    for (const std::string& name : w.names) run_ok(w.seed_b(name));
  }
  w.check_equal("b", "id");
}

TEST_CASE("live: who asks an owner that hangs says whom it waits for",
          "[mirror][live][integration]") {
  Pipeline s;
  s.cluster.execute("CREATE TABLE t (id int PRIMARY KEY)");
  s.start_stream();
  REQUIRE(s.seed({"--table", "t"}).ok());
  s.start_run();
  REQUIRE(eventually([&] { return std::filesystem::exists(s.mirror() + ".sock"); }));
  // Of another daystream it does not know.
  const auto other = support::run({program("deltamirror"), "reseed", s.mirror(), "--table", "t",
                                   "-d", s.cluster.conninfo(), "--daystream", s.dir / "other"});
  CHECK(other.exit == Exit{2, 0});
  CHECK_THAT(other.err, Catch::Contains("and reads daystream \"") &&
                            Catch::Contains("HINT: leave out --daystream"));
  s.runner->signal(SIGSTOP);
  Process asking({program("deltamirror"), "remove", s.mirror(), "--table", "t"});
  CHECK(eventually([&] {
    return asking.err().find("waiting for process " + std::to_string(s.runner->pid()) +
                             ", which owns mirror") != std::string::npos;
  }));
  s.runner->signal(SIGCONT);
  CHECK(asking.wait() == Exit{0, 0});
}

TEST_CASE("live: who asks for a table hears a signal, and the owner goes on",
          "[mirror][live][integration]") {
  const auto [databases, together] =
      GENERATE(from_range(kWidenings.begin(), kWidenings.begin() + 2));
  Widened w(databases, together);
  // What the copy has to wait for: a transaction from before the stream held the table.
  const std::string last = w.names.back();
  Session old = w.cluster.session(last);
  old.execute("BEGIN");
  old.execute("SELECT pg_current_xact_id()");
  w.widen();
  Process asking(w.seed_b(last));
  REQUIRE(eventually(
      [&] { return w.runner->err().find("waiting until the daystream") != std::string::npos; }));
  // Nobody else waits meanwhile.
  for (const std::string& name : w.names) {
    w.cluster.execute("INSERT INTO a VALUES(7)", name);
    w.catch_up(name);
  }
  asking.signal(SIGTERM);
  CHECK(asking.wait() == Exit{1, 0});
  CHECK_THAT(asking.err(), Catch::Contains("stopped waiting for the owner"));
  old.execute("COMMIT");
  INFO(w.runner->err());
  CHECK(eventually([&] { return w.state(last, "b") == "following"; }));
}
