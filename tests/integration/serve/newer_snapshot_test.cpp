// A mirror that began as a copy of a snapshot, with no PostgreSQL, meets what no line of its stream
// can mend: a newer snapshot heals it.
#include <sqlite3.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "../mirror/shards.h"
#include "../pipeline/pipeline.h"
#include "server_process.h"
#include "support/slot.h"

using namespace pipeline;
using serve_test::ServerProcess;
using support::eventually;
using support::run_ok;

namespace {

namespace fs = std::filesystem;

struct Sqlite {
  explicit Sqlite(const fs::path& file, int flags = SQLITE_OPEN_READONLY) {
    sqlite3* opened = nullptr;
    const int code = sqlite3_open_v2(file.c_str(), &opened, flags, nullptr);
    db.reset(opened);
    if (code == SQLITE_OK) sqlite3_busy_timeout(db.get(), 10'000);
  }
  // The first value; what SQLite says where it fails.
  std::string answer(const std::string& sql) const {
    sqlite3_stmt* statement = nullptr;
    int code = sqlite3_prepare_v2(db.get(), sql.c_str(), -1, &statement, nullptr);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    std::string out = std::string("failed: ") + sqlite3_errmsg(db.get());
    if (code == SQLITE_ROW) {
      out = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
    return out;
  }
  struct Close {
    void operator()(sqlite3* closed) const { sqlite3_close_v2(closed); }
  };
  std::unique_ptr<sqlite3, Close> db;
};

// How the second mirror hears of snapshots.
enum class Offer {
  ByItsServer,   // which it reads the stream from
  ByServer,      // run --from URL
  ByServerOnly,  // the same, with a stream that is another host's copy
  AsFile         // run --from FILE
};

// Two mirrors of one stream: the first has a connection and offers snapshots, the second has those
// and the stream alone.
struct HealsBySnapshot : Pipeline {
  explicit HealsBySnapshot(Offer by = Offer::ByItsServer) {
    execute(
        "CREATE TABLE t(id int PRIMARY KEY, v text, c cidr DEFAULT '10.1.2.3/32');"
        "CREATE TABLE o(id int PRIMARY KEY);"
        "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 3000) i");
    start_stream();
    seed({"t", "o"});
    fs::create_directory(folder() / "offered");
    offer("begin");
    first.emplace(std::vector<std::string>{support::program("deltamirror"), "run", mirror(),
                                           "--daystream", daystream(), "-d", conninfo()});
    server.emplace(std::vector<std::string>{"app=" + daystream().string()},
                   std::vector<std::string>{"--snapshots", folder() / "offered"});
    start_second(by);
    wait("mirror");
    wait("other");
  }
  void start_second(Offer by) {
    std::vector<std::string> argv = {support::program("deltamirror"), "run", other()};
    const auto and_with = [&](std::vector<std::string> more) {
      argv.insert(argv.end(), more.begin(), more.end());
    };
    switch (by) {
      case Offer::ByItsServer:
        argv[1] = "up";
        [[fallthrough]];
      case Offer::ByServer:
        and_with({"--from", server->url("/app")});
        break;
      case Offer::ByServerOnly:
        pull();
        and_with({"--daystream", copy(), "--from", server->url("/app")});
        break;
      case Offer::AsFile:
        run_ok({support::program("deltamirror"), "seed", other(), "--from", server->url("/app")});
        and_with({"--daystream", daystream(), "--from", at_hand()});
    }
    second.emplace(argv);
    REQUIRE(eventually([&] { return fs::exists(other()); }));
  }
  fs::path other() const { return mirror("other"); }
  fs::path at_hand() const { return folder() / "at-hand.db"; }
  fs::path copy() const { return folder() / "copy"; }
  // What the stream has by now comes into the copy.
  void pull() const {
    run_ok({support::program("daystream"), "pull", server->url("/app"), copy(), "--once"});
  }
  std::string state() const {
    return Sqlite(other()).answer("SELECT state FROM _deltamirror_tables WHERE name = 't'");
  }
  bool soon(const std::string& wanted) const {
    return eventually([&] { return state() == wanted; });
  }
  int times_fetched() {
    const std::string log = second->err();
    int times = 0;
    for (std::size_t at = 0; (at = log.find("fetched a snapshot of", at)) != std::string::npos;
         ++at)
      ++times;
    return times;
  }
  // Until it has all that is committed now, and no table of it is in trouble.
  void wait(const std::string& name) {
    const std::string lsn = scalar("SELECT pg_current_wal_lsn()");
    const auto come = [&](const std::string& which) {
      INFO(second->err());
      REQUIRE(eventually([&] {
        return support::run({support::program("deltamirror"), "wait", mirror(which), "--lsn", lsn,
                             "--timeout", "20"})
            .ok();
      }));
    };
    if (name != "mirror" && fs::exists(copy())) {
      come("mirror");
      pull();
    }
    come(name);
  }
  // Of the first mirror, under a name of its own.
  void offer(const std::string& name) const {
    const fs::path made = folder() / (name + ".db");
    run_ok({support::program("deltamirror"), "snapshot", mirror(), made});
    offer_file(made);
  }
  void offer_file(const fs::path& made) const {
    fs::copy_file(made, folder() / "put-there");
    fs::rename(folder() / "put-there", at_hand());
    fs::rename(made, folder() / "offered" / made.filename());
  }
  // What `sql` changes is in no stream.
  void lose(const std::string& sql) {
    stream().signal(SIGTERM);
    stream().wait();
    support::wait_until_free(cluster(), "app");
    execute("SELECT pg_drop_replication_slot('app')");
    execute(sql);
    run_ok({support::program("deltastream"), "-d", conninfo(), "-S", "app", "-D", daystream(),
            "--recreate-slot"});
    start_stream();
  }
  bool second_says(const std::string& text) {
    return eventually([&] { return second->err().find(text) != std::string::npos; });
  }
  void check_equal() {
    for (const char* table : {"t", "o"}) CHECK(difference(*this, table, other()).empty());
  }
  void end() {
    for (Process* process : {&*first, &*second}) {
      process->signal(SIGTERM);
      CHECK(process->wait() == support::Exit{0, 0});
    }
  }
  std::optional<Process> first;
  std::optional<Process> second;
  std::optional<ServerProcess> server;
};

}  // namespace

TEST_CASE("snapshots: a mirror that has none but those heals from a gap by a newer one",
          "[snapshots][heal]") {
  HealsBySnapshot p(GENERATE(Offer::ByItsServer, Offer::ByServer, Offer::AsFile));
  const std::string both = "SELECT (SELECT v FROM t WHERE id = 4) || (SELECT count(*) FROM o)";
  std::set<std::string> seen;
  std::atomic<bool> healed = false;
  std::jthread reader([&] {
    for (bool last = false; !last;) {
      last = healed;
      seen.insert(Sqlite(p.other()).answer(both));
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  });
  p.lose("BEGIN; UPDATE t SET v = 'in the gap' WHERE id = 4; INSERT INTO o VALUES (1); COMMIT");
  // The one on offer is from before the gap: it is waited for another one.
  const bool waits = p.second_says("no newer snapshot yet");
  if (!waits) healed = true;
  INFO(p.second->err());
  REQUIRE(waits);
  REQUIRE(p.second->running());
  CHECK(Sqlite(p.other()).answer(both) == "v40");

  std::ofstream(p.folder() / "nonsense.db") << "nonsense";
  p.offer_file(p.folder() / "nonsense.db");
  CHECK(p.second_says("is of no use"));
  p.wait("mirror");
  p.offer("newer");
  p.wait("other");
  healed = true;
  reader.join();
  CHECK(seen == std::set<std::string>{"v40", "in the gap1"});
  p.check_equal();

  p.execute("INSERT INTO t VALUES (5000, 'after'); DELETE FROM o");
  p.wait("other");
  p.check_equal();
  for (const auto& entry : fs::directory_iterator(p.folder())) {
    CHECK(entry.path().filename().string().find(".newer") == std::string::npos);
  }
  p.end();
}

TEST_CASE("snapshots: what a newer one says of tables cannot touch what else the mirror has",
          "[snapshots][heal]") {
  HealsBySnapshot p;
  p.lose("INSERT INTO o VALUES (1)");
  REQUIRE(p.second_says("no newer snapshot yet"));
  p.wait("mirror");
  const fs::path evil = p.folder() / "evil.db";
  run_ok({support::program("deltamirror"), "snapshot", p.mirror(), evil});
  std::string change;
  SECTION("the name of the mirror's own table") {
    change =
        "UPDATE _deltamirror_tables SET name = '_deltamirror_checkpoint' WHERE name = 't' "
        "RETURNING 'done'";
  }
  SECTION("no such table") {
    change = "DELETE FROM _deltamirror_tables WHERE name = 't' RETURNING 'done'";
  }
  REQUIRE(Sqlite(evil, SQLITE_OPEN_READWRITE).answer(change) == "done");
  p.offer_file(evil);
  const std::string state = "SELECT state FROM _deltamirror_tables WHERE name = 't'";
  CHECK(eventually([&] { return Sqlite(p.other()).answer(state) == "parked"; }));
  CHECK(eventually([&] { return Sqlite(p.other()).answer("SELECT count(*) FROM o") == "1"; }));
  p.execute("INSERT INTO o VALUES (2)");
  p.wait("other");
  CHECK(Sqlite(p.other()).answer("SELECT count(*) FROM o") == "2");
  INFO(p.second->err());
  p.end();
}

TEST_CASE("snapshots: one table that must be copied comes from a newer one", "[snapshots][heal]") {
  HealsBySnapshot p(GENERATE(Offer::ByItsServer, Offer::ByServerOnly, Offer::AsFile));
  SECTION("made again") {
    p.execute("DROP TABLE t");
    p.execute("CREATE TABLE t(id int PRIMARY KEY, w int); INSERT INTO t VALUES (1, 1), (2, 2)");
  }
  SECTION("it reads otherwise") {
    p.execute("ALTER TABLE t ALTER c TYPE inet");
  }
  SECTION("its key was lost") {
    p.execute("ALTER TABLE t DROP CONSTRAINT t_pkey; UPDATE t SET v = 'without' WHERE id = 2");
    p.execute("ALTER TABLE t ADD PRIMARY KEY (id)");
  }
  SECTION("here alone its rows are not what they should be") {
    Sqlite(p.other(), SQLITE_OPEN_READWRITE).answer("DELETE FROM t WHERE id = 7");
    p.execute("UPDATE t SET v = 'gone' WHERE id = 7");
  }
  p.execute("INSERT INTO o VALUES (1)");
  p.wait("mirror");
  if (fs::exists(p.copy())) p.pull();
  INFO(p.second->err());
  CHECK(p.soon("parked"));
  // The others go on, and the one that is on offer is from before.
  CHECK(eventually([&] { return Sqlite(p.other()).answer("SELECT count(*) FROM o") == "1"; }));
  CHECK(p.second_says("could not copy t"));
  p.offer("newer");
  // It may be of a place that came after the copy was pulled.
  if (fs::exists(p.copy())) p.pull();
  CHECK(p.soon("following"));
  p.execute("UPDATE t SET id = -id WHERE id = 2; INSERT INTO t(id) VALUES (5000); DELETE FROM o");
  p.wait("other");
  p.check_equal();
  // The one from before once more where something else became of the table meanwhile.
  CHECK(p.times_fetched() <= 3);
  p.end();
}

TEST_CASE("snapshots: one that the stream does not have yet is fetched once", "[snapshots][heal]") {
  HealsBySnapshot p(Offer::ByServerOnly);
  p.lose("INSERT INTO o VALUES (1)");
  p.execute("INSERT INTO o VALUES (2)");
  p.wait("mirror");
  p.pull();
  REQUIRE(p.second_says("no newer snapshot yet"));
  p.execute("INSERT INTO o VALUES (3)");
  p.wait("mirror");
  p.offer("ahead");
  INFO(p.second->err());
  CHECK(p.second_says("does not have yet"));
  const int fetched = p.times_fetched();
  p.wait("other");
  p.check_equal();
  CHECK(p.times_fetched() == fetched);
  p.end();
}

TEST_CASE("snapshots: of three sources each heals from a newer one of them all",
          "[snapshots][heal][sources]") {
  using support::Texts;
  Shards s(
      "CREATE TABLE x(id int PRIMARY KEY, v text); CREATE TABLE y(id int PRIMARY KEY);"
      "INSERT INTO x VALUES(1, 'one'); INSERT INTO y VALUES(2)");
  s.write_config({{{"table", "x"}}, {{"table", "y"}}});
  s.seed();
  s.start_run();
  const fs::path offered = s.dir / "offered";
  fs::create_directory(offered);
  const auto offer = [&](const std::string& name) {
    const fs::path made = s.dir / (name + ".db");
    run_ok({support::program("deltamirror"), "snapshot", s.mirror(), made});
    fs::rename(made, offered / made.filename());
  };
  offer("begin");
  std::vector<std::string> streams;
  std::vector<std::string> snapshots;
  for (const std::string& name : s.names) {
    streams.push_back(name + "=" + s.stream(name));
    snapshots.insert(snapshots.end(), {"--snapshots", name + "=" + offered.string()});
  }
  const ServerProcess server(streams, snapshots);
  auto config = nlohmann::json::parse(support::read_file(s.config()));
  for (auto& source : config["sources"]) {
    source.erase("connection");
    source["daystream"] = server.url("/" + source["name"].get<std::string>());
  }
  const std::string other = s.dir / "other.db";
  support::write_file(s.dir / "other.json", config.dump());
  run_ok({support::program("deltamirror"), "snapshot", s.mirror(), other});
  Process second({support::program("deltamirror"), "run", other, "--config", s.dir / "other.json"});
  const auto answer = [&](const std::string& sql) { return Sqlite(other).answer(sql); };
  const auto says = [&](const std::string& text) {
    return eventually([&] { return second.err().find(text) != std::string::npos; });
  };
  INFO(second.err());

  SECTION("one table of one of them") {
    s.cluster.execute("DROP TABLE x", "b");
    s.cluster.execute("CREATE TABLE x(id int PRIMARY KEY, v text); INSERT INTO x VALUES(7, 'new')",
                      "b");
    CHECK(eventually([&] {
      return answer("SELECT state FROM _deltamirror_tables WHERE source = 'b' AND name = 'x'") ==
             "parked";
    }));
  }
  SECTION("a gap of one of them") {
    s.stop_stream("b");
    support::wait_until_free(s.cluster, "shard_b");
    s.cluster.execute("SELECT pg_drop_replication_slot('shard_b')", "b");
    s.cluster.execute("UPDATE x SET v = 'in the gap'", "b");
    run_ok({support::program("deltastream"), "-d", s.cluster.conninfo("b"), "-S", "shard_b", "-D",
            s.stream("b"), "--recreate-slot"});
    s.start_stream("b");
    CHECK(says("no newer snapshot yet"));
  }
  s.cluster.execute("UPDATE x SET v = 'on'", "c");
  CHECK(eventually([&] { return answer("SELECT v FROM x WHERE shard = 'c'") == "on"; }));
  s.catch_up();
  offer("newer");
  const auto expected = [&] { return s.union_of("SELECT '$' || id || v FROM x"); };
  const auto here = [&] {
    Texts out;
    const deltamirror::Database db(other, deltamirror::Database::Mode::ReadOnly);
    deltamirror::Statement select = db.prepare("SELECT shard || id || v FROM x ORDER BY 1");
    while (select.step()) out.push_back(select.text(0));
    return out;
  };
  CHECK(eventually([&] { return here() == expected(); }));
  s.cluster.execute("UPDATE x SET v = 'after'; INSERT INTO x VALUES(9, 'nine')", "b");
  CHECK(eventually([&] { return here() == expected(); }));
  second.signal(SIGTERM);
  CHECK(second.wait() == support::Exit{0, 0});
  s.end_run();
}

TEST_CASE("snapshots: a gap without a connection and without a newer one on offer needs a person",
          "[snapshots][heal]") {
  HealsBySnapshot p;
  // From here on the server of the stream offers none.
  const int port = p.server->port();
  p.second->signal(SIGTERM);
  REQUIRE(p.second->wait() == support::Exit{0, 0});
  p.server.reset();
  p.server.emplace(std::vector<std::string>{"app=" + p.daystream().string()},
                   std::vector<std::string>{}, port);
  p.lose("INSERT INTO o VALUES (1)");
  const auto result = support::run({support::program("deltamirror"), "run", p.other()});
  INFO(result.err);
  CHECK(result.exit.code == 3);
  CHECK(result.err.find("lacks what PostgreSQL committed") != std::string::npos);
  CHECK(result.err.find("-d dbname=app") != std::string::npos);
}
