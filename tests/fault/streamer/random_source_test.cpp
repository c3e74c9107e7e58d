// Between two runs of deltastream people and machines do things to slot, directory and server, in
// any order: it goes on where nothing was lost, without a word, and refuses where something was.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "common/seed.h"
#include "streamed_source.h"

using namespace fault;
using support::Cluster;
using support::Exit;
using support::Process;

namespace fs = std::filesystem;

namespace {

constexpr const char* kAhead = "is ahead of daystream";

// The source of all rounds: rows count on, and what is streamed is all of them or refused.
class Game {
 public:
  explicit Game(Random& random) : random_(random) {}

  void round();

 private:
  void insert_some(std::uint64_t most) {
    for (std::uint64_t n = random_.below(most + 1); n > 0; --n) insert_one();
  }
  void insert_one() {
    source_.insert(++last_);
    expected_.push_back(std::to_string(last_));
  }
  void query(const std::string& sql) { source_.cluster.query(sql); }
  void drop_slot();
  void make_slot(const std::string& plugin = "deltaflood") {
    query("SELECT pg_create_logical_replication_slot('s', '" + plugin + "')");
  }
  // A new daystream of a new slot, with what is inserted from now on.
  void begin_anew();

  void goes_on();
  void refused(const std::string& why) {
    source_.check_refused(source_.cluster, why);
    begin_anew();
  }

  void slot_gone();
  void slot_moved();
  void harmless();
  void several_starts();
  void under_a_running_stream();

  Random& random_;
  Source source_;
  int last_ = 1;
  std::vector<std::string> expected_ = {"1"};
};

void Game::round() {
  if (random_.one_in(20)) begin_anew();  // else the stream only grows
  insert_some(3);
  switch (random_.below(5)) {
    case 0:
      return slot_gone();
    case 1:
      return slot_moved();
    case 2:
      return harmless();
    case 3:
      return several_starts();
    default:
      return under_a_running_stream();
  }
}

void Game::drop_slot() {
  // Whoever had it may not have let go of it yet.
  const bool dropped = support::eventually([&] {
    try {
      query(
          "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
          "WHERE slot_name = 's' AND active");
      query(
          "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
          "WHERE slot_name = 's'");
      return true;
    } catch (const daystream::program::SqlError& error) {
      if (error.sqlstate() != "55006") throw;  // object_in_use
      return false;
    }
  });
  REQUIRE(dropped);
}

void Game::begin_anew() {
  drop_slot();
  fs::remove_all(source_.dir / "d");
  expected_.clear();
  make_slot();
  insert_one();
  source_.stream();
}

void Game::goes_on() {
  const support::Result result =
      support::run(source_.command(source_.cluster, Source::end_of(source_.cluster)));
  INFO(result.err);
  CHECK(result.exit == Exit{0, 0});
  CHECK(source_.streamed() == expected_);
}

void Game::slot_gone() {
  const std::uint64_t how = random_.below(4);
  CAPTURE(how);
  query("SELECT pg_drop_replication_slot('s')");
  if (how == 1) {
    insert_some(2);
    make_slot();
    insert_some(2);
  } else if (how == 2) {
    make_slot("test_decoding");
  } else if (how == 3) {
    query("SELECT pg_create_physical_replication_slot('s')");
  }
  const char* const why[] = {"slot \"s\" does not exist", kAhead, "uses plugin \"test_decoding\"",
                             "is a physical slot"};
  refused(why[how]);
}

void Game::slot_moved() {
  insert_one();  // something to lose
  const std::uint64_t how = random_.below(3);
  CAPTURE(how);
  if (how == 0) {
    query("SELECT pg_replication_slot_advance('s', pg_current_wal_flush_lsn())");
    return refused(kAhead);
  }
  if (how == 1) {
    query("SELECT pg_logical_slot_get_changes('s', NULL, 1)");
    return refused(kAhead);
  }
  // The directory is that of yesterday, its slot of today.
  fs::copy(source_.dir / "d", source_.dir / "old");
  source_.stream();
  fs::remove_all(source_.dir / "d");
  fs::rename(source_.dir / "old", source_.dir / "d");
  refused(kAhead);
}

void Game::harmless() {
  const std::uint64_t how = random_.below(7);
  CAPTURE(how);
  switch (how) {
    case 0:
      break;
    case 1:
      query("SELECT pg_logical_slot_peek_changes('s', NULL, NULL)");
      break;
    case 2:  // to where it is; a slot that is at its start already says so by an error
      query(
          "SELECT pg_replication_slot_advance('s', confirmed_flush_lsn) FROM pg_replication_slots "
          "WHERE slot_name = 's' AND restart_lsn < confirmed_flush_lsn");
      break;
    case 3:
      query("SELECT pg_copy_logical_replication_slot('s', 'copy')");
      query("SELECT pg_drop_replication_slot('copy')");
      break;
    case 4:
      source_.cluster.restart();
      break;
    case 5:
      source_.cluster.kill9();
      source_.cluster.start();
      break;
    default:
      fs::copy(source_.dir / "d", source_.dir / "moved");
      fs::remove_all(source_.dir / "d");
      fs::rename(source_.dir / "moved", source_.dir / "d");
  }
  insert_some(2);
  goes_on();
}

void Game::several_starts() {
  const bool new_directory = random_.one_in(2);
  if (new_directory) {
    drop_slot();
    fs::remove_all(source_.dir / "d");
    expected_.clear();
    make_slot();
    insert_some(3);
  }
  CAPTURE(new_directory);
  std::vector<Process> racers;
  const std::uint64_t count = 2 + random_.below(3);
  for (std::uint64_t i = 0; i < count; ++i) racers.emplace_back(source_.command(source_.cluster));
  const auto left = [&] {
    return std::count_if(racers.begin(), racers.end(), [](Process& p) { return p.running(); });
  };
  REQUIRE(support::eventually([&] { return left() <= 1; }));
  insert_one();
  const std::uint64_t end = support::parse_lsn(Source::end_of(source_.cluster));
  REQUIRE(support::eventually([&] {
    return support::parse_lsn(source_.cluster.scalar(
               "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 's'")) >=
               end ||
           left() == 0;
  }));
  REQUIRE(left() == 1);
  for (Process& racer : racers) {
    const bool winner = racer.running();
    if (winner) racer.signal(SIGTERM);
    CHECK(racer.wait() == Exit{winner ? 0 : 1, 0});
    if (!winner) CHECK_THAT(racer.err(), Catch::Contains("is in use by"));
  }
  CHECK(source_.streamed() == expected_);
}

// It reconnects by itself and meets what was done.
void Game::under_a_running_stream() {
  const std::uint64_t how = random_.below(4);
  CAPTURE(how);
  std::optional<Process> stream(std::in_place, source_.command(source_.cluster));
  const auto active = [&] {
    return source_.cluster.scalar(
               "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 's' AND active") == "1";
  };
  REQUIRE(support::eventually([&] { return active() || !stream->running(); }));
  insert_some(3);
  if (how == 0) {
    query(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
        "WHERE slot_name = 's' AND active");
  } else if (how == 1) {
    source_.cluster.restart(random_.one_in(2) ? Cluster::Shutdown::Fast
                                              : Cluster::Shutdown::Immediate);
  } else {
    drop_slot();
    if (how == 3) make_slot();
    CHECK(stream->wait() == Exit{3, 0});
    // Which of the two it met depends on who was quicker.
    CHECK_THAT(stream->err(), Catch::Contains("slot \"s\" does not exist") ||
                                  Catch::Contains(how == 3 ? kAhead : "does not exist"));
    const std::vector<std::string> streamed = source_.streamed();
    REQUIRE(streamed.size() <= expected_.size());
    CHECK(std::equal(streamed.begin(), streamed.end(), expected_.begin()));
    return begin_anew();
  }
  insert_one();
  const std::uint64_t end = support::parse_lsn(Source::end_of(source_.cluster));
  INFO(stream->err());
  CHECK(support::eventually([&] {
    return support::parse_lsn(source_.cluster.scalar(
               "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 's'")) >=
               end ||
           !stream->running();
  }));
  stream->signal(SIGTERM);
  CHECK(stream->wait() == Exit{0, 0});
  CHECK(source_.streamed() == expected_);
}

}  // namespace

TEST_CASE("deltastream: whatever is done to its slot, it goes on or refuses as it must",
          "[fault][deltastream][source][random]") {
  Random random("slot");
  Game game(random);
  for (int i = 0, count = rounds(8, 500); i < count; ++i) {
    CAPTURE(i);
    game.round();
  }
}

TEST_CASE("deltastream: a cluster that goes back in time is refused, each time",
          "[fault][deltastream][source][random]") {
  Random random("back in time");
  Source source;
  int last = 1;
  for (int i = 0, count = rounds(1, 300); i < count; ++i) {
    CAPTURE(i);
    const auto insert_some = [&](std::uint64_t most) {
      for (std::uint64_t n = random.below(most + 1); n > 0; --n) source.insert(++last);
    };
    insert_some(3);
    if (random.one_in(2)) source.stream();
    // As whoever copies a data folder does it: stopped, or with a snapshot of a running one's disk.
    const fs::path data = source.cluster.data_dir();
    const fs::path saved = source.dir / "saved";
    source.cluster.stop(random.one_in(2) ? Cluster::Shutdown::Fast : Cluster::Shutdown::Immediate);
    support::run_ok({"cp", "-a", data.string(), saved.string()});
    source.cluster.start();
    source.insert(++last);
    insert_some(20);
    source.stream();
    source.cluster.stop();
    fs::remove_all(data);
    support::run_ok({"cp", "-a", saved.string(), data.string()});
    fs::remove_all(saved);
    source.cluster.start();
    const auto before = source.streamed();
    // Often it has gone on for long: past our end, where its WAL alone cannot tell.
    const bool far = random.one_in(2);
    if (far) {
      source.cluster.execute(
          fmt::format("DO $$ BEGIN FOR i IN {} .. {} LOOP INSERT INTO t VALUES (i); COMMIT; "
                      "END LOOP; END $$",
                      last + 1, last + 400));
      last += 400;
    }
    CAPTURE(far);
    const support::Result result = support::run(source.command(source.cluster));
    CHECK(result.exit == Exit{3, 0});
    CHECK_THAT(result.err, Catch::Contains("diverged") && Catch::Contains("HINT"));
    CHECK(source.streamed() == before);
    // What is left to do: a new slot and directory.
    fs::remove_all(source.dir / "d");
    source.cluster.query("SELECT pg_drop_replication_slot('s')");
    source.cluster.query("SELECT pg_create_logical_replication_slot('s', 'deltaflood')");
    source.insert(++last);
    source.stream();
  }
}

TEST_CASE("deltastream: failover after failover, it goes on where the standby has everything",
          "[fault][deltastream][source][standby][random]") {
  Random random("failover");
  const Cluster::Options options{.config = {"wal_keep_size = 256MB"}};
  Source first(options);
  std::vector<std::string> expected = {"1"};
  Cluster* primary = &first.cluster;
  std::optional<Cluster> nodes[2];
  int last = 1;
  for (int i = 0, count = rounds(1, 300); i < count; ++i) {
    CAPTURE(i);
    const auto insert_some = [&](std::uint64_t most) {
      for (std::uint64_t n = random.below(most + 1); n > 0; --n) {
        primary->execute(fmt::format("INSERT INTO t VALUES ({})", ++last));
        expected.push_back(std::to_string(last));
      }
    };
    const auto stream = [&] { support::run_ok(first.command(*primary, Source::end_of(*primary))); };
    std::optional<Cluster>& standby = nodes[i % 2];
    standby.emplace(Cluster::Options{.config = options.config, .standby_of = primary});
    // The slot needs no WAL of before the standby was made: what looks after slots waits for that.
    const std::string made = Source::end_of(*primary);
    REQUIRE(support::eventually([&] {
      primary->execute("CHECKPOINT");  // tells which transactions run: decoding can begin there
      stream();
      return primary->scalar("SELECT restart_lsn >= '" + made + "' FROM pg_replication_slots") ==
             "t";
    }));
    insert_some(3);
    if (random.one_in(2)) stream();
    insert_some(2);
    const bool has_all = random.one_in(2);
    if (has_all) {
      primary->stop();  // waits until the standby has all
      standby->stop();
      copy_slot(*primary, *standby);
    } else {
      stream();
      const std::string streamed = Source::end_of(*primary);
      REQUIRE(support::eventually([&] {
        return standby->scalar("SELECT pg_last_wal_replay_lsn() >= '" + streamed + "'") == "t";
      }));
      standby->stop();
      insert_some(1);
      primary->execute("INSERT INTO t VALUES (-1)");  // the standby never hears of it
      stream();
      primary->stop();
      copy_slot(*primary, *standby);
    }
    standby->start();
    standby->promote();
    primary = &*standby;
    insert_some(3);
    if (has_all) {
      const support::Result result =
          support::run(first.command(*primary, Source::end_of(*primary)));
      INFO(result.err);
      CHECK(result.exit == Exit{0, 0});
      CHECK(first.streamed() == expected);
      continue;
    }
    for (int n = static_cast<int>(random.below(100)); n > 0; --n) insert_some(3);
    const support::Result refused = support::run(first.command(*primary));
    INFO(refused.err);
    CHECK(refused.exit == Exit{3, 0});
    CHECK_THAT(refused.err, Catch::Contains("diverged") || Catch::Contains(kAhead));
    fs::remove_all(first.dir / "d");
    primary->query("SELECT pg_drop_replication_slot('s')");
    primary->query("SELECT pg_create_logical_replication_slot('s', 'deltaflood')");
    expected.clear();
    insert_some(3);
    stream();
    CHECK(first.streamed() == expected);
  }
}
