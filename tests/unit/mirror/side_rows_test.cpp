#include "verify/side_rows.h"

#include <catch2/catch.hpp>

#include "fixture.h"

using namespace deltamirror;
using Rows = std::vector<std::string>;

namespace {

std::vector<Value> key(std::int64_t id) {
  return {Value::of_integer(id)};
}
std::vector<Value> row(std::int64_t id, std::string_view text) {
  return {Value::of_integer(id), Value::of_text(text)};
}

}  // namespace

TEST_CASE("side rows: only rows that differ are written to the mirror", "[mirror][verify]") {
  MemoryTable t({{1, "id", "integer", true}, {2, "a", "text", false}}, {1});
  t.db.exec("INSERT INTO t VALUES(1, 'fox'), (2, 'hen'), (3, 'cat'), (4, 'cow')");
  {
    SideRows side(t.db, t.table);
    for (const std::int64_t id : {1, 2, 3, 5}) side.add_key(key(id));
    CHECK(side.has_key(key(3)));
    CHECK_FALSE(side.has_key(key(4)));
    side.add_row(row(1, "fox"));  // as it is
    side.add_row(row(2, "HEN"));
    side.add_row(row(5, "dog"));
    CHECK(side.write_to_mirror() == 3);  // 2 changes, 3 goes, 5 comes
    CHECK(side.write_to_mirror() == 0);
  }
  CHECK(t.rows() == Rows{"1|fox", "2|HEN", "4|cow", "5|dog"});
  CHECK(t.db.value("SELECT count(*) FROM sqlite_temp_schema") == "0");
}

TEST_CASE("side rows: a row is fetched from the mirror, and changed beside it",
          "[mirror][verify]") {
  MemoryTable t({{1, "id", "integer", true}, {2, "a", "text", false}}, {1});
  t.db.exec("INSERT INTO t VALUES(1, 'fox')");
  SideRows side(t.db, t.table);
  CHECK(side.add_row_of_mirror(key(1)));
  CHECK_FALSE(side.add_row_of_mirror(key(2)));
  side.plan().update("id\t1\ta\thorse");
  CHECK(t.db.value("SELECT a FROM " + quote_name(side.rows().name)) == "horse");
  CHECK(t.rows() == Rows{"1|fox"});
}

TEST_CASE("side rows: the widest table", "[mirror][verify]") {
  MemoryTable t(widest_columns(), {1});
  t.db.exec("INSERT INTO t(c1, c1600) VALUES(1, 'fox'), (2, 'hen')");
  SideRows side(t.db, t.table);
  for (const std::int64_t id : {1, 2}) {
    side.add_key(key(id));
    side.add_row_of_mirror(key(id));
  }
  side.plan().update("c1\t2\tc1600\tcow");
  CHECK(side.write_to_mirror() == 1);
  CHECK(t.db.value("SELECT group_concat(c1 || c1600) FROM t") == "1fox,2cow");
}
