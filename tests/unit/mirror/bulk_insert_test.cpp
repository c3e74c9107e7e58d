#include "seed/bulk_insert.h"

#include <catch2/catch.hpp>
#include <stdexcept>
#include <vector>

using namespace deltamirror;

namespace {

// Rows of (integer, value) as they come from PostgreSQL.
RowBatch batch_of(const std::vector<std::pair<std::int64_t, Value>>& rows) {
  RowBatch batch(2);
  for (const auto& [id, value] : rows) {
    batch.add(Value::of_integer(id), 0);
    batch.add(value, batch.keep(value.bytes));
  }
  return batch;
}

// Gives these batches, one after another.
RowSource source_of(const std::vector<RowBatch>& batches) {
  return [&batches, i = std::size_t{0}]() mutable -> const RowBatch* {
    return i < batches.size() ? &batches[i++] : nullptr;
  };
}

struct Fixture {
  Database db{":memory:", Database::Mode::Create};
  Fixture() { db.exec("CREATE TABLE \"a \"\"t\"(id INTEGER PRIMARY KEY NOT NULL, v)"); }
  std::uint64_t insert(const RowSource& source) { return bulk_insert(db, "a \"t", 2, source); }
  std::string rows() const {
    return db
        .value(
            "SELECT group_concat(id || ' ' || typeof(v) || ' ' || quote(v), ', ') FROM "
            "\"a \"\"t\"")
        .value_or("none");
  }
};

}  // namespace

TEST_CASE("bulk insert: every kind of value, over the borders of batches", "[mirror][seed]") {
  Fixture fixture;
  Value real;
  real.type = Value::Type::Real;
  real.real = 2.5;
  const std::vector<RowBatch> batches = {
      batch_of({{1, Value::of_text("one")}, {2, Value{}}}),
      batch_of({}),  // which ends nothing
      batch_of({{5, Value::of_blob(std::string_view("\0\xff", 2))}, {4, Value::of_text("")}}),
      batch_of({{3, Value::of_integer(-7)}, {6, real}, {7, Value::of_blob("")}}),
  };
  CHECK(fixture.insert(source_of(batches)) == 7);
  CHECK(fixture.rows() ==
        "1 text 'one', 2 null NULL, 3 integer -7, 4 text '', 5 blob X'00FF', 6 real 2.5, "
        "7 blob X''");
}

TEST_CASE("bulk insert: twice on one connection, and of nothing", "[mirror][seed]") {
  Fixture fixture;
  const std::vector<RowBatch> first = {batch_of({{1, Value::of_text("a")}})};
  const std::vector<RowBatch> second = {batch_of({{2, Value::of_text("b")}})};
  CHECK(fixture.insert(source_of({})) == 0);
  CHECK(fixture.insert(source_of(first)) == 1);
  CHECK(fixture.insert(source_of(second)) == 1);
  CHECK(fixture.rows() == "1 text 'a', 2 text 'b'");
  // What the rows came through is gone, and was never in the file.
  CHECK_THROWS_AS(fixture.db.value("SELECT 1 FROM _deltamirror_rows"), SqliteError);
  CHECK(fixture.db.value("SELECT count(*) FROM sqlite_schema") == "1");
}

TEST_CASE("bulk insert: what goes wrong where the rows come from is thrown on", "[mirror][seed]") {
  Fixture fixture;
  const RowBatch one = batch_of({{1, Value::of_text("a")}});
  fixture.db.exec("BEGIN");
  CHECK_THROWS_WITH(fixture.insert([&, calls = 0]() mutable -> const RowBatch* {
    if (++calls == 2) throw std::runtime_error("the server went away");
    return &one;
  }),
                    "the server went away");
  fixture.db.exec("ROLLBACK");
  CHECK(fixture.rows() == "none");
}

TEST_CASE("bulk insert: a row that comes twice is SQLite's error", "[mirror][seed]") {
  Fixture fixture;
  const std::vector<RowBatch> batches = {
      batch_of({{1, Value::of_text("a")}, {2, Value::of_text("b")}, {1, Value::of_text("c")}})};
  try {
    fixture.insert(source_of(batches));
    FAIL("no error");
  } catch (const SqliteError& e) {
    CHECK((e.code() & 0xff) == SQLITE_CONSTRAINT);
  }
}
