// The loop between a server that follows a script, and a daystream on disk.
#include "command/stream_loop.h"

#include <fmt/format.h>
#include <signal.h>

#include <catch2/catch.hpp>

#include "daystream/durable.h"
#include "daystream/error.h"
#include "daystream/reader.h"
#include "program/program.h"
#include "scripted_server.h"
#include "support/temp_dir.h"

using namespace deltastream;
using daystream::Lsn;
using streamer_test::ScriptedServer;

namespace {

constexpr Lsn kBegin{0x100};

std::string loop_row(int xid) {
  return fmt::format("_table\tt\t_xid\t{}\t_action\tinsert\ta\t{}", xid, xid);
}
std::string loop_transaction(int xid, Lsn lsn) {
  return fmt::format("{}\n_xid\t{}\t_lsn\t{}\t_next\t{}\t_time\t1507507200.000000\t_action\tcommit",
                     loop_row(xid), xid, lsn.text(), xid + 1);
}

auto flushed_up_to(Lsn lsn) {
  return [lsn](const std::vector<StatusUpdate>& told) {
    return !told.empty() && told.back().flushed >= lsn;
  };
}

// All that a StreamLoop works with, the server's part apart.
struct Connected {
  Connected() {
    daystream::Manifest manifest;
    manifest.system_identifier = "1";
    manifest.database = "postgres";
    manifest.slot = "s";
    manifest.holdings = {{}};
    writer.emplace(directory, manifest, std::nullopt, daystream::WriterOptions{});
    writer->mark(kBegin, {});
    copies.emplace(directory, 0);
    progress.emplace(directory, "", settings.intervals.status, "");
    server.on_status = [this](const StatusUpdate& update) {
      // Whatever happens: what the server hears of as flushed is on disk by then.
      const auto durable = daystream::Durable::load(directory);
      CHECK((update.flushed == Lsn{} || (durable && durable->lsn >= update.flushed)));
      CHECK(update.written >= update.flushed);
    };
  }

  StreamLoop::End run() {
    StreamLoop loop({server, *writer, flusher, signals, clock, facts, nullptr, *progress, *copies,
                     proof, settings, [this] { return reload(); }});
    const auto end = loop.run();
    kept_any = loop.kept_any();
    return end;
  }
  // Xids of the transactions that a reader finds.
  std::vector<std::uint32_t> kept() const {
    daystream::Reader reader(directory, {});
    std::vector<std::uint32_t> xids;
    while (const daystream::Transaction* next = reader.next()) {
      if (next->kind() == daystream::Transaction::Kind::Transaction) {
        xids.push_back(next->end().xid);
      }
    }
    return xids;
  }

  support::TempDir dir_;
  std::filesystem::path directory = dir_ / "d";
  StreamLoop::Settings settings;
  ScriptedServer server;
  daystream::program::Signals signals;
  ClockGuard clock;
  PgServer facts;
  HistoryProof proof;
  std::optional<daystream::Writer> writer;
  std::optional<RequiredCopies> copies;
  std::optional<Progress> progress;
  Flusher flusher;
  std::function<std::optional<StreamLoop::Settings>()> reload;
  bool kept_any = false;
};

using Xids = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE("stream loop: a commit is confirmed once it is on disk, and the end ends it",
          "[streamer][loop]") {
  Connected stream;
  stream.settings.intervals.end_lsn = Lsn{0x300};
  stream.server.data(loop_transaction(7, {0x200}));
  stream.server.wait_until(flushed_up_to({0x200}));
  stream.server.data(loop_row(8));  // in pieces, as large ones come
  stream.server.data(loop_transaction(8, {0x300}));
  CHECK(stream.run() == StreamLoop::End::ReachedEnd);
  CHECK(stream.server.told.back().flushed == Lsn{0x300});
  CHECK(stream.server.finished);
  CHECK(stream.kept_any);
  CHECK(stream.kept() == Xids{7, 8});
}

TEST_CASE("stream loop: the first status asks the server where it is", "[streamer][loop]") {
  Connected stream;
  stream.server.end();
  CHECK_THROWS_AS(stream.run(), daystream::ConnectionLost);
  REQUIRE(!stream.server.told.empty());
  CHECK(stream.server.told.front().ask_reply);
  CHECK(stream.server.told.front().flushed == Lsn{});  // the mark is not on disk yet
}

TEST_CASE("stream loop: a keepalive is confirmed by a mark, whether it asks or not",
          "[streamer][loop]") {
  Connected stream;
  const bool asks = GENERATE(false, true);
  stream.settings.intervals.end_lsn = Lsn{0x500};
  stream.server.keepalive({0x400}, asks);
  stream.server.wait_until(flushed_up_to({0x400}));
  stream.server.keepalive({0x500}, asks);
  CHECK(stream.run() == StreamLoop::End::ReachedEnd);
  CHECK(stream.writer->flushed() == Lsn{0x500});
  CHECK(stream.kept().empty());
  CHECK_FALSE(stream.kept_any);  // the server's log moves by itself
}

TEST_CASE("stream loop: who asks in the middle of a transaction is told what there is before it",
          "[streamer][loop]") {
  Connected stream;
  stream.settings.intervals.end_lsn = Lsn{0x600};
  stream.server.wait_until(flushed_up_to(kBegin));
  std::size_t before = 0;
  stream.server.data(loop_row(7));
  stream.server.act([&] { before = stream.server.told.size(); });
  stream.server.keepalive({0x500}, true);
  stream.server.wait_until([&](const auto& told) { return told.size() > before; });
  stream.server.act([&] { CHECK(stream.server.told.back().flushed == kBegin); });
  stream.server.data(loop_transaction(7, {0x600}));
  CHECK(stream.run() == StreamLoop::End::ReachedEnd);
  CHECK(stream.kept() == Xids{7});
}

TEST_CASE("stream loop: asked to stop, what has come is confirmed and half a transaction is not",
          "[streamer][loop]") {
  Connected stream;
  stream.server.data(loop_transaction(7, {0x200}));
  stream.server.act([] { raise(SIGTERM); });
  stream.server.data(loop_transaction(8, {0x300}));  // here already when the signal comes
  stream.server.data(loop_row(9));
  CHECK(stream.run() == StreamLoop::End::Stopped);
  CHECK(stream.server.told.back().flushed == Lsn{0x300});
  CHECK(stream.server.finished);
  CHECK(stream.kept() == Xids{7, 8});
  CHECK_FALSE(stream.writer->in_transaction());
}

TEST_CASE("stream loop: a stream that the server ends leaves nothing confirmed that is not on disk",
          "[streamer][loop]") {
  Connected stream;
  stream.server.data(loop_transaction(7, {0x200}));
  stream.server.data(loop_row(8));
  stream.server.end();
  CHECK_THROWS_AS(stream.run(), daystream::ConnectionLost);
  CHECK_FALSE(stream.server.finished);
  CHECK(stream.writer->in_transaction());  // given up by who makes the next connection
}

TEST_CASE("stream loop: another configuration ends it as a whole", "[streamer][loop]") {
  Connected stream;
  stream.reload = [] { return std::nullopt; };
  stream.server.data(loop_transaction(7, {0x200}));
  stream.server.act([] { raise(SIGHUP); });
  CHECK(stream.run() == StreamLoop::End::Reconnect);
  CHECK(stream.server.finished);
  CHECK(stream.server.told.back().flushed == Lsn{0x200});
  CHECK(stream.kept() == Xids{7});
}

TEST_CASE("stream loop: what is no message of the protocol is refused", "[streamer][loop]") {
  Connected stream;
  stream.server.data("no line of ours");
  CHECK_THROWS_AS(stream.run(), daystream::ProtocolError);
}
