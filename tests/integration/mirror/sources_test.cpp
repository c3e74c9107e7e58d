// Several databases in one mirror.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>
#include <thread>

#include "shards.h"

using namespace support;
using nlohmann::json;

namespace {

constexpr const char* kSchema =
    "CREATE TABLE account(id int PRIMARY KEY, balance int NOT NULL, note text);"
    "INSERT INTO account SELECT i, 1000, repeat('n', i % 50) FROM generate_series(1, 50) i;"
    "CREATE TABLE ledger(at bigserial, src int, dst int);"
    "ALTER TABLE ledger REPLICA IDENTITY FULL";

const std::string kAccounts = "'|' || id || '|' || balance || '|' || note FROM account";
const std::string kLedger = "'|' || at || '|' || src || '|' || dst FROM ledger";

// Moves money between the accounts of one shard: their sum never changes.
class Transfers {
 public:
  explicit Transfers(const Shards& shards) {
    for (const std::string& name : shards.names) {
      threads_.emplace_back([this, &shards, name] { work(shards, name); });
    }
  }
  ~Transfers() { stop(); }
  void stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  void work(const Shards& shards, const std::string& name) {
    Session session = shards.cluster.session(name);
    std::minstd_rand random(static_cast<unsigned>(name[0]));
    for (int n = 0; !stop_; ++n) {
      const std::string src = std::to_string(random() % 50 + 1);
      const std::string dst = std::to_string(random() % 50 + 1);
      session.execute("BEGIN; UPDATE account SET balance = balance - 7, note = note || '" +
                      std::to_string(n % 10) + "' WHERE id = " + src +
                      "; UPDATE account SET balance = balance + 7, note = right(note, 20) "
                      "WHERE id = " +
                      dst + "; INSERT INTO ledger(src, dst) VALUES(" + src + "," + dst +
                      "); COMMIT");
      // Another key: the row moves, and back.
      if (n % 5 == 0) {
        session.execute("UPDATE account SET id = id + 1000 WHERE id = " + src +
                        "; UPDATE account SET id = id - 1000 WHERE id > 1000");
      }
      if (n % 7 == 0) session.execute("DELETE FROM ledger WHERE src = " + src);
    }
  }

  std::atomic<bool> stop_ = false;
  std::vector<std::thread> threads_;
};

void check_union(const Shards& shards) {
  CHECK(shards.rows("SELECT shard || " + kAccounts + " ORDER BY 1") ==
        shards.union_of("SELECT '$' || " + kAccounts));
  CHECK(shards.rows("SELECT shard || " + kLedger + " ORDER BY 1") ==
        shards.union_of("SELECT '$' || " + kLedger));
}

// No transaction of any source is ever seen in part.
void check_sums(const Shards& shards) {
  CHECK(shards.rows("SELECT shard || sum(balance) FROM account GROUP BY shard ORDER BY 1") ==
        Texts{"a50000", "b50000", "c50000"});
}

}  // namespace

TEST_CASE(
    "sources: three databases with equal tables in one file are their union, killed at random",
    "[mirror][sources][integration]") {
  Shards s(kSchema);
  s.write_config({{{"table", "account"}, {"indexes", {"balance"}}}, {{"table", "ledger"}}});
  Transfers load(s);
  s.seed();
  check_sums(s);
  const char* const asked = std::getenv("DELTAFLOOD_TEST_SEED");
  const unsigned seed = asked != nullptr ? static_cast<unsigned>(std::strtoul(asked, nullptr, 10))
                                         : std::random_device{}();
  CAPTURE(seed);
  std::minstd_rand random(seed);
  for (int kill = 0; kill < 9; ++kill) {
    CAPTURE(kill);
    s.start_run();
    if (kill == 3) s.stop_stream("b");  // away for a while
    if (kill == 6) s.start_stream("b");
    const auto end = s.runner->wait(std::chrono::milliseconds(20 + random() % 300));
    INFO(s.runner->err());
    REQUIRE_FALSE(end);
    s.kill_run();
    check_sums(s);
  }
  load.stop();
  s.start_run();
  s.catch_up();
  check_union(s);
  check_sums(s);
  CHECK(s.status()["state"] == "following");
  CHECK(s.value("SELECT count(*) FROM pragma_index_list('account') WHERE name LIKE '%_idx'") ==
        "1");
  CHECK(s.command("wait", {"--time", "1 s ago", "--timeout", "60"}).ok());
  s.end_run();
}

TEST_CASE("sources: what one does to a table it shares touches its own rows only",
          "[mirror][sources][integration]") {
  Shards s(kSchema);
  s.write_config({{{"table", "account"}}, {{"table", "ledger"}}});
  s.seed();
  s.start_run();
  s.cluster.execute("TRUNCATE account; INSERT INTO account VALUES(1, 5, 'new')", "a");
  s.cluster.execute("INSERT INTO ledger(src, dst) VALUES(1, 2), (1, 2)", "b");
  s.catch_up();
  check_union(s);
  CHECK(s.value("SELECT count(*) FROM account WHERE shard = 'a'") == "1");

  // A column comes in one shard after the other; meanwhile it is NULL in the others' rows.
  s.cluster.execute("ALTER TABLE account ADD extra int DEFAULT 5", "a");
  s.catch_up();
  CHECK(s.rows("SELECT DISTINCT shard || coalesce(extra, -1) FROM account ORDER BY 1") ==
        Texts{"a5", "b-1", "c-1"});
  s.cluster.execute(
      "ALTER TABLE account ADD extra int DEFAULT 7; UPDATE account SET extra = id "
      "WHERE id < 3",
      "b");
  s.cluster.execute("UPDATE account SET extra = 6", "a");
  s.catch_up();
  const std::string with_extra = "'|' || id || '|' || extra FROM account";
  CHECK(s.rows("SELECT shard || " + with_extra + " WHERE shard <> 'c' ORDER BY 1").size() == 51);
  for (const std::string name : {"a", "b"}) {
    Texts expected = s.source_rows("SELECT '" + name + "' || " + with_extra, name);
    std::sort(expected.begin(), expected.end());
    CHECK(s.rows("SELECT shard || " + with_extra + " WHERE shard = '" + name + "' ORDER BY 1") ==
          expected);
  }
  // Renamed in one: its values move to the column of that name.
  s.cluster.execute("ALTER TABLE account RENAME note TO memo", "c");
  s.catch_up();
  CHECK(
      s.value("SELECT count(*) FROM account WHERE shard = 'c' AND note IS NULL AND "
              "memo = substr('nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn', 1, id % 50)") ==
      "50");
  s.cluster.execute("ALTER TABLE account RENAME note TO memo", "a");
  s.cluster.execute("ALTER TABLE account RENAME note TO memo", "b");
  s.cluster.execute("ALTER TABLE account ADD extra int", "c");
  s.catch_up();
  CHECK(s.rows("SELECT name FROM pragma_table_info('account') ORDER BY 1") ==
        Texts{"balance", "extra", "id", "memo", "shard"});
  CHECK(s.rows(
            "SELECT shard || '|' || id || '|' || balance || '|' || memo FROM account ORDER BY 1") ==
        s.union_of("SELECT '$|' || id || '|' || balance || '|' || memo FROM account"));
  // Of the same shape again, all go on; one that drops its table takes its rows only.
  s.cluster.execute("UPDATE account SET balance = 1", "c");
  s.cluster.execute("DROP TABLE account", "b");
  s.catch_up();
  CHECK(s.rows("SELECT DISTINCT shard || (balance = 1) FROM account ORDER BY 1") ==
        Texts{"a0", "c1"});
  s.end_run();
  CHECK(s.status()["tables"].size() == 6);
  CHECK(s.state("b", "account") == "waiting");
}

// The tables of the mirror keep their names, so it is the rows that move.
TEST_CASE("sources: tables that exchange their names in one source",
          "[mirror][sources][integration]") {
  Shards s(
      "CREATE TABLE x(id int PRIMARY KEY); CREATE TABLE y(id int PRIMARY KEY);"
      "INSERT INTO x VALUES(1); INSERT INTO y VALUES(2)");
  s.write_config({{{"table", "x"}}, {{"table", "y"}}});
  s.seed();
  s.start_run();
  s.cluster.execute(
      "BEGIN; ALTER TABLE x RENAME TO z; ALTER TABLE y RENAME TO x; ALTER TABLE z RENAME TO y;"
      "INSERT INTO x VALUES(3); COMMIT",
      "a");
  s.check_equal("x", "id");
  s.check_equal("y", "id");
  s.end_run();
}

TEST_CASE("sources: a table that does not fit the others' keeps no other from being copied",
          "[mirror][sources][integration]") {
  Shards s(
      "CREATE TABLE x(id int PRIMARY KEY); CREATE TABLE y(id int PRIMARY KEY);"
      "INSERT INTO x VALUES(1); INSERT INTO y VALUES(2)");
  s.write_config({{{"table", "x"}}, {{"table", "y"}}});
  s.seed();
  s.start_run();
  s.cluster.execute(
      "BEGIN; ALTER TABLE x ALTER id TYPE text; DROP TABLE y; CREATE TABLE y(id int PRIMARY KEY);"
      "INSERT INTO y VALUES(3); COMMIT",
      "a");
  s.check_equal("y", "id");
  CHECK(eventually([&] { return s.state("a", "x") == "parked"; }));
  s.cluster.execute("ALTER TABLE x ALTER id TYPE int USING id::int", "a");
  s.check_equal("x", "id");
  s.end_run();
}

// One after the other takes a change that does not fit what the others have as yet.
TEST_CASE("sources: a table that did not fit comes back when the others have become as it is",
          "[mirror][sources][integration]") {
  const char* const change = GENERATE(
      "ALTER TABLE x ALTER id TYPE text",
      "ALTER TABLE x ADD w int NOT NULL DEFAULT 7, DROP CONSTRAINT x_pkey, ADD PRIMARY KEY (id, w)",
      "BEGIN; DROP TABLE x; CREATE TABLE x(id text PRIMARY KEY); INSERT INTO x VALUES('new'); "
      "COMMIT",
      "ALTER TABLE x ALTER v TYPE text USING '0' || v");
  // What is kept of the rows from before stands in no other's way.
  const std::string on_trouble = GENERATE("hide", "keep");
  CAPTURE(change, on_trouble);
  Shards s(
      "CREATE TABLE x(id int PRIMARY KEY, v int); CREATE TABLE y(id int PRIMARY KEY);"
      "INSERT INTO x VALUES(1, 7); INSERT INTO y VALUES(2)");
  s.write_config({{{"table", "x"}}, {{"table", "y"}}});
  s.seed();
  s.start_run({"--on-trouble", on_trouble});
  for (const std::string name : {"a", "b"}) {
    s.cluster.execute(change, name);
    INFO(s.runner->err());
    CHECK(eventually([&] { return s.state(name, "x") == "parked"; }));
  }
  // That a table was dropped is followed in any case.
  const bool is_kept =
      on_trouble == "keep" && std::string(change).find("DROP TABLE") == std::string::npos;
  CHECK(s.rows("SELECT shard || id || v FROM x ORDER BY 1") ==
        (is_kept ? Texts{"a17", "b17", "c17"} : Texts{"c17"}));
  Texts have_it = s.names;
  SECTION("the last one changes, too") {
    s.cluster.execute(change, "c");
  }
  SECTION("the last one has no such table any more") {
    s.cluster.execute("DROP TABLE x", "c");
    have_it.pop_back();
  }
  s.check_equal("x", "id", have_it);
  CHECK(eventually([&] {
    return s.value("SELECT count(DISTINCT shard) FROM x") == std::to_string(have_it.size());
  }));
  s.cluster.execute("INSERT INTO y VALUES(3)", "b");
  s.check_equal("y", "id");
  s.end_run();
}

// Nobody can copy, so that what was kept is all there is of a source.
TEST_CASE("sources: a table goes on beside what is kept of the others, as long as both can stand",
          "[mirror][sources][integration]") {
  Shards s("CREATE TABLE x(id int PRIMARY KEY, v int); INSERT INTO x VALUES(1, 7), (2, NULL)");
  s.write_config({{{"table", "x"}}});
  s.seed();
  s.leave_out_connections();
  s.start_run({"--on-trouble", "keep"});
  const auto sees = [&](const Texts& expected) {
    INFO(s.runner->err());
    CHECK(s.rows("SELECT shard || id || coalesce(v, '-') FROM x ORDER BY 1") == expected);
  };
  for (const std::string& name : s.names) {
    s.cluster.execute("ALTER TABLE x ALTER v TYPE text USING '0' || v", name);
    s.catch_up(name);
  }
  sees({"a17", "a2-", "b17", "b2-", "c107", "c2-"});
  s.cluster.execute("INSERT INTO x VALUES(3, '03')", "c");
  s.catch_up("c");
  CHECK(s.value("SELECT v FROM x WHERE shard = 'c' AND id = 3") == "03");
  // Under another key rows of before cannot stand beside it.
  s.cluster.execute(
      "DELETE FROM x WHERE v IS NULL; ALTER TABLE x DROP CONSTRAINT x_pkey, ADD PRIMARY KEY (v)",
      "c");
  s.catch_up("c");
  sees({"c107", "c303"});
  CHECK(s.rows("SELECT source || state || is_hidden FROM _deltamirror_status ORDER BY 1") ==
        Texts{"aparked1", "bparked1", "cfollowing0"});
  s.end_run();
}

// It fits when its copy is begun, and no more when the copy is to be put in place.
TEST_CASE("sources: a table that another source has made otherwise meanwhile is parked alone",
          "[mirror][sources][integration]") {
  Shards s("CREATE TABLE x(id int PRIMARY KEY); CREATE TABLE y(id int PRIMARY KEY)");
  s.write_config({{{"table", "x"}}, {{"table", "y"}}});
  s.seed();
  s.start_run();
  for (const std::string& name : s.names) s.cluster.execute("DROP TABLE x", name);
  s.catch_up();
  s.streamers.at("b").signal(SIGSTOP);  // so its copy waits for the stream
  s.cluster.execute("CREATE TABLE x(id text PRIMARY KEY); INSERT INTO x VALUES('one')", "b");
  REQUIRE(eventually([&] {
    return s.value("SELECT count(*) FROM sqlite_schema WHERE name = '_deltamirror_shadow_b/x'") ==
           "1";
  }));
  s.cluster.execute("CREATE TABLE x(id int PRIMARY KEY); INSERT INTO x VALUES(1)", "a");
  REQUIRE(eventually([&] { return s.state("a", "x") == "following"; }));
  s.streamers.at("b").signal(SIGCONT);
  CHECK(eventually([&] { return s.state("b", "x") == "parked"; }));
  s.cluster.execute("INSERT INTO y VALUES(2)", "b");
  INFO(s.runner->err());
  CHECK(eventually([&] { return s.value("SELECT count(*) FROM y WHERE shard = 'b'") == "1"; }));
  CHECK(s.status_of("b")["state"] == "following");
  s.end_run();
}

TEST_CASE("sources: what somebody put beside a shared table goes and comes back with it",
          "[mirror][sources][integration]") {
  Shards s("CREATE TABLE x(id int PRIMARY KEY, v text); INSERT INTO x VALUES(1, 'one')");
  s.write_config({{{"table", "x"}, {"indexes", {"v"}}}});
  s.seed();
  deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec(
          "CREATE TABLE seen(id int); CREATE INDEX by_hand ON x(v, id);"
          "CREATE TRIGGER noted AFTER INSERT ON x BEGIN INSERT INTO seen VALUES(new.id); END");
  s.start_run();
  for (const std::string& name : s.names) s.cluster.execute("DROP TABLE x", name);
  s.catch_up();
  CHECK(s.value("SELECT count(*) FROM sqlite_schema WHERE tbl_name = 'x'") == "0");
  for (const std::string& name : s.names) {
    s.cluster.execute("CREATE TABLE x(id int PRIMARY KEY, v text); INSERT INTO x VALUES(2, 'two')",
                      name);
  }
  s.check_equal("x", "id");
  s.cluster.execute("INSERT INTO x VALUES(3, 'three')", "b");
  s.check_equal("x", "id");
  CHECK(s.rows("SELECT name FROM sqlite_schema WHERE tbl_name = 'x' AND sql IS NOT NULL AND "
               "type <> 'table' ORDER BY name") == Texts{"by_hand", "noted", "x_v_idx"});
  CHECK(s.value("SELECT count(*) FROM seen WHERE id = 3") == "1");
  s.end_run();
}

// SQLite makes a number of a text that looks like one, where the column was made for numbers.
TEST_CASE("sources: a column that only one of them has may have another type from then on",
          "[mirror][sources][integration]") {
  Shards s(
      "CREATE TABLE x(id int PRIMARY KEY); INSERT INTO x VALUES(1);"
      "CREATE TABLE z(id int PRIMARY KEY, n numeric(6, 0))");
  for (const std::string name : {"a", "b"}) {
    s.cluster.execute("ALTER TABLE x ADD c int; UPDATE x SET c = 7", name);
  }
  s.cluster.execute("INSERT INTO z VALUES(1, 5)", "a");
  for (const std::string name : {"b", "c"}) s.cluster.execute("ALTER TABLE z DROP n", name);
  s.write_config({{{"table", "x"}}, {{"table", "z"}}});
  s.seed();
  deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec("CREATE VIEW seen AS SELECT shard, c FROM x; CREATE INDEX by_hand ON x(c, id)");
  s.start_run();
  const Texts expected = {"a|007", "b|007", "c|NULL"};
  const auto check = [&] {
    INFO(s.runner->err());
    CHECK(eventually([&] {
      return s.rows("SELECT shard || '|' || coalesce(c, 'NULL') FROM x ORDER BY 1") == expected;
    }));
    CHECK(s.value("SELECT type FROM pragma_table_info('x') WHERE name = 'c'") == "TEXT");
    CHECK(s.rows("SELECT coalesce(c, 'NULL') FROM seen ORDER BY 1") == Texts{"007", "007", "NULL"});
    CHECK(s.value("SELECT count(*) FROM sqlite_schema WHERE name = 'by_hand'") == "1");
  };
  s.cluster.execute("ALTER TABLE x DROP c", "b");
  s.catch_up("b");
  s.cluster.execute("ALTER TABLE x ALTER c TYPE text USING '00' || c", "a");
  s.cluster.execute("ALTER TABLE x ADD c text; UPDATE x SET c = '007'", "b");
  s.catch_up();
  check();
  // The same by a copy of another table of that name.
  s.cluster.execute("ALTER TABLE x DROP c", "b");
  s.catch_up("b");
  s.cluster.execute(
      "BEGIN; DROP TABLE x; CREATE TABLE x(id int PRIMARY KEY, c bytea);"
      "INSERT INTO x VALUES(1, 'seven'); COMMIT",
      "a");
  CHECK(eventually([&] {
    return s.value("SELECT count(*) FROM sqlite_schema WHERE name = 'x'") == "1" &&
           s.value("SELECT typeof(c) FROM x WHERE shard = 'a'") == "blob";
  }));
  CHECK(s.value("SELECT type FROM pragma_table_info('x') WHERE name = 'c'") == "BLOB");
  // Its rows stay where PostgreSQL does not write them again.
  s.cluster.execute("ALTER TABLE z ALTER n TYPE numeric", "a");
  s.cluster.execute("INSERT INTO z VALUES(2, 0.50)", "a");
  s.catch_up("a");
  CHECK(s.rows("SELECT n FROM z ORDER BY id") == Texts{"5", "0.50"});
  CHECK(s.rows("SELECT typeof(n) FROM z") == Texts{"text", "text"});
  s.end_run();
}

// Of what goes, SQLite would let an index be that nobody can read any more: then not even the file
// could be opened.
TEST_CASE("sources: columns that no source has any more go, but for what somebody's index reads",
          "[mirror][sources][integration]") {
  Shards s("CREATE TABLE x(id int PRIMARY KEY, v text, w text); INSERT INTO x VALUES(1, 'v', 'w')");
  s.write_config({{{"table", "x"}}});
  s.seed();
  deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec("CREATE INDEX by_hand ON x(w, id)");
  s.start_run();
  const auto columns = [&] {
    return s.value("SELECT group_concat(name) FROM pragma_table_xinfo('x')");
  };
  for (const std::string& name : s.names) s.cluster.execute("ALTER TABLE x DROP w", name);
  s.catch_up();
  CHECK(columns() == "shard,id,v,w");
  CHECK(s.rows("SELECT shard || v || coalesce(w, '-') FROM x ORDER BY 1") ==
        Texts{"av-", "bv-", "cv-"});
  s.cluster.execute("ALTER TABLE x ADD n numeric DEFAULT 7", "a");
  s.catch_up("a");
  CHECK(columns() == "shard,id,v,w,n,n_num");
  s.cluster.execute(
      "BEGIN; DROP TABLE x; CREATE TABLE x(id int PRIMARY KEY, v text);"
      "INSERT INTO x VALUES(2, 'new'); COMMIT",
      "a");
  CHECK(eventually([&] { return columns() == "shard,id,v,w"; }));
  s.check_equal("x", "id");
  CHECK(s.status_of("a")["state"] == "following");
  s.end_run();
}

TEST_CASE("sources: one that needs a person stands still, the others go on",
          "[mirror][sources][integration]") {
  Shards s(kSchema);
  s.write_config({{{"table", "account"}}});
  s.seed();
  for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(s.mirror() + end);
  // While the stream of one does not reach to where its seed is consistent, it is as that saw it.
  s.streamers.at("b").signal(SIGSTOP);
  s.cluster.execute("UPDATE account SET note = 'late' WHERE id = 3", "b");
  s.seed();
  s.start_run();
  s.cluster.execute("UPDATE account SET note = 'late' WHERE id = 3", "a");
  s.catch_up("a");
  CHECK(s.status_of("b")["state"] == "seeded");
  s.streamers.at("b").signal(SIGCONT);
  s.catch_up("b");
  CHECK(s.rows("SELECT shard FROM account WHERE note = 'late' ORDER BY 1") == Texts{"a", "b"});
  s.end_run();

  deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec("DELETE FROM account WHERE shard = 'b' AND id = 1");
  s.start_run({"--on-trouble", "stop"});
  s.cluster.execute("UPDATE account SET balance = 2 WHERE id = 1", "b");
  s.cluster.execute("UPDATE account SET balance = 3 WHERE id = 1", "a");
  REQUIRE(eventually([&] { return s.status_of("b")["state"] == "stopped"; }));
  s.cluster.execute("UPDATE account SET balance = 4 WHERE id = 2", "a");
  s.cluster.execute("UPDATE account SET balance = 4 WHERE id = 2", "b");
  s.catch_up("a");
  s.catch_up("c");
  CHECK(s.value("SELECT balance FROM account WHERE shard = 'a' AND id = 2") == "4");
  CHECK(s.value("SELECT balance FROM account WHERE shard = 'b' AND id = 2") == "1000");
  CHECK(s.status()["state"] == "stopped: b");
  CHECK_THAT(s.status_of("b")["last_error"].get<std::string>(),
             Catch::Contains("lacks the row with shard=\"b\", id=1"));
  CHECK_THAT(s.runner->err(), Catch::Contains("source \"b\" stands still at its last commit"));
  // What was wrong is put right, in the file by another hand: tried again, it goes on.
  deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec("INSERT INTO account VALUES('b', 1, 1000, 'n')");
  s.runner->signal(SIGHUP);
  s.catch_up("b");
  CHECK(s.status()["state"] == "following");
  s.end_run();

  // With nobody left to go on, the process ends with what the first has stopped at.
  deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec("DELETE FROM account WHERE id = 1");
  for (const std::string& name : s.names) {
    s.cluster.execute("UPDATE account SET balance = 9 WHERE id = 1", name);
  }
  s.start_run({"--on-trouble", "stop"});
  CHECK(s.runner->wait() == Exit{3, 0});
  CHECK(s.status()["state"] == "stopped: a, b, c");
}

TEST_CASE("sources: apart by prefixes, and what does not go together is refused",
          "[mirror][sources][integration]") {
  Shards s(kSchema);
  const json tables = {{{"table", "account"}}, {{"table", "ledger"}, {"mode", "history"}}};
  s.write_config(tables, json::object());
  Result refused = s.command("seed", {"--config", s.config()});
  CHECK(refused.exit == Exit{2, 0});
  CHECK_THAT(refused.err, Catch::Contains("would both have a table \"account\"") &&
                              Catch::Contains("\"prefix\"") &&
                              Catch::Contains("\"source_column\""));
  s.write_config(tables, {{"prefix", "x"}});
  Result checked = run({program("deltamirror"), "config", "check", s.config(), "-d", ""});
  CHECK(
      checked.out.ends_with(s.config() + ": 6 tables of 3 sources, as the databases have them\n"));
  s.seed();
  s.start_run();
  for (const std::string& name : s.names) {
    s.cluster.execute(
        "UPDATE account SET balance = 1 WHERE id = 1; INSERT INTO ledger(src) "
        "VALUES(1); ALTER TABLE account RENAME TO konto",
        name);
  }
  s.catch_up();
  for (const std::string& name : s.names) {
    CHECK(s.rows("SELECT id || '|' || balance FROM " + name + "_konto ORDER BY id") ==
          s.source_rows("SELECT id || '|' || balance FROM konto ORDER BY id", name));
    CHECK(s.value("SELECT count(*) FROM " + name + "_ledger") == "1");
  }
  s.end_run();

  // One database twice.
  json twice = json::parse(read_file(s.config()));
  twice["sources"][1]["connection"] = s.cluster.conninfo("a");
  twice["sources"][1]["daystream"] = s.stream("a") + "/.";
  twice["tables"] = {{{"table", "ledger"}}};
  write_file(s.config(), twice.dump());
  std::filesystem::remove(s.mirror());
  for (const char* end : {"-wal", "-shm"}) std::filesystem::remove(s.mirror() + end);
  refused = s.command("seed", {"--config", s.config()});
  CHECK(refused.exit == Exit{3, 0});
  CHECK_THAT(refused.err, Catch::Contains("sources \"a\" and \"b\" are the same database"));
  CHECK_FALSE(std::filesystem::exists(s.mirror()));

  // Shapes that cannot stand in one table are found before anything is copied.
  s.cluster.execute("ALTER TABLE ledger ALTER src TYPE text", "c");
  s.write_config({{{"table", "ledger"}}});
  refused = s.command("seed", {"--config", s.config()});
  CHECK(refused.exit == Exit{3, 0});
  CHECK_THAT(refused.err,
             Catch::Contains("table \"ledger\" of source \"c\" does not fit that of "
                             "source \"a\": column \"src\" is TEXT here, not INTEGER"));
}
