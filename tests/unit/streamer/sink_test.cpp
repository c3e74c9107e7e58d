// What becomes of lines, wherever they come from.
#include "write/sink.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <limits>

#include "daystream/durable.h"
#include "daystream/reader.h"
#include "program/program.h"
#include "support/temp_dir.h"

using namespace deltastream;
using daystream::Lsn;

namespace {

std::string sink_row(int xid, std::size_t size) {
  return fmt::format("_table\tt\t_xid\t{}\t_action\tinsert\ta\t{}", xid, std::string(size, 'x'));
}
std::string sink_commit(int xid, Lsn lsn) {
  return fmt::format("_xid\t{}\t_lsn\t{}\t_next\t{}\t_time\t1507507200.000000\t_action\tcommit",
                     xid, lsn.text(), xid + 1);
}

struct Sinking {
  Sinking() {
    daystream::Manifest manifest;
    manifest.holdings = {{}};
    writer.emplace(directory, manifest, std::nullopt, daystream::WriterOptions{});
    writer->mark({}, {});
    writer->flush();
    progress.emplace(directory, "", Milliseconds{1000}, "");
    sink.emplace(Sink::Parts{*writer, flusher, *progress}, Intervals{});
  }

  Lsn durable() const { return daystream::Durable::load(directory)->lsn; }
  // Until the sync that runs has ended, however long that takes.
  void end_flush() {
    daystream::WaitSet{sink->fd()}.wait(daystream::WaitSet::kForEver);
    sink->take_finished_flush();
  }

  support::TempDir dir;
  std::filesystem::path directory = dir / "d";
  daystream::program::Signals signals;
  std::optional<daystream::Writer> writer;
  std::optional<Progress> progress;
  Flusher flusher;
  std::optional<Sink> sink;
};

}  // namespace

TEST_CASE("sink: a commit is synced at once, and counts once that has ended", "[streamer][sink]") {
  Sinking lines;
  lines.sink->begin_due_flush();
  CHECK_FALSE(lines.flusher.busy());  // there is nothing new
  lines.writer->append(sink_row(7, 10));
  lines.writer->append(sink_commit(7, {0x200}));
  lines.sink->begin_due_flush();
  REQUIRE(lines.flusher.busy());
  CHECK(lines.sink->written() == Lsn{0x200});
  CHECK_FALSE(lines.sink->next_flush());  // one at a time
  CHECK(lines.sink->state().flushed == Lsn{});
  lines.end_flush();
  CHECK(lines.sink->state().flushed == Lsn{0x200});
  CHECK(lines.durable() == Lsn{0x200});
}

TEST_CASE("sink: an open transaction is synced in large pieces", "[streamer][sink]") {
  Sinking lines;
  lines.writer->append(sink_row(7, 1000));
  lines.sink->begin_due_flush();
  CHECK_FALSE(lines.flusher.busy());
  for (std::uint64_t size = 0; size < kSyncEveryBytes; size += 1 << 20) {
    lines.writer->append(sink_row(7, 1 << 20));
  }
  lines.sink->begin_due_flush();
  REQUIRE(lines.flusher.busy());
  lines.end_flush();
  CHECK(lines.sink->state().flushed == Lsn{});  // there is no commit yet
}

TEST_CASE("sink: at the end whole transactions are on disk, and half a one is given up",
          "[streamer][sink]") {
  Sinking lines;
  lines.writer->append(sink_row(7, 10));
  lines.writer->append(sink_commit(7, {0x200}));
  lines.writer->append(sink_row(8, 10));
  lines.sink->finish(lines.signals, [] {});
  CHECK(lines.durable() == Lsn{0x200});
  CHECK(lines.sink->written() == Lsn{0x200});
  CHECK_FALSE(lines.sink->state().in_transaction);
}

TEST_CASE("sink: what the copies have bounds what may be confirmed", "[streamer][sink]") {
  Sinking lines;
  RequiredCopies copies(lines.directory, 1);
  Sink sink({*lines.writer, lines.flusher, *lines.progress, &copies}, Intervals{});
  lines.writer->append(sink_row(7, 10));
  lines.writer->append(sink_commit(7, {0x200}));
  sink.finish(lines.signals, [] {});
  CHECK(sink.state().flushed == Lsn{0x200});
  CHECK(sink.state().confirmable() == Lsn{});
  copies.told_before({0x200});
  CHECK(sink.state().confirmable() == Lsn{0x200});
}
