#include "server/history_proof.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "daystream/error.h"
#include "daystream/writer.h"
#include "support/temp_dir.h"

using daystream::Lsn;
using daystream::NeedsPerson;
using deltastream::HistoryProof;

namespace {

std::string row(int xid) {
  return fmt::format("_table\tt\t_xid\t{}\t_action\tinsert\ta\t{}", xid, xid);
}
std::string shape(int xid) {
  return fmt::format(
      "_table\tt\t_xid\t{}\t_oid\t1\t_identity\td\t_pkey\t1\t_ikey\t1\t_action\tschema\ta\t1 int",
      xid);
}
std::string commit(int xid, std::uint64_t lsn, int time = 0) {
  return fmt::format("_xid\t{}\t_lsn\t{}\t_next\t{}\t_time\t{}.000000\t_action\tcommit", xid,
                     Lsn{lsn}.text(), xid + 1, 1507507200 + time);
}
std::string rows(int xid, std::uint64_t lsn, int time = 0) {
  return row(xid) + "\n" + row(xid) + "\n" + commit(xid, lsn, time);
}

// Mark at 100; transactions 7 at 200 and 8 at 300, both with rows; 9 at 400 that tells a shape; a
// mark at 500.
class Stream {
 public:
  Stream() {
    daystream::Manifest manifest;
    manifest.name = "d";
    manifest.system_identifier = "1";
    manifest.database = "postgres";
    manifest.slot = "s";
    manifest.holdings = {{}};
    daystream::WriterOptions options;
    options.clock = [](std::int64_t) { return std::int64_t{1507507200}; };
    daystream::Writer writer(directory(), manifest, Lsn{100}, std::move(options));
    writer.mark(Lsn{100}, {});
    writer.append(rows(7, 200));
    writer.append(rows(8, 300));
    writer.append(shape(9) + "\n" + commit(9, 400));
    writer.mark(Lsn{500}, {});
    writer.flush();
  }
  std::filesystem::path directory() const { return dir_ / "d"; }
  // `since`: the last line of another filter; -1: there was none.
  HistoryProof proof(std::uint64_t confirmed, int since = -1) const {
    const daystream::Position filter =
        since < 0 ? daystream::Position::begin()
                  : daystream::Position{1507507200, static_cast<std::uint64_t>(since)};
    return {directory(), filter, Lsn{confirmed}, Lsn{500}};
  }

 private:
  support::TempDir dir_;
};

}  // namespace

TEST_CASE("history proof: a slot that has confirmed all leaves nothing to prove", "[streamer]") {
  const Stream stream;
  CHECK_FALSE(HistoryProof().pending());
  CHECK_FALSE(stream.proof(500).pending());
}

TEST_CASE("history proof: the last transaction with rows comes again, and is not kept twice",
          "[streamer]") {
  const Stream stream;
  const std::uint64_t confirmed = GENERATE(100U, 200U);
  CAPTURE(confirmed);
  HistoryProof proof = stream.proof(confirmed);
  REQUIRE(proof.pending());
  CHECK(proof.confirmed() == Lsn{confirmed});
  CHECK(proof.begin() == Lsn{200});  // from the end of the one before it
  proof.take_keepalive(Lsn{200});
  CHECK_FALSE(proof.take(row(8)));  // in two messages
  proof.take_keepalive(Lsn{300});   // amid a transaction it says nothing
  CHECK_FALSE(proof.take(row(8) + "\n" + commit(8, 300)));
  CHECK(proof.pending());
  CHECK(proof.take(shape(9) + "\n" + commit(9, 400)));
  proof.take_keepalive(Lsn{499});
  CHECK(proof.pending());
  SECTION("the server's word ends it") {
    proof.take_keepalive(Lsn{500});
  }
  SECTION("so does what is new, and that is kept") {
    CHECK(proof.take(rows(10, 600)));
  }
  CHECK_FALSE(proof.pending());
}

TEST_CASE("history proof: a transaction that tells a shape only need not come again",
          "[streamer]") {
  const Stream stream;
  HistoryProof proof = stream.proof(300);
  CHECK(proof.begin() == Lsn{300});
  REQUIRE(proof.pending());
  SECTION("it does not") {
    CHECK(proof.take(rows(10, 600)));
  }
  SECTION("it comes, and another of its kind") {
    CHECK(proof.take(shape(9) + "\n" + commit(9, 400)));
    CHECK(proof.take(shape(10) + "\n" + commit(10, 450)));
    CHECK(proof.pending());
    proof.take_keepalive(Lsn{700});
  }
  CHECK_FALSE(proof.pending());
}

TEST_CASE("history proof: what another history would send is refused", "[streamer]") {
  const Stream stream;
  HistoryProof proof = stream.proof(100);
  SECTION("another time") {
    CHECK_THROWS_AS(proof.take(rows(8, 300, 1)), NeedsPerson);
  }
  SECTION("another id") {
    CHECK_THROWS_AS(proof.take(rows(9, 300)), NeedsPerson);
  }
  SECTION("another place") {
    CHECK_THROWS_AS(proof.take(rows(8, 299)), NeedsPerson);
  }
  SECTION("nothing there") {
    CHECK_THROWS_AS(proof.take_keepalive(Lsn{300}), NeedsPerson);
  }
  SECTION("nothing there, but later") {
    CHECK_THROWS_AS(proof.take(rows(10, 600)), NeedsPerson);
  }
  SECTION("a shape in its place") {
    CHECK_THROWS_AS(proof.take(shape(8) + "\n" + commit(8, 310)), NeedsPerson);
  }
  SECTION("rows where we have none") {
    proof.take(rows(8, 300));
    CHECK_THROWS_AS(proof.take(rows(9, 400)), NeedsPerson);
  }
  CHECK(proof.pending());
}

TEST_CASE("history proof: what it compared with is deleted here, so nothing is proven",
          "[streamer]") {
  const Stream stream;
  const HistoryProof proof = stream.proof(50);
  CHECK_FALSE(proof.pending());
  CHECK(proof.begin() == Lsn{500});
}

TEST_CASE("history proof: what another filter streamed need not come again", "[streamer]") {
  const Stream stream;
  SECTION("the last transaction with rows is of the filter of now") {
    HistoryProof proof = stream.proof(100, 3);  // 7 is of the other one
    CHECK(proof.begin() == Lsn{200});
    CHECK_THROWS_AS(proof.take_keepalive(Lsn{300}), NeedsPerson);
  }
  SECTION("it is of the other one") {
    HistoryProof proof = stream.proof(100, 6);
    CHECK(proof.begin() == Lsn{300});
    CHECK(proof.confirmed() == Lsn{100});
    REQUIRE(proof.pending());
    SECTION("what came before the filter changed is not asked for, and new rows are kept") {
      CHECK(proof.take(rows(10, 600)));
      CHECK_FALSE(proof.pending());
    }
    SECTION("another history still shows") {
      CHECK_THROWS_AS(proof.take(rows(9, 400)), NeedsPerson);
    }
  }
  SECTION("all of it is") {
    const HistoryProof proof = stream.proof(100, 9);
    CHECK_FALSE(proof.pending());
    CHECK(proof.begin() == Lsn{500});
  }
}
