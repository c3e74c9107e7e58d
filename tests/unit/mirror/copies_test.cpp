// Which tables the owner of a mirror copies, and when.
#include "owner/copies.h"

#include <catch2/catch.hpp>

#include "program/program.h"
#include "seed/requests.h"
#include "store/last_events.h"
#include "store/shared_table.h"
#include "stream_fixture.h"
#include "support/followed_table.h"
#include "support/wait.h"

using namespace deltamirror;

namespace {

// A mirror in memory that lacks the table `t`, whose server is not there.
struct Lacking {
  daystream::test::WrittenStream stream;
  daystream::Writer writer = stream.writer();
  Database db{":memory:", Database::Mode::Create};
  daystream::program::Signals signals;
  RunControl control{{}, signals};
  RunOptions options;
  std::optional<Copies> copies;
  std::optional<Applier> applier;

  Lacking() {
    create_catalog(db);
    save_checkpoint(db, Checkpoint{});
    TableRequest request;
    request.table = "t";
    MirroredTable table = absent_table(request);
    table.standing.state = TableState::Copying;
    save_table(db, table);
    options.daystream = daystream::Stream(stream.directory.path());
    options.conninfo = "host=" + (stream.directory.path() / "nobody").string();
    copies.emplace(db, options, control, nullptr, nullptr);
    applier.emplace(db, std::nullopt, control.stop, "");
  }
  // Until a copy was tried, and could not be made.
  void fail() {
    while (!load_error(db, "")) copies->step(*applier);
  }
};

}  // namespace

// The longest pause of a table is minutes: it would not be back soon after its server.
TEST_CASE("copies: a server that is not there is nothing that counts against a table",
          "[mirror][copies]") {
  Lacking mirror;
  mirror.fail();
  CHECK(mirror.copies->tables() == std::vector<std::string>{"t"});
}

// What kept it away for hours, with pauses of minutes, is over: what keeps it away now is another
// matter.
TEST_CASE("retries: a table of which a line has told is tried after short pauses again",
          "[mirror][copies]") {
  MirroredTable table;
  table.name = "t";
  table.standing.state = TableState::Parked;
  table.standing.since = "1";
  Retries retries;
  for (int i = 0; i < 10; ++i) {
    retries.begin(table, {}, {});
    retries.failed(table);
  }
  CHECK_FALSE(retries.is_due(table));
  table.standing.state = TableState::Copying;
  table.standing.since = "2";
  retries.begin(table, {}, {});
  retries.failed(table);
  CHECK(support::eventually([&] { return retries.is_due(table); }));
}

namespace {

Retries::Clock::time_point clock_of_test;

}  // namespace

TEST_CASE("retries: pauses grow to minutes, but for a newer snapshot somebody looks soon",
          "[mirror][copies]") {
  using std::chrono::seconds;
  const auto [from, longest] =
      GENERATE(table<Retries::From, seconds>({{Retries::From::PostgreSQL, seconds(300)},
                                              {Retries::From::Snapshot, seconds(15)},
                                              {Retries::From::NoSnapshot, seconds(300)}}));
  MirroredTable table;
  table.name = "t";
  table.standing.state = TableState::Parked;
  table.standing.since = "1";
  Retries retries([] { return clock_of_test; });
  seconds pause{1};
  for (int i = 0; i < 12; ++i) {
    CAPTURE(i, longest.count());
    retries.begin(table, {}, {});
    retries.failed(table, from);
    clock_of_test += pause - std::chrono::milliseconds(1);
    CHECK_FALSE(retries.is_due(table));
    clock_of_test += std::chrono::milliseconds(1);
    CHECK(retries.is_due(table));
    pause = std::min(pause * 2, longest);
  }
  CHECK(pause == longest);
  // Who sends SIGHUP does not wait for that.
  retries.failed(table, from);
  CHECK_FALSE(retries.is_due(table));
  retries.try_now();
  CHECK(retries.is_due(table));
  CHECK_FALSE(retries.has_failed("t"));
}

// The next try would be minutes later.
TEST_CASE("retries: a table that did not fit what others have of it is tried once that has changed",
          "[mirror][copies][sources]") {
  Database db(":memory:", Database::Mode::Create);
  create_catalog(db);
  const auto table_of = [&](const std::string& source, const std::string& type) {
    MirroredTable table;
    table.source = source;
    table.source_column = "src";
    table.name = "t";
    table.shape.identity = 'd';
    table.shape.columns = {{1, "id", type, true}};
    Checkpoint at;
    at.source = source;
    save_checkpoint(db, at);
    save_table(db, table);
    return table;
  };
  MirroredTable parked = table_of("a", "text");
  parked.standing.state = TableState::Parked;
  parked.standing.since = "1";
  table_of("b", "integer");
  Retries retries;
  const auto fails = [&] {
    retries.begin(parked, shape_of_others(db, parked), {1, 1});
    retries.failed(parked);
    retries.look(parked, shape_of_others(db, parked));
  };
  for (int i = 0; i < 10; ++i) fails();
  CHECK_FALSE(retries.is_due(parked));
  table_of("a", "bytea");
  retries.look(parked, shape_of_others(db, parked));
  CHECK_FALSE(retries.is_due(parked));

  SECTION("another shape") {
    table_of("b", "text");
  }
  SECTION("another one has it, too") {
    table_of("c", "text");
  }
  SECTION("gone") {
    forget_table(db, "b", "t");
  }
  SECTION("only kept") {
    MirroredTable kept = table_of("b", "integer");
    kept.standing.state = TableState::Parked;
    save_table(db, kept);
  }
  retries.look(parked, shape_of_others(db, parked));
  CHECK(retries.is_due(parked));
  // Since when it is to be had from a snapshot stays.
  CHECK(retries.begin(parked, shape_of_others(db, parked), {2, 2}).text() == "1/1");
}
