// One thing done to a schema, in the statements that people type, with a program killed after each
// of them: the mirror comes to hold what a fresh seed has.
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "common/seed.h"
#include "mirror_programs.h"

using namespace fault;
using Lines = std::vector<std::string>;

namespace {

struct Change {
  std::string name;
  Lines lines;
};

const std::map<std::string, std::string> kWished = {
    {"public.t", "t"}, {"public.o", "o"}, {"public.p", "p"}};

// What each change begins from, whatever the one before it has left.
const Lines kBeginning = {
    "DROP TABLE IF EXISTS t, t_old, n, o, o_old, p, p_old, p3 CASCADE",
    "DROP SCHEMA IF EXISTS aside CASCADE",
    "DROP TYPE IF EXISTS mood, mood_old, pair CASCADE",
    "CREATE SCHEMA aside",
    "CREATE TYPE mood AS ENUM ('sad', 'glad')",
    "CREATE TYPE pair AS (a int, b text)",
    "CREATE TABLE t(id int CONSTRAINT t_key PRIMARY KEY, m mood, c pair, v text)",
    "INSERT INTO t SELECT i, 'glad', (i, 'b')::pair, 'v' || i FROM generate_series(1, 9) i",
    "CREATE TABLE o(id int PRIMARY KEY, m mood, c pair, v text)",
    "INSERT INTO o SELECT i, 'sad', (i, 'o')::pair, 'o' || i FROM generate_series(1, 9) i",
    "CREATE TABLE p(id int PRIMARY KEY, v text) PARTITION BY RANGE (id)",
    "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)",
    "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)",
    "INSERT INTO p SELECT i, 'p' || i FROM generate_series(5, 14) i"};

const std::vector<Change> kChanges = {
    {"a type is made again",
     {"DROP TYPE mood CASCADE", "CREATE TYPE mood AS ENUM ('one', 'two')",
      "ALTER TABLE t ADD COLUMN m mood", "UPDATE t SET m = 'two' WHERE id < 4"}},
    {"a type takes the name of another",
     {"ALTER TYPE mood RENAME TO mood_old", "CREATE TYPE mood AS ENUM ('glad', 'sad', 'new')",
      "ALTER TABLE t ALTER m TYPE mood USING m::text::mood", "UPDATE t SET m = 'new' WHERE id = 3",
      "ALTER TYPE mood_old RENAME VALUE 'sad' TO 'blue'"}},
    {"an attribute comes and goes",
     {"ALTER TYPE pair ADD ATTRIBUTE d int CASCADE", "INSERT INTO t(id, c) VALUES(20, (1, 'x', 2))",
      "ALTER TYPE pair DROP ATTRIBUTE a CASCADE", "DELETE FROM o WHERE id = 5"}},
    {"a partition is attached and detached",
     {"CREATE TABLE p3(LIKE p INCLUDING ALL)", "INSERT INTO p3 VALUES(25, 'attached')",
      "ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (20) TO (30)",
      "INSERT INTO p VALUES(26, 'by the root')", "ALTER TABLE p DETACH PARTITION p1",
      "UPDATE p SET v = 'left' WHERE id > 12"}},
    {"a key is lost and found",
     {"ALTER TABLE t DROP CONSTRAINT t_key", "UPDATE t SET v = 'without' WHERE id = 2",
      "DELETE FROM t WHERE id = 3", "ALTER TABLE t ADD PRIMARY KEY (id)",
      "UPDATE t SET v = 'with' WHERE id = 4"}},
    {"another key",
     {"ALTER TABLE t ALTER v SET NOT NULL", "ALTER TABLE t DROP CONSTRAINT t_key",
      "ALTER TABLE t ADD PRIMARY KEY (v)", "UPDATE t SET id = 100 WHERE id = 4"}},
    {"out of the stream's filter and back",
     {"ALTER TABLE t SET SCHEMA aside", "INSERT INTO aside.t(id, v) VALUES(30, 'unseen')",
      "ALTER TABLE aside.t SET SCHEMA public", "INSERT INTO t(id, v) VALUES(31, 'seen')"}},
    {"out of the filter for good, and another comes",
     {"ALTER TABLE t SET SCHEMA aside", "CREATE TABLE t(id int PRIMARY KEY, w int)",
      "INSERT INTO t VALUES(1, 2)", "DROP TABLE aside.t", "UPDATE t SET w = 3"}},
    {"a table takes the place of another",
     {"CREATE TABLE n(LIKE t INCLUDING ALL)", "INSERT INTO n SELECT id + 50, m, c, v FROM t",
      "ALTER TABLE t RENAME TO t_old", "ALTER TABLE n RENAME TO t", "UPDATE t_old SET v = 'old'",
      "DROP TABLE t_old", "UPDATE t SET v = 'new' WHERE id = 51"}},
    {"tables exchange their names",
     {"ALTER TABLE t RENAME TO t_old", "ALTER TABLE o RENAME TO t", "ALTER TABLE t_old RENAME TO o",
      "UPDATE o SET v = 'was t'", "DELETE FROM t WHERE id = 1"}},
    {"a partitioned table takes the place of one that is none",
     {"ALTER TABLE p RENAME TO p_old", "CREATE TABLE p(id int PRIMARY KEY, v text)",
      "INSERT INTO p VALUES(1, 'plain')", "INSERT INTO p_old VALUES(7777, 'out of bounds')",
      "DROP TABLE p_old", "UPDATE p SET v = 'still'"}},
    {"unlogged, dropped and made again",
     {"ALTER TABLE o SET UNLOGGED", "INSERT INTO o(id) VALUES(70)", "ALTER TABLE o SET LOGGED",
      "DROP TABLE o", "CREATE TABLE o(id int PRIMARY KEY, v text)",
      "INSERT INTO o VALUES(1, 'x')"}},
};

// A statement that the server refuses is one like any other.
void run_line(support::Cluster& cluster, const std::string& database, const std::string& sql) {
  try {
    cluster.execute(sql, database);
  } catch (const daystream::Error&) {
  }
}

enum class Victim { Owner, Stream, Server, ServerAtOnce };
constexpr int kVictims = 4;

void kill_one(MirrorPrograms& programs, Victim victim, std::size_t source) {
  switch (victim) {
    case Victim::Owner:
      return programs.kill_owner();
    case Victim::Stream:
      return programs.kill_stream(source);
    case Victim::Server:
      programs.cluster().execute("CHECKPOINT");  // else PostgreSQL may fail over unlogged tables
      return programs.kill_server();
    case Victim::ServerAtOnce:
      programs.cluster().execute("CHECKPOINT");
      return programs.shut_server_at_once();
  }
}

// What happens, happens in the first database; the others are as they were.
class Trial {
 public:
  explicit Trial(const MirrorSetting& setting)
      : connected_(setting.connected),
        programs_(setting, [](support::Cluster& cluster, const StormSource& source) {
          for (const std::string& line : kBeginning) cluster.execute(line, source.database);
        }) {}

  // `victim` is killed after that line of `change`.
  void run(const Change& change, std::size_t after, Victim victim) {
    CAPTURE(change.name, after, static_cast<int>(victim));
    const std::string& database = programs_.sources()[0].database;
    for (const std::string& line : kBeginning) run_line(programs_.cluster(), database, line);
    check();
    for (std::size_t i = 0; i < change.lines.size(); ++i) {
      run_line(programs_.cluster(), database, change.lines[i]);
      if (i == after) kill_one(programs_, victim, 0);
    }
    check();
  }
  void stop() { programs_.stop(); }

 private:
  void check() {
    const std::string complaint = programs_.complaint(connected_);
    if (!complaint.empty()) FAIL(complaint << "\nIt said:\n" << programs_.told());
    if (connected_) return;
    programs_.do_as_told();
    const std::string then = programs_.complaint(true);
    if (!then.empty()) FAIL(then << "\nIt said:\n" << programs_.told());
  }

  const bool connected_;
  MirrorPrograms programs_;
};

// In the long form each change with each victim after each statement, in the short one some.
void try_all(const std::string& name, int sources, bool connected) {
  Random random(name);
  Trial trial({.sources = sources,
               .connected = connected,
               .lent = false,
               .called = kWished,
               .streamed = "public.*"});
  if (!long_form()) {
    for (int i = rounds(6, 0); i > 0; --i) {
      const Change& change = kChanges[random.below(kChanges.size())];
      trial.run(change, random.below(change.lines.size()),
                static_cast<Victim>(random.below(kVictims)));
    }
    return trial.stop();
  }
  for (const Change& change : kChanges) {
    for (std::size_t after = 0; after < change.lines.size(); ++after) {
      for (int victim = 0; victim < kVictims; ++victim) {
        trial.run(change, after, static_cast<Victim>(victim));
      }
    }
  }
  trial.stop();
}

}  // namespace

TEST_CASE("deltamirror: a program killed after any statement of a change loses nothing",
          "[fault][deltamirror][shapes][statements]") {
  try_all("statements", 1, true);
}

TEST_CASE("deltamirror: a program killed after any statement loses nothing of three databases",
          "[fault][deltamirror][shapes][statements]") {
  try_all("statements of three", 3, true);
}

TEST_CASE("deltamirror: a program killed after any statement leaves what a person can mend",
          "[fault][deltamirror][shapes][statements]") {
  try_all("statements alone", 1, false);
}
