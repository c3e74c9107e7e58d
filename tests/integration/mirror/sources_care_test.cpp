// A mirror of several databases is verified, mended, changed, copied and restored.
#include <algorithm>
#include <catch2/catch.hpp>

#include "lines.h"
#include "owner/unix_socket.h"
#include "shards.h"
#include "support/slot.h"

using namespace support;
using nlohmann::json;

namespace {

struct Cared : Shards {
  Cared()
      : Shards(
            "CREATE TABLE t(id int PRIMARY KEY, v text);"
            "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 300) i;"
            "CREATE TABLE twins(a int, b text); ALTER TABLE twins REPLICA IDENTITY FULL;"
            "INSERT INTO twins VALUES(1, 'x'), (1, 'x'), (2, 'y');"
            "CREATE TABLE later(id int PRIMARY KEY, n int); INSERT INTO later VALUES(1, 1)") {
    write_config({{{"table", "t"}, {"indexes", {"v"}}}, {{"table", "twins"}}});
    seed();
  }
  Result verify(const Texts& more = {}) const {
    Texts argv = {"--config", config()};
    argv.insert(argv.end(), more.begin(), more.end());
    return command("verify", argv);
  }
  void write(const std::string& sql) const {
    deltamirror::Database(mirror(), deltamirror::Database::Mode::ReadWrite).exec(sql);
  }
  void check_union() const {
    CHECK(rows("SELECT shard || '|' || id || '|' || v FROM t ORDER BY 1") ==
          union_of("SELECT '$|' || id || '|' || v FROM t"));
    CHECK(rows("SELECT shard || '|' || a || '|' || b FROM twins ORDER BY 1") ==
          union_of("SELECT '$|' || a || '|' || b FROM twins"));
  }
};

}  // namespace

TEST_CASE("sources: verify tells whose rows differ, and mends them",
          "[mirror][sources][integration]") {
  Cared s;
  Result right = s.verify();
  INFO(right.out << right.err);
  CHECK(right.ok());
  CHECK_THAT(right.out,
             Catch::Contains("source b\nt: 300 rows, 0 differ\ntwins: 3 rows, 0 differ"));
  s.write(
      "DELETE FROM t WHERE shard = 'b' AND id = 7; UPDATE t SET v = 'other' WHERE shard = 'b' AND "
      "id = 8; INSERT INTO t VALUES('b', 1000, 'surplus');"
      "DELETE FROM twins WHERE shard = 'c' AND a = 2");
  CHECK(s.verify({"--source", "a"}).ok());
  CHECK(s.verify({"--source", "b", "--sample", "100%"}).exit == Exit{3, 0});
  const Result wrong = s.verify();
  CHECK(wrong.exit == Exit{3, 0});
  CHECK_THAT(wrong.out, Catch::Contains("t: row shard=\"b\", id=7 is missing in the mirror") &&
                            Catch::Contains("t: row shard=\"b\", id=8 differs in v") &&
                            Catch::Contains("t: row shard='b', id=1000 is not in PostgreSQL") &&
                            Catch::Contains("row ('c', 2, 'y') is in PostgreSQL 1 times"));
  CHECK_THAT(wrong.err, Catch::Contains("4 rows of mirror"));
  const Result mended = s.verify({"--repair"});
  INFO(mended.out << mended.err);
  CHECK(mended.ok());
  s.check_union();
  CHECK(s.verify().ok());
  s.start_run();
  for (const std::string& name : s.names) {
    s.cluster.execute("UPDATE t SET v = 'again' WHERE id = 7; DELETE FROM twins WHERE a = 1", name);
  }
  s.catch_up();
  s.check_union();

  // While it runs its owner mends, also what has stopped one.
  s.write("DELETE FROM t WHERE shard = 'b' AND id IN (1, 2); DELETE FROM t WHERE shard = 'c'");
  s.cluster.execute("UPDATE t SET v = 'stops' WHERE id = 1", "b");
  // The table of that source is copied by itself; what nobody has changed since only verify finds.
  REQUIRE(eventually(
      [&] { return s.runner->err().find("lacks the row with shard=\"b\"") != std::string::npos; }));
  const Result while_running = s.verify({"--repair"});
  INFO(while_running.out << while_running.err << s.runner->err());
  CHECK(while_running.ok());
  s.catch_up();
  s.check_union();
  CHECK(s.status()["state"] == "following");
  s.end_run();
}

TEST_CASE("sources: tables come, go and are copied again as the configuration and commands say",
          "[mirror][sources][integration]") {
  Cared s;
  s.start_run();
  s.catch_up();
  // Which one, where several have it, must be said.
  const Result which = s.command("reseed", {"--table", "t"});
  CHECK(which.exit == Exit{2, 0});
  CHECK_THAT(which.err, Catch::Contains("the sources a, b, c have such tables") &&
                            Catch::Contains("--source NAME"));
  s.write("UPDATE t SET v = 'wrong' WHERE id < 100");
  const Result copied = s.command("reseed", {"--table", "t", "--source", "b", "--whole"});
  INFO(copied.err << s.runner->err());
  CHECK(copied.ok());
  CHECK(s.rows("SELECT shard || count(*) FROM t WHERE v = 'wrong' GROUP BY shard ORDER BY 1") ==
        Texts{"a99", "c99"});
  for (const std::string name : {"a", "c"}) {
    CHECK(s.command("reseed", {"--table", "t", "--source", name}).ok());
  }
  s.cluster.execute("INSERT INTO t VALUES(5000, 'x')", "b");
  s.catch_up();
  s.check_union();

  json changed = json::parse(read_file(s.config()));
  changed["tables"] = {{{"table", "t"}}, {{"table", "later"}}};
  write_file(s.config(), changed.dump());
  s.runner->signal(SIGHUP);
  REQUIRE(eventually([&] {
    return s.value(
               "SELECT count(*) FROM _deltamirror_tables WHERE name = 'later' AND "
               "state = 'following'") == "3";
  }));
  s.cluster.execute("UPDATE later SET n = 2", "c");
  s.catch_up();
  CHECK(s.rows("SELECT shard || n FROM later ORDER BY 1") == Texts{"a1", "b1", "c2"});
  CHECK(s.value("SELECT count(*) FROM sqlite_schema WHERE name = 'twins'") == "0");
  CHECK(s.value("SELECT count(*) FROM sqlite_schema WHERE name = 't_v_idx'") == "0");
  CHECK(s.command("remove", {"--table", "later", "--source", "a"}).ok());
  CHECK(s.rows("SELECT shard || n FROM later ORDER BY 1") == Texts{"b1", "c2"});
  s.end_run();
  CHECK(s.command("remove", {"--table", "later", "--source", "b"}).ok());
  CHECK(s.rows("SELECT shard || n FROM later ORDER BY 1") == Texts{"c2"});
  // By itself, where nobody owns the mirror.
  s.write("UPDATE t SET v = 'wrong' WHERE shard = 'a'");
  const Result alone =
      s.command("reseed", {"--table", "t", "--source", "a", "--config", s.config()});
  INFO(alone.err);
  CHECK(alone.ok());
  CHECK(s.value("SELECT count(*) FROM t WHERE v = 'wrong'") == "0");
}

TEST_CASE("sources: a copy from which the stream leads nowhere yet keeps nobody waiting",
          "[mirror][sources][heal][integration]") {
  Cared s;
  s.stop_stream("a");
  drop_slot(s.cluster, "shard_a");
  s.cluster.execute("UPDATE t SET v = 'in the gap' WHERE id = 7", "a");
  run_ok({program("deltastream"), "-d", s.cluster.conninfo("a"), "-S", "shard_a", "-D",
          s.stream("a"), "--recreate-slot"});
  s.start_stream("a");
  const std::string lsn = s.cluster.scalar("SELECT pg_current_wal_flush_lsn()", "a");
  REQUIRE(eventually([&] {
    return s.cluster.scalar("SELECT bool_or(confirmed_flush_lsn >= '" + lsn +
                            "') FROM pg_replication_slots WHERE slot_name = 'shard_a'") == "t";
  }));
  s.stop_stream("a");
  s.cluster.execute("INSERT INTO t VALUES(1000, 'after the stream')", "a");
  // One table of it cannot be compared in place, so that all are copied.
  s.start_run();
  const auto copies = [&] {
    std::size_t count = 0;
    const std::string said = s.runner->err();
    const std::string begins = "copying t, twins from PostgreSQL";
    for (auto at = said.find(begins); at != std::string::npos; at = said.find(begins, at + 1)) {
      ++count;
    }
    return count;
  };
  INFO(s.runner->err());
  REQUIRE(eventually([&] { return copies() > 0; }));
  for (int i = 0; i < 30; ++i) {
    s.cluster.execute("INSERT INTO twins VALUES(3, 'z')", "b");
    s.catch_up("b");
  }
  CHECK(s.value("SELECT v FROM t WHERE shard = 'a' AND id = 7") == "v7");
  s.start_stream("a");
  s.catch_up("a");
  s.check_union();
  CHECK(copies() == 1);
  s.end_run();
}

TEST_CASE("sources: a snapshot goes on, and is restored to one time of all",
          "[mirror][sources][integration]") {
  Cared s;
  s.start_run();
  for (const std::string& name : s.names)
    s.cluster.execute("UPDATE t SET v = 'one' WHERE id = 1", name);
  s.catch_up();
  const std::string copy = (s.dir / "copy.db").string();
  REQUIRE(s.command("snapshot", {copy}).ok());
  std::string two_of_b;
  for (const std::string& name : s.names) {
    s.cluster.execute("UPDATE t SET v = 'two' WHERE id = 1", name);
    if (name == "b") two_of_b = s.cluster.scalar("SELECT pg_current_wal_flush_lsn()", "b");
  }
  const std::string then = s.cluster.scalar(
      "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', "
      "'YYYY-MM-DD HH24:MI:SS.US')");
  const Texts at_that_time = s.union_of("SELECT '$|' || id || '|' || v FROM t");
  for (const std::string& name : s.names) s.cluster.execute("DELETE FROM t WHERE id = 1", name);
  s.catch_up();
  s.end_run();
  const std::string was = (s.dir / "was.db").string();
  const Result restored =
      run({program("deltamirror"), "restore", was, "--snapshot", copy, "--to", then});
  INFO(restored.err);
  REQUIRE(restored.ok());
  {
    const deltamirror::Database db(was, deltamirror::Database::Mode::ReadOnly);
    deltamirror::Statement select =
        db.prepare("SELECT shard || '|' || id || '|' || v FROM t ORDER BY 1");
    Texts rows;
    while (select.step()) rows.push_back(select.text(0));
    CHECK(rows == at_that_time);
  }
  // To a place of one of them: the others to the time of its last commit there.
  const std::string place = (s.dir / "place.db").string();
  const Result placed = run({program("deltamirror"), "restore", place, "--snapshot", copy, "--to",
                             two_of_b, "--source", "b"});
  INFO(placed.err);
  REQUIRE(placed.ok());
  CHECK(deltamirror::Database(place, deltamirror::Database::Mode::ReadOnly)
            .value("SELECT group_concat(shard || v) FROM (SELECT shard, v FROM t WHERE id = 1 "
                   "ORDER BY shard)") == "atwo,btwo,cone");
  const Result refused = run({program("deltamirror"), "restore", (s.dir / "x.db").string(),
                              "--snapshot", copy, "--to", "0/1"});
  CHECK(refused.exit == Exit{2, 0});
  CHECK_THAT(refused.err, Catch::Contains("it is a place of one of them"));
  // The snapshot is a mirror like the one it was taken of.
  CHECK(run({program("deltamirror"), "run", copy, "--config", s.config(), "--once"}).ok());
  CHECK(run({program("deltamirror"), "verify", copy, "--config", s.config()}).ok());
}

TEST_CASE("sources: a whole one comes and goes with the configuration",
          "[mirror][sources][integration]") {
  Cared s;
  json three = json::parse(read_file(s.config()));
  const auto without = [&](const Texts& names) {
    json changed = three;
    std::erase_if(changed["sources"].get_ref<json::array_t&>(), [&](const json& source) {
      return std::find(names.begin(), names.end(), source["name"]) != names.end();
    });
    write_file(s.config(), changed.dump());
  };
  const auto sources = [&] {
    return s.rows("SELECT source FROM _deltamirror_checkpoint ORDER BY 1");
  };
  s.start_run();
  s.catch_up();
  without({"b"});
  s.runner->signal(SIGHUP);
  REQUIRE(eventually([&] { return sources() == Texts{"a", "c"}; }));
  CHECK(s.value("SELECT count(*) FROM t WHERE shard = 'b'") == "0");
  CHECK(s.value("SELECT count(*) FROM _deltamirror_tables WHERE source = 'b'") == "0");
  for (const std::string& name : s.names) {
    s.cluster.execute("UPDATE t SET v = 'later' WHERE id = 7; INSERT INTO t VALUES(900, 'x')",
                      name);
  }
  without({});
  s.runner->signal(SIGHUP);
  REQUIRE(eventually([&] {
    return s.value("SELECT count(*) FROM twins WHERE shard = 'b'") == "3" &&
           s.value("SELECT count(*) FROM t WHERE shard = 'b'") == "301";
  }));
  s.cluster.execute("DELETE FROM t WHERE id = 8; INSERT INTO twins VALUES(1, 'x')", "b");
  s.catch_up();
  s.check_union();
  s.end_run();
  CHECK(s.verify().ok());

  // Also while nobody watches; a configuration of another mirror changes nothing.
  without({"c"});
  CHECK(run({program("deltamirror"), "run", s.mirror(), "--config", s.config(), "--once"}).ok());
  CHECK(sources() == Texts{"a", "b"});
  without({"a", "b"});
  const Result other =
      run({program("deltamirror"), "run", s.mirror(), "--config", s.config(), "--once"});
  CHECK(other.exit == Exit{2, 0});
  CHECK_THAT(other.err, Catch::Contains("names none of the mirror's sources: it has \"a\", \"b\""));
  CHECK(sources() == Texts{"a", "b"});
}

TEST_CASE("sources: of several, each ends at its LSN, and has tables added by command",
          "[mirror][sources][integration]") {
  Cared s;
  const auto place = [&](const std::string& name) {
    return s.cluster.scalar("SELECT pg_current_wal_flush_lsn()", name);
  };
  s.cluster.execute("UPDATE t SET v = 'before' WHERE id = 1", "a");
  const std::string end_of_a = place("a");
  s.cluster.execute("UPDATE t SET v = 'after' WHERE id = 1", "a");
  s.cluster.execute("UPDATE t SET v = 'other' WHERE id = 1", "b");
  const std::string end_of_b = place("b");
  Texts argv = {program("deltamirror"), "run", s.mirror(), "--config", s.config(), "--until-lsn"};
  CHECK_THAT(
      run({argv[0], "run", s.mirror(), "--config", s.config(), "--until-lsn", end_of_a}).err,
      Catch::Contains("an LSN is of one database") && Catch::Contains("--until-lsn SOURCE=LSN"));
  argv.insert(argv.end(),
              {"a=" + end_of_a, "--until-lsn", "b=" + end_of_b, "--until-lsn", "c=" + place("c")});
  const Result ended = run(argv);
  INFO(ended.err);
  CHECK(ended.ok());
  CHECK(s.rows("SELECT shard || v FROM t WHERE id = 1 ORDER BY 1") ==
        Texts{"abefore", "bother", "cv1"});

  const std::string path = (s.dir / "changes.sock").string();
  s.start_run({"--on-commit", "socket:" + path});
  REQUIRE(eventually([&] { return std::filesystem::exists(path); }));
  s.catch_up();
  const daystream::UniqueFd listener = deltamirror::connect_to(path);
  const auto heard = [&] { return json::parse(next_line(listener)); };
  CHECK(heard().at("sources").size() == 3);
  s.cluster.execute("UPDATE t SET v = 'told' WHERE id = 2", "c");
  const json told = heard();
  CHECK(told.at("source") == "c");
  CHECK(told.at("tables") == json::parse(R"({"t": [["c", 2]]})"));

  const Texts later = {"--table", "later", "--as", "c_later"};
  CHECK_THAT(s.command("seed", later).err, Catch::Contains("say which with --source NAME"));
  Texts of_c = later;
  of_c.insert(of_c.end(), {"--source", "c"});
  const Result added = s.command("seed", of_c);
  INFO(added.err << s.runner->err());
  CHECK(added.ok());
  s.cluster.execute("UPDATE later SET n = 2", "c");
  s.catch_up("c");
  CHECK(s.value("SELECT n FROM c_later") == "2");
  s.end_run();
}

TEST_CASE("status: healthy is only a mirror that is owned and followed, which its exit code says",
          "[mirror][sources][integration]") {
  Cared s;
  const auto exit = [&] { return s.command("status").exit; };
  Result idle = s.command("status");
  CHECK(idle.exit == Exit{1, 0});
  CHECK_THAT(idle.out, Catch::StartsWith("TROUBLE: no process owns the mirror"));
  s.start_run();
  s.catch_up();
  REQUIRE(eventually([&] { return exit() == Exit{0, 0}; }));
  CHECK(s.status()["trouble"].empty());
  // One that is away.
  std::filesystem::rename(s.stream("a"), s.stream("a") + "_away");
  s.kill_run();
  s.start_run();
  REQUIRE(eventually([&] { return s.status_of("a")["last_error"].is_string(); }));
  CHECK(exit() == Exit{3, 0});
  CHECK_THAT(s.command("status").out, Catch::Contains("TROUBLE: source \"a\" is "));
  std::filesystem::rename(s.stream("a") + "_away", s.stream("a"));
  s.runner->signal(SIGHUP);
  REQUIRE(eventually([&] { return exit() == Exit{0, 0}; }));
  CHECK(s.status_of("a")["last_error"].is_null());
  s.end_run();
  CHECK(exit() == Exit{1, 0});
}
