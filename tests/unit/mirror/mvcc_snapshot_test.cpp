#include "model/mvcc_snapshot.h"

#include <catch2/catch.hpp>

#include "daystream/error.h"

using deltamirror::MvccSnapshot;

TEST_CASE("mvcc snapshot: sees what was over, not what ran or came later", "[mirror][snapshot]") {
  const MvccSnapshot snapshot = MvccSnapshot::parse("10:20:12,15");
  CHECK(snapshot.xmin() == 10);
  CHECK(snapshot.xmax() == 20);
  for (std::uint64_t xid = 3; xid < 30; ++xid) {
    CAPTURE(xid);
    CHECK(snapshot.sees(xid) == (xid < 20 && xid != 12 && xid != 15));
  }
  CHECK(MvccSnapshot::parse(snapshot.text()).text() == "10:20:12,15");
}

TEST_CASE("mvcc snapshot: ids are 64-bit", "[mirror][snapshot]") {
  const MvccSnapshot snapshot = MvccSnapshot::parse("8589934592:8589934592:");
  CHECK(snapshot.running().empty());
  CHECK(snapshot.sees(4294967296));
  CHECK_FALSE(snapshot.sees(8589934592));
}

TEST_CASE("mvcc snapshot: other text is refused", "[mirror][snapshot]") {
  for (const char* text : {"", "1", "1:2", "1:2:x", "1:2:3,,4", "a:2:", ":2:", "1:2:3 "}) {
    CAPTURE(text);
    CHECK_THROWS_AS(MvccSnapshot::parse(text), daystream::ProtocolError);
  }
}
