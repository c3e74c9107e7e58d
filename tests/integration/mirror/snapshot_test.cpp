// Snapshots of a mirror that runs, mirrors that begin with one, and the past made again.
#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "pipeline.h"
#include "support/row_compare.h"
#include "support/temp_dir.h"

using namespace support;
namespace fs = std::filesystem;

namespace {

struct Fleet : Pipeline {
  Fleet() {
    cluster.execute(
        "CREATE TABLE t(id int PRIMARY KEY, v text, n int);"
        "INSERT INTO t SELECT i, 'v' || i, 0 FROM generate_series(1, 500) i");
    start_stream();
    const Result seeded = seed({"--table", "t"});
    INFO(seeded.err);
    REQUIRE(seeded.ok());
  }
  Result snapshot(Texts arguments) const {
    Texts argv = {program("deltamirror"), "snapshot", mirror()};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return run(argv);
  }
  Result restore(const std::string& out, const std::string& from, const std::string& to) const {
    return run({program("deltamirror"), "restore", out, "--snapshot", from, "--daystream", stream(),
                "--to", to});
  }
  std::string file(const std::string& name) const { return (dir / name).string(); }
  static Texts rows_of(const std::string& mirror) {
    const deltamirror::Database db(mirror, deltamirror::Database::Mode::ReadOnly);
    deltamirror::Statement select =
        db.prepare("SELECT id || ' ' || v || ' ' || n FROM t ORDER BY id");
    Texts out;
    while (select.step()) out.push_back(select.text(0));
    return out;
  }
  Texts source() const {
    return source_rows("SELECT id || ' ' || v || ' ' || n FROM t ORDER BY id");
  }
  static Texts files_in(const fs::path& folder) {
    Texts names;
    for (const auto& entry : fs::directory_iterator(folder))
      names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
};

// One commit, as a reader of the files sees it.
struct Commit {
  std::string position, lsn, time;
  Texts rows;
};

}  // namespace

TEST_CASE("snapshot: mirrors begin with one made under load, without PostgreSQL",
          "[mirror][snapshot][integration]") {
  const std::string form = GENERATE("", "--raw");
  Fleet s;
  s.start_run();
  Process load({"psql", "-qX", "-d", s.cluster.conninfo(), "-c",
                "DO $$ BEGIN FOR i IN 1..100000 LOOP UPDATE t SET n = n + 1 WHERE id = i % 500 + 1;"
                " INSERT INTO t VALUES(1000 + i, 'new', i); COMMIT; END LOOP; END $$"});
  REQUIRE(eventually([&] { return s.value("SELECT count(*) > 600 FROM t") == "1"; }));
  Texts arguments = {s.file("s.db")};
  if (!form.empty()) arguments.push_back(form);
  const Result made = s.snapshot(arguments);
  INFO(made.err);
  REQUIRE(made.ok());
  CHECK(made.out == s.file("s.db") + "\n");
  CHECK_FALSE(fs::exists(s.file("s.db-wal")));
  CHECK_FALSE(fs::exists(s.file("s.db.partial")));
  CHECK(integrity_check(s.file("s.db")) == "ok");
  // As many inserted as counted: a commit's state, not a mixture.
  const deltamirror::Database whole(s.file("s.db"), deltamirror::Database::Mode::ReadOnly);
  CHECK(whole.value("SELECT sum(n) FROM t WHERE id <= 500") ==
        whole.value("SELECT count(*) FROM t WHERE id > 1000"));
  load.signal(SIGINT);
  load.wait();

  const Result twice = s.snapshot(arguments);
  CHECK(twice.exit == Exit{3, 0});
  CHECK_THAT(twice.err, Catch::Contains("s.db\" exists"));

  const std::string lsn = s.cluster.scalar("SELECT pg_current_wal_flush_lsn()");
  const Texts expected = s.source();
  for (const char* name : {"a.db", "b.db", "c.db"}) {
    fs::copy_file(s.file("s.db"), s.file(name));
    const Result run = support::run({program("deltamirror"), "run", s.file(name), "--daystream",
                                     s.stream(), "--until-lsn", lsn});
    INFO(run.err);
    REQUIRE(run.ok());
    CHECK(Fleet::rows_of(s.file(name)) == expected);
  }
}

TEST_CASE("snapshot: a directory of them is thinned out", "[mirror][snapshot][integration]") {
  Fleet s;
  const fs::path folder = s.dir / "snapshots";
  const Result none = s.snapshot({folder, "--keep", "2d"});
  CHECK(none.exit == Exit{2, 0});
  CHECK_THAT(none.err, Catch::Contains("make the directory first"));
  fs::create_directory(folder);
  for (const char* name :
       {"mirror-20250101T000000Z.db", "mirror-20250101T100000Z.db", "mirror-20250201T000000Z.db",
        "mirror-20250202T000000Z.db.partial", "other-20250101T000000Z.db", "notes.txt"}) {
    std::ofstream(folder / name) << "old";
  }
  CHECK(s.snapshot({folder, "--keep", "7x"}).exit == Exit{2, 0});
  const Result made = s.snapshot({folder, "--keep", "3d"});
  INFO(made.err);
  REQUIRE(made.ok());
  const std::string made_name = fs::path(made.out.substr(0, made.out.size() - 1)).filename();
  CHECK(Fleet::files_in(folder) == Texts{"mirror-20250101T100000Z.db", "mirror-20250201T000000Z.db",
                                         made_name, "notes.txt", "other-20250101T000000Z.db"});
  // Within the same second, too.
  for (int i = 0; i < 3; ++i) {
    const Result next = s.snapshot({folder});
    INFO(next.err);
    CHECK(next.ok());
  }
  CHECK(Fleet::files_in(folder).size() == 8);
  const Result again = s.snapshot({folder / made_name});
  CHECK_THAT(again.err, Catch::Contains("exists") && Catch::Contains("this makes a new snapshot"));
}

TEST_CASE("restore: equals what PostgreSQL held at a commit, by LSN, position and time",
          "[mirror][snapshot][integration]") {
  Fleet s;
  fs::create_directory(s.dir / "snapshots");
  std::vector<Commit> commits;
  for (int i = 0; i < 12; ++i) {
    s.cluster.execute("BEGIN; UPDATE t SET n = n + " + std::to_string(i + 1) +
                      " WHERE id % 12 = " + std::to_string(i) +
                      "; DELETE FROM t WHERE id = " + std::to_string(i * 7 + 1) + "; COMMIT");
    commits.push_back({{}, {}, {}, s.source()});
    if (i == 5) {
      REQUIRE(s.run_once().ok());
      REQUIRE(s.snapshot({s.dir / "snapshots"}).ok());
    }
  }
  const std::string first = s.file("snapshots/") + Fleet::files_in(s.dir / "snapshots").at(0);
  // By time the last one is only known to be the last once a later one has come.
  s.cluster.execute("CREATE TABLE later(id int PRIMARY KEY); INSERT INTO later VALUES(1)");
  REQUIRE(s.run_once().ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // names have whole seconds
  REQUIRE(s.snapshot({s.dir / "snapshots"}).ok());

  std::size_t commit = 0;
  const std::string text = run_ok({program("daystream"), "cat", s.stream(), "--tables", "t"});
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    if (!line.ends_with("\t_action\tcommit")) continue;
    const auto field = [&](const std::string& key) {
      const std::size_t begin = ("\t" + line).find("\t" + key + "\t") + key.size() + 1;
      return line.substr(begin, line.find('\t', begin) - begin);
    };
    REQUIRE(commit < commits.size());
    commits[commit].position = field("_c") + "/" + field("_s");
    commits[commit].lsn = field("_lsn");
    commits[commit].time = "@" + field("_time");
    ++commit;
  }
  REQUIRE(commit == commits.size());
  // The snapshot may stand at a mark after commit 5: the first that it surely lies before is 6.
  for (std::size_t i = 6; i < commits.size(); ++i) {
    for (const std::string& to : {commits[i].position, commits[i].lsn, commits[i].time}) {
      INFO(i << " " << to);
      const std::string out =
          s.file("r" + std::to_string(i) + to.substr(0, 1) + std::to_string(to.size()) + ".db");
      const Result restored = s.restore(out, s.file("snapshots"), to);
      INFO(restored.err);
      REQUIRE(restored.ok());
      CHECK(Fleet::rows_of(out) == commits[i].rows);
      fs::remove(out);
      for (const char* suffix : {"-wal", "-shm", ".lock"}) fs::remove(out + suffix);
    }
  }

  // Before the first snapshot, before the one that is named, after the stream's end.
  const Result early = s.restore(s.file("x.db"), s.file("snapshots"), commits[4].lsn);
  CHECK(early.exit == Exit{3, 0});
  CHECK_THAT(early.err, Catch::Contains("each snapshot"));
  CHECK(s.restore(s.file("x.db"), first, commits[4].position).exit == Exit{3, 0});
  const Result late = s.restore(s.file("x.db"), first, "F/0");
  CHECK(late.exit == Exit{1, 0});
  CHECK_THAT(late.err, Catch::Contains("ends at"));
  CHECK(s.restore(s.file("x.db"), first, "whenever").exit == Exit{2, 0});
  for (const std::string& name : Fleet::files_in(s.dir.path()))
    CHECK_FALSE(name.starts_with("x.db"));

  // A restored mirror goes on from there.
  REQUIRE(s.restore(s.file("again.db"), first, commits[7].lsn).ok());
  run_ok({program("deltamirror"), "run", s.file("again.db"), "--daystream", s.stream(), "--once"});
  CHECK(Fleet::rows_of(s.file("again.db")) == commits.back().rows);
  REQUIRE(s.restore(s.file("latest.db"), first, "latest").ok());
  CHECK(Fleet::rows_of(s.file("latest.db")) == commits.back().rows);
}

TEST_CASE("restore: a damaged snapshot becomes no mirror", "[mirror][snapshot][integration]") {
  Fleet s;
  s.cluster.execute("INSERT INTO t SELECT g, 'v' || g, 0 FROM generate_series(1000, 5000) g");
  REQUIRE(s.run_once().ok());
  REQUIRE(s.snapshot({s.file("whole.db")}).ok());
  std::string bytes = support::read_file(s.file("whole.db"));
  // Pages in the middle: what is before and after them says nothing of it.
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size() / 2 / 4096 * 4096), 4096,
              '\x5a');
  support::write_file(s.file("bad.db"), bytes);
  for (const char* name : {"bad", "whole"}) {
    CAPTURE(name);
    const Result restored =
        s.restore(s.file("was.db"), s.file(name + std::string(".db")), "latest");
    CAPTURE(restored.err);
    CHECK(restored.ok() == (name == std::string("whole")));
    if (restored.ok()) continue;
    CHECK(restored.exit == Exit{3, 0});
    CHECK_THAT(restored.err, Catch::Contains("bad.db\" is damaged: "));
    CHECK_FALSE(fs::exists(s.file("was.db")));
  }
}

TEST_CASE("delay: a delayed mirror never has what is younger", "[mirror][snapshot][integration]") {
  Fleet s;
  s.cluster.execute("TRUNCATE t");
  REQUIRE(s.run_once().ok());
  CHECK(run({program("deltamirror"), "run", s.mirror(), "--daystream", s.stream(), "--delay", "x"})
            .exit == Exit{2, 0});
  s.runner.emplace(
      Texts{program("deltamirror"), "run", s.mirror(), "--daystream", s.stream(), "--delay", "2s"});
  for (int i = 1; i <= 4; ++i) {
    // Committed at least so late as it says.
    s.cluster.execute("INSERT INTO t VALUES(" + std::to_string(i) +
                      ", extract(epoch from now()), 0)");
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  bool all = false;
  REQUIRE(eventually([&] {
    // The clock is read after the rows: they can only have grown older.
    const std::string newest = s.value("SELECT max(CAST(v AS REAL)) FROM t");
    all = s.value("SELECT count(*) FROM t") == "4";
    const auto now =
        std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch());
    if (newest != "NULL") CHECK(now.count() - std::stod(newest) >= 2.0);
    return all;
  }));
  s.runner->signal(SIGTERM);
  CHECK(s.runner->wait() == Exit{0, 0});
}
