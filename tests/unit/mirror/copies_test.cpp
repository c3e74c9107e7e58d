// Which tables the owner of a mirror copies, and when.
#include "owner/copies.h"

#include <catch2/catch.hpp>

#include "program/program.h"
#include "seed/requests.h"
#include "store/last_events.h"
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
  RunControl control{[] { return false; }, -1, signals};
  RunOptions options;
  std::optional<Copies> copies;
  std::optional<Applier> applier;

  Lacking() {
    create_catalog(db);
    save_checkpoint(db, Checkpoint{});
    TableRequest request;
    request.table = "t";
    MirroredTable table = absent_table(request);
    table.state = TableState::Copying;
    save_table(db, table);
    options.daystream = daystream::Stream(stream.directory.path());
    options.conninfo = "host=" + (stream.directory.path() / "nobody").string();
    copies.emplace(db, options, control, nullptr, nullptr);
    applier.emplace(db, std::nullopt, control.stop_requested, "");
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
  table.state = TableState::Parked;
  table.since = "1";
  Retries retries;
  for (int i = 0; i < 10; ++i) {
    retries.begin(table);
    retries.failed(table);
  }
  CHECK_FALSE(retries.is_due(table));
  table.state = TableState::Copying;
  table.since = "2";
  retries.begin(table);
  retries.failed(table);
  CHECK(support::eventually([&] { return retries.is_due(table); }));
}
