// What a copy lacks until it is where the mirror is, as the stream tells it.
#include "apply/catch_up.h"

#include <catch2/catch.hpp>

#include "stream_fixture.h"

using namespace deltamirror;
using daystream::test::lsn_of;
using daystream::test::transaction;
using daystream::test::WrittenStream;

namespace {

// A table `fox` whose snapshot saw what has an id below 2.
struct Copied {
  WrittenStream stream;
  daystream::Writer writer = stream.writer();
  Database db{":memory:", Database::Mode::Create};
  MirroredTable table;
  daystream::Seam seam{};
  std::vector<std::string> taken;

  Copied() {
    table.name = table.source_table = table.shape.line_name = "fox";
    table.shape.oid = 7;
    writer.append(transaction(1));
    writer.flush();
    seam = {writer.position(), writer.last_lsn(), 2};
  }
  void append(int number) { writer.append(transaction(number)); }
  // To where the stream ends.
  bool catch_up() {
    writer.flush();
    Checkpoint at;
    at.position = writer.position();
    at.lsn = writer.last_lsn();
    CatchUp work(db, daystream::Stream(stream.directory.path()), seam, MvccSnapshot::parse("2:2:"));
    work.add(table, [this](const daystream::Change& change) {
      taken.push_back(std::string(change.columns));
    });
    return work.step(at, std::chrono::steady_clock::now() + std::chrono::minutes(5));
  }
};

}  // namespace

TEST_CASE("catch-up: takes what the snapshot did not see, to where the mirror is",
          "[mirror][catch-up]") {
  Copied copied;
  copied.append(2);
  copied.append(3);
  CHECK(copied.catch_up());
  CHECK(copied.taken == std::vector<std::string>{"a\tfox2\tb\t0", "a\tfox3\tb\t0"});
}

// What is missing in the gap no line tells: a copy over it would lack it forever.
TEST_CASE("catch-up: a gap after the snapshot makes the copy begin again", "[mirror][catch-up]") {
  Copied copied;
  copied.append(2);
  copied.writer.gap(lsn_of(3), {});
  copied.append(5);
  CHECK_THROWS_AS(copied.catch_up(), ShapeChanged);
}

TEST_CASE("catch-up: another shape, another table, or none makes the copy begin again",
          "[mirror][catch-up]") {
  const char* const line = GENERATE(
      "_table\tfox\t_xid\t2\t_oid\t7\t_action\tdrop",
      "_table\tfox\t_xid\t2\t_oid\t8\t_identity\td\t_pkey\t\t_ikey\t\t_action\tschema\ta\t1 text",
      "_table\twolf\t_xid\t2\t_oid\t7\t_identity\td\t_pkey\t\t_ikey\t\t_action\tschema\ta\t1 text",
      "_table\tpart\t_xid\t2\t_oid\t9\t_root\t7\t_action\tdrop");
  CAPTURE(line);
  Copied copied;
  copied.writer.append(std::string(line) + "\n" + daystream::test::commit(2));
  CHECK_THROWS_AS(copied.catch_up(), ShapeChanged);
}
