// Who else reads: a plain Tcl script, pg_recvlogical through a pipe, a reader beside the mirror, a
// reader under another user id.
#include <catch2/catch.hpp>
#include <csignal>
#include <thread>

#include "pipeline.h"

using namespace pipeline;
using support::eventually;
using support::program;
using support::run_ok;

TEST_CASE("pipeline: a Tcl script that knows only the lines reaches the same tables",
          "[pipeline][tcl]") {
  Pipeline p;
  p.execute(
      "CREATE TABLE texts (id int PRIMARY KEY, body text, flag boolean);"
      "CREATE SCHEMA ops; CREATE TABLE ops.\"Odd Name\" (a text, b int, c text, PRIMARY KEY (b, "
      "a))");
  p.start_stream();
  // After the slot, so that the stream holds all of it.
  p.cluster().run_tool("pgbench", {"-i", "-q", "-I", "dtpg", "-s", "1", Pipeline::kDatabase});
  p.execute("ALTER TABLE pgbench_history ADD id bigserial PRIMARY KEY");
  p.cluster().run_tool("pgbench", {"-n", "-c", "2", "-t", "300", Pipeline::kDatabase});
  // Nothing beyond U+FFFF: Tcl 8.6 cannot read it.
  p.execute(
      "INSERT INTO texts VALUES (1, E'tab\\tnewline\\nback\\\\slash\\rreturn $var [cmd] {brace}', "
      "true), (2, NULL, false), (3, '\\N', NULL), (4, 'ÿ€', true), (5, '', false);"
      "UPDATE texts SET body = NULL WHERE id = 1; UPDATE texts SET id = 10 WHERE id = 2;"
      "DELETE FROM texts WHERE id = 3; INSERT INTO ops.\"Odd Name\" VALUES ('x', 1, 'y'), ('x', 2, "
      "NULL), ('z', 1, NULL); UPDATE ops.\"Odd Name\" SET a = 'w' WHERE b = 2;"
      // An unchanged TOAST value is in no line of an update, key changed or not.
      "INSERT INTO texts SELECT 20, string_agg(md5(i::text), ''), true FROM generate_series(1, "
      "4000) i; UPDATE texts SET flag = false WHERE id = 20; UPDATE texts SET id = 21 WHERE id = "
      "20");
  const std::string lsn = p.scalar("SELECT pg_current_wal_lsn()");
  REQUIRE(eventually([&] {
    return p.scalar("SELECT confirmed_flush_lsn >= '" + lsn + "' FROM pg_replication_slots") == "t";
  }));

  const std::string lines = run_ok({program("daystream"), "cat", p.daystream().string()});
  run_ok({"tclsh", PIPELINE_SOURCE_DIR "/reader.tcl", p.mirror("tcl").string()}, {.input = lines},
         std::chrono::minutes{5});
  for (const std::string& table : kPgbenchTables) {
    CHECK(difference(p, table, p.mirror("tcl")) == "");
  }
  CHECK(difference(p, "texts", p.mirror("tcl")) == "");
  CHECK(sqlite_rows(p.mirror("tcl"), "\"ops.\"\"Odd Name\"\"\"", "b, a") ==
        postgres_rows(p, "ops.\"Odd Name\"", "b, a"));
}

TEST_CASE("pipeline: pg_recvlogical through a pipe gives a daystream a mirror can follow",
          "[pipeline][stdin]") {
  Pipeline p;
  p.execute("CREATE TABLE foxes (id int PRIMARY KEY, name text)");
  p.execute("SELECT pg_create_logical_replication_slot('pipe', 'deltaflood')");
  Process shell({"sh", "-c",
                 Cluster::tool("pg_recvlogical") +
                     " -d \"$0\" -S pipe --start -o "
                     "include-transaction -o include-schema -s 1 -F 1 -f - | exec " +
                     program("deltastream") + " --stdin -D \"$1\"",
                 p.conninfo(), p.daystream().string()},
                {.own_group = true});
  p.execute("INSERT INTO foxes SELECT i, 'fox' || i FROM generate_series(1, 100) i");
  REQUIRE(eventually(
      [&] { return std::filesystem::exists(p.daystream() / "durable") || !shell.running(); }));
  INFO(shell.err());
  REQUIRE(shell.running());
  p.execute("UPDATE foxes SET name = name || 'y' WHERE id % 3 = 0");
  p.seed({"foxes"});
  p.start_mirror();
  p.execute("DELETE FROM foxes WHERE id % 7 = 0; UPDATE foxes SET id = id + 1000 WHERE id < 20");
  CHECK(eventually([&] { return difference(p, "foxes", p.mirror()) == ""; }));
  CHECK(check_daystream(p.daystream()).commits >= 3);
  shell.signal_group(SIGTERM);
  shell.wait();
}

TEST_CASE("pipeline: a transfer's sum never changes for a reader, who is never blocked",
          "[pipeline][reader]") {
  Pipeline p;
  p.execute(
      "CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);"
      "INSERT INTO accounts VALUES (1, 500), (2, 500)");
  p.start_stream();
  p.seed({"accounts"});
  p.start_mirror();

  support::write_file(p.folder() / "transfer.pgbench",
                      "\\set amount random(-100, 100)\n"
                      "BEGIN;\n"
                      "UPDATE accounts SET balance = balance - :amount WHERE id = 1;\n"
                      "UPDATE accounts SET balance = balance + :amount WHERE id = 2;\n"
                      "COMMIT;\n");
  Process load({Cluster::tool("pgbench"), "-n", "-c", "2", "-T", "86400", "-f",
                (p.folder() / "transfer.pgbench").string(), "-d", p.conninfo()});

  // One reader holds its view open all the while; it must neither move nor hold up the mirror.
  Process holder({"sqlite3", "-readonly", p.mirror().string()}, {.input_pipe = true});
  holder.write_input("BEGIN;\nSELECT 'first ' || group_concat(balance) FROM accounts;\n");
  REQUIRE(eventually([&] { return holder.out().find("first") != std::string::npos; }));

  int reads = 0, different = 0, sums_wrong = 0;
  std::string before;
  while (reads < 10000) {
    const Rows rows = sqlite_rows(p.mirror(), "accounts", "id", std::chrono::milliseconds{0});
    ++reads;
    REQUIRE(rows.size() == 2);
    if (std::stoi(*rows[0][1]) + std::stoi(*rows[1][1]) != 1000) ++sums_wrong;
    if (*rows[0][1] != before) ++different;
    before = *rows[0][1];
  }
  CHECK(sums_wrong == 0);
  CHECK(different > 100);  // else the load was too small to show anything
  holder.write_input("SELECT 'again ' || group_concat(balance) FROM accounts;\n");
  REQUIRE(eventually([&] { return holder.out().find("again") != std::string::npos; }));
  const std::string seen = holder.out();
  const std::size_t first = seen.find("first ") + 6, again = seen.find("again ") + 6;
  CHECK(seen.substr(first, seen.find('\n', first) - first) ==
        seen.substr(again, seen.find('\n', again) - again));

  load.signal(SIGINT);
  load.wait();
  p.wait_until_caught_up();
  CHECK(difference(p, "accounts", p.mirror()) == "");
}

TEST_CASE("pipeline: a reader under another user id reads, whatever the mirror's process does",
          "[pipeline][reader]") {
  if (geteuid() != 0) {
    WARN("only root can become another user: not tested");
    return;
  }
  Pipeline p;
  p.execute("CREATE TABLE foxes (id int PRIMARY KEY); INSERT INTO foxes VALUES (1)");
  p.start_stream();
  p.seed({"foxes"});
  const auto count = [&] {
    return run_ok({"sqlite3", "-readonly", p.mirror().string(), "SELECT count(*) FROM foxes"},
                  {.user = support::User::named("nobody"), .folder = "/"});
  };
  CHECK(count() == "1\n");
  p.start_mirror();
  p.execute("INSERT INTO foxes VALUES (2)");
  p.wait_until_caught_up();
  CHECK(count() == "2\n");

  p.mirror_process().signal(SIGTERM);
  CHECK(p.mirror_process().wait() == support::Exit{0, 0});
  CHECK(count() == "2\n");

  p.start_mirror();
  p.execute("INSERT INTO foxes VALUES (3)");
  p.wait_until_caught_up();
  p.mirror_process().signal(SIGKILL);
  p.mirror_process().wait();
  CHECK(count() == "3\n");
}
