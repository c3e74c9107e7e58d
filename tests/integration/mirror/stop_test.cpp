// What stops a mirror, and where it then is.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <fstream>

#include "shaped.h"
#include "support/slot.h"

using namespace support;

namespace {

void kill_stream_once_it_has_all(Pipeline& p) {
  const std::string lsn = p.cluster.scalar("SELECT pg_current_wal_flush_lsn()");
  REQUIRE(eventually([&] {
    return p.cluster.scalar("SELECT bool_or(confirmed_flush_lsn >= '" + lsn +
                            "') FROM pg_replication_slots WHERE slot_name = 'mirror'") == "t";
  }));
  p.streamer->signal(SIGKILL);
  p.streamer->wait();
}

std::filesystem::path last_day(const std::filesystem::path& stream) {
  std::filesystem::path last;
  for (const auto& entry : std::filesystem::directory_iterator(stream)) {
    if (entry.path().extension() == ".tsv") last = std::max(last, entry.path());
  }
  return last;
}

}  // namespace

TEST_CASE("mirror: what stops it takes no transaction before it along",
          "[mirror][shape][integration]") {
  Shaped s;
  s.cluster.execute("UPDATE t SET b = 11 WHERE id = 1");
  s.cluster.execute("INSERT INTO u VALUES(2, 'before')");
  s.cluster.execute("DROP TABLE t; CREATE TABLE t(id int PRIMARY KEY)");
  for (int attempt = 0; attempt < 2; ++attempt) {
    CHECK(s.run_to_trouble().exit == Exit{3, 0});
    CHECK(s.value("SELECT b FROM t WHERE id = 1") == "11");
    CHECK(s.rows("SELECT v FROM u ORDER BY id") == Texts{"u", "before"});
  }
}

TEST_CASE("mirror: a gap stops it, right after what came before", "[mirror][integration]") {
  Shaped s;
  s.cluster.execute("INSERT INTO u VALUES(2, 'before')");
  kill_stream_once_it_has_all(s);
  drop_slot(s.cluster, "mirror");
  s.cluster.execute("INSERT INTO u VALUES(3, 'lost')");
  run_ok({program("deltastream"), "-d", s.cluster.conninfo(), "-S", "mirror", "-D", s.stream(),
          "--recreate-slot"});
  s.cluster.execute("INSERT INTO u VALUES(4, 'after')");
  const Result run = support::run(
      {program("deltamirror"), "run", s.mirror(), "--daystream", s.stream(), "--once"});
  CHECK(run.exit == Exit{3, 0});
  CHECK_THAT(run.err, Catch::Contains("the daystream lacks what PostgreSQL committed between") &&
                          Catch::Contains("HINT: run: deltamirror run " + s.mirror()) &&
                          Catch::Contains(" -d dbname=postgres "));
  CHECK(s.rows("SELECT v FROM u ORDER BY id") == Texts{"u", "before"});
}

// A mirror's file may be another's, and so may be what computes in it.
TEST_CASE("mirror: a trigger without end does not keep run from ending", "[mirror][integration]") {
  Shaped s;
  deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec(
          "CREATE TABLE seen(n);"
          "CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
          "SELECT count(*) AS n FROM n;"
          "CREATE TRIGGER note AFTER INSERT ON u BEGIN INSERT INTO seen SELECT n FROM endless; "
          "END");
  Process run({program("deltamirror"), "run", s.mirror(), "--daystream", s.stream()});
  s.cluster.execute("INSERT INTO u VALUES(2, 'v')");
  // It computes for longer than all else takes.
  const auto seconds = [&] {
    std::ifstream stat("/proc/" + std::to_string(run.pid()) + "/stat");
    std::string word;
    for (int i = 0; i < 14; ++i) stat >> word;
    return std::atof(word.c_str()) / static_cast<double>(sysconf(_SC_CLK_TCK));
  };
  REQUIRE(eventually([&] { return seconds() > 2; }));
  run.signal(SIGTERM);
  INFO(run.err());
  CHECK(run.wait() == Exit{0, 0});
  CHECK(s.rows("SELECT v FROM u") == Texts{"u"});
}

TEST_CASE("mirror: with --shape-changes stop it stops before one", "[mirror][integration]") {
  Shaped s;
  s.cluster.execute("INSERT INTO u VALUES(2, 'before')");
  s.cluster.execute("ALTER TABLE t ADD COLUMN c int; INSERT INTO u VALUES(3, 'after')");
  const auto run = [&](const std::string& policy) {
    const std::string lsn = s.cluster.scalar("SELECT pg_current_wal_flush_lsn()");
    return support::run({program("deltamirror"), "run", s.mirror(), "--daystream", s.stream(),
                         "--until-lsn", lsn, "--shape-changes", policy});
  };
  const Result stopped = run("stop");
  CHECK(stopped.exit == Exit{3, 0});
  CHECK_THAT(stopped.err, Catch::Contains("table public.t changes its shape"));
  CHECK_THAT(stopped.err, Catch::Contains("column \"c\" integer is new"));
  CHECK(s.rows("SELECT v FROM u ORDER BY id") == Texts{"u", "before"});
  const Result followed = run("follow");
  INFO(followed.err);
  CHECK(followed.ok());
  CHECK(s.rows("SELECT v FROM u ORDER BY id") == Texts{"u", "before", "after"});
}

TEST_CASE("mirror: what a power loss has torn is waited for, and damage is not",
          "[mirror][integration]") {
  Shaped s;
  s.cluster.execute("INSERT INTO u VALUES(2, 'before')");
  kill_stream_once_it_has_all(s);
  std::filesystem::remove(s.dir / "stream/durable");
  const std::filesystem::path day = last_day(s.stream());
  const std::string whole = read_file(day);
  // A transaction came after the last one, of which a page did not reach the disk.
  const std::string last = whole.substr(whole.rfind("_action\tinsert"));
  const std::string second = last.substr(last.find("\n_c\t") + 4, 10);
  std::string torn = "_c\t" + std::string(20, '\0') + last;
  for (std::size_t at; (at = torn.find(second)) != std::string::npos;) {
    torn.replace(at, second.size(), std::to_string(std::stoll(second) + 1));
  }
  write_file(day, whole + torn);

  const Result once = support::run(
      {program("deltamirror"), "run", s.mirror(), "--daystream", s.stream(), "--once"});
  CHECK(once.exit == Exit{3, 0});
  CHECK_THAT(once.err, Catch::Contains(", where nothing says that it was on disk") &&
                           Catch::Contains("HINT: start its deltastream"));
  s.start_run();
  CHECK(eventually([&] { return s.value("SELECT max(id) FROM u") == "2"; }));
  CHECK(eventually([&] { return s.runner->err().find("; trying again") != std::string::npos; }));
  const Result status = support::run({program("deltamirror"), "status", s.mirror()});
  CHECK_THAT(status.out, Catch::Contains("where nothing says that it was on disk"));
  s.start_stream();
  s.cluster.execute("INSERT INTO u VALUES(3, 'after')");
  CHECK(eventually([&] { return s.value("SELECT max(id) FROM u") == "3"; }));
  s.runner->signal(SIGTERM);
  CHECK(s.runner->wait() == Exit{0, 0});

  // What was durable is damage, also to one that waits.
  s.cluster.execute("INSERT INTO u VALUES(4, 'damaged')");
  kill_stream_once_it_has_all(s);
  std::string damaged = read_file(day);
  damaged[damaged.rfind("damaged")] = 'D';
  write_file(day, damaged);
  s.start_run();
  CHECK(s.runner->wait() == Exit{3, 0});
  CHECK_THAT(s.runner->err(), Catch::Contains("is damaged at byte"));
  CHECK(s.value("SELECT max(id) FROM u") == "3");
}
