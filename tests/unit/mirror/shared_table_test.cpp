// One table with the rows of several sources.
#include "store/shared_table.h"
#include "store/indexes.h"

#include <catch2/catch.hpp>

#include "apply/reshape.h"
#include "apply/table_plan.h"
#include "history/history_tables.h"
#include "seed/shadow.h"

using namespace deltamirror;
using Rows = std::vector<std::string>;

namespace {

// `t(id, a, b)` of two sources; each has two rows.
struct Shared {
  Database db{":memory:", Database::Mode::Create};
  MirroredTable eu = table("eu");
  MirroredTable us = table("us");

  Shared() {
    create_catalog(db);
    for (const MirroredTable* t : {&eu, &us}) {
      make_shared(db, *t, sharing(load_tables(db), *t));
      save_table(db, *t);
      create_missing_indexes(db, *t);
    }
    db.exec(
        "INSERT INTO t VALUES('eu', 1, 'fox', 'x'), ('eu', 2, 'hen', NULL),"
        "('us', 1, 'cat', 'y'), ('us', 2, 'dog', NULL)");
  }
  static MirroredTable table(const std::string& source) {
    MirroredTable t;
    t.source = source;
    t.source_column = "src";
    t.name = "t";
    t.source_table = "public.t";
    t.shape.oid = 1;
    t.shape.line_name = "t";
    t.shape.primary_key = {1};
    t.shape.columns = {
        {1, "id", "integer", true}, {2, "a", "text", false}, {3, "b", "text", false}};
    t.columns = {{kSourceColumn, "src", {.kind = Kind::Text}, ""},
                 {1, "id", {.kind = Kind::Integer}, ""},
                 {2, "a", {.kind = Kind::Text}, ""},
                 {3, "b", {.kind = Kind::Text}, ""}};
    t.indexes = {{"a"}};
    return t;
  }
  Reshaped change(MirroredTable& t, const SchemaLine& line) {
    Reshaped out = reshape_shared(db, t, line, {}, sharing(load_tables(db), t));
    save_table(db, t);
    return out;
  }
  Rows rows(const std::string& columns) const {
    Rows out;
    Statement select = db.prepare("SELECT src || '|' || " + columns + " FROM t ORDER BY src, id");
    while (select.step()) out.push_back(select.text(0));
    return out;
  }
  Rows names() const {
    Rows out;
    Statement select = db.prepare("SELECT name FROM pragma_table_info('t')");
    while (select.step()) out.push_back(select.text(0));
    return out;
  }
};

SchemaLine changed(const MirroredTable& t) {
  return {.shape = t.shape, .missing = {}, .facts = {}};
}

}  // namespace

TEST_CASE("shared table: its key is the source and the tables' own", "[mirror][sources]") {
  Shared s;
  CHECK(
      s.db.value("SELECT sql FROM sqlite_schema WHERE name = 't'") ==
      "CREATE TABLE \"t\"(\"src\" TEXT NOT NULL, \"id\" INTEGER NOT NULL, \"a\" TEXT, \"b\" TEXT, "
      "PRIMARY KEY(\"src\", \"id\")) WITHOUT ROWID");
  CHECK(s.db.value("SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND sql NOT NULL") ==
        "1");
}

TEST_CASE("shared table: with nobody else a column of the key is renamed", "[mirror][sources]") {
  Shared s;
  s.us.standing.hidden = true;  // it waits, and has no rows there
  save_table(s.db, s.us);
  s.db.exec("DELETE FROM t WHERE src = 'us'");
  SchemaLine line = changed(s.eu);
  line.shape.columns[0].name = "key";
  s.change(s.eu, line);
  CHECK(s.names() == Rows{"src", "key", "a", "b"});
  CHECK(s.db.value("SELECT group_concat(key || a) FROM t") == "1fox,2hen");
}

// It stays beside the rows of others as long as it may come back with it.
TEST_CASE("shared table: a column takes the name of one that only a source that waits had",
          "[mirror][sources][reshape]") {
  Shared s;
  SchemaLine line = changed(s.us);
  line.shape.columns.push_back({4, "x", "numeric", false});
  s.us.wish.text = R"({"indexes": [["a"], ["x"]]})";
  s.change(s.us, line);
  CHECK(s.names() == Rows{"src", "id", "a", "b", "x"});
  s.us.standing.hidden = true;
  save_table(s.db, s.us);
  s.db.exec("DELETE FROM t WHERE src = 'us'");
  line = changed(s.eu);
  line.shape.columns[2].name = "x";
  line.shape.primary_key = {};
  line.shape.identity = 'f';
  CHECK(s.change(s.eu, line).notice.empty());
  CHECK(s.names() == Rows{"src", "id", "a", "x"});
  CHECK(s.rows("coalesce(x, '-')") == Rows{"eu|x", "eu|-"});
  CHECK_FALSE(s.db.value("SELECT 1 FROM pragma_table_xinfo('t') WHERE name = 'x_num'"));
}

TEST_CASE("shared table: a column that nobody has any more goes with a copy, or a removal",
          "[mirror][sources]") {
  Shared s;
  s.db.exec("CREATE TABLE log(x)");
  SchemaLine line = changed(s.eu);
  line.shape.columns.push_back({4, "x", "numeric", false});
  s.eu.wish.text = R"({"indexes": [["a"], ["x"], ["x_num"]]})";
  s.change(s.eu, line);
  const auto has_x = [&] {
    return s.db.value("SELECT group_concat(name) FROM pragma_table_xinfo('t') WHERE name >= 'x'")
        .value_or("");
  };
  REQUIRE(has_x() == "x,x_num");
  CHECK(s.db.value("SELECT count(*) FROM sqlite_schema WHERE name LIKE 't_x%'") == "2");

  SECTION("removed") {
    remove_mirrored(s.db, s.eu);
    CHECK(has_x().empty());
  }
  SECTION("removed, while it waits") {
    s.db.exec("DELETE FROM t WHERE src = 'eu'");
    s.eu.standing.hidden = true;
    save_table(s.db, s.eu);
    remove_mirrored(s.db, s.eu);
    CHECK(has_x().empty());
  }
  SECTION("copied") {
    MirroredTable fresh = Shared::table("eu");
    const auto copy = [&] {
      Shadow shadow(s.db, fresh, s.eu.indexes);
      s.db.exec("INSERT INTO " + quote_name(shadow.table().name) + " VALUES('eu', 9, 'ox', NULL)");
      shadow.put_in_place();
      save_table(s.db, fresh);
    };
    SECTION("") {
      copy();
      CHECK(has_x().empty());
      CHECK(s.rows("id || a") == Rows{"eu|9ox", "us|1cat", "us|2dog"});
    }
    SECTION("which another has, too") {
      line = changed(s.us);
      line.shape.columns.push_back({4, "x", "numeric", false});
      s.change(s.us, line);
      s.us.standing.hidden = GENERATE(false, true);
      save_table(s.db, s.us);
      copy();
      CHECK(has_x() == "x,x_num");
    }
    SECTION("which somebody's index is on") {
      s.db.exec("CREATE INDEX by_hand ON t(b, x)");
      copy();
      CHECK(has_x() == "x");
      CHECK(s.db.value("SELECT 1 FROM sqlite_schema WHERE name = 'by_hand'") == "1");
      CHECK(s.rows("id || a") == Rows{"eu|9ox", "us|1cat", "us|2dog"});
    }
  }
}

TEST_CASE("shared table: an index on an expression of a number column stops no source",
          "[mirror][sources][reshape][numbers]") {
  Shared s;
  for (MirroredTable* const table : {&s.eu, &s.us}) {
    SchemaLine line = changed(*table);
    line.shape.columns.push_back({4, "x", "numeric", false});
    s.change(*table, line);
  }
  const std::string sql = "CREATE INDEX by_hand ON t(x_num + 1)";
  s.db.exec(sql);
  const auto is_there = [&] {
    return s.db.value("SELECT 1 FROM sqlite_schema WHERE name = 'by_hand'").has_value();
  };
  SchemaLine line = changed(s.eu);
  line.shape.columns.pop_back();
  CHECK(s.change(s.eu, line).notice.empty());
  CHECK(is_there());
  SECTION("which none has any more") {
    line = changed(s.us);
    line.shape.columns.pop_back();
    CHECK_THAT(s.change(s.us, line).notice, Catch::Contains(sql));
    CHECK_FALSE(is_there());
    CHECK(s.us.standing.set_aside == Rows{sql});
    CHECK(s.names() == Rows{"src", "id", "a", "b"});
  }
  SECTION("whose name another source's column takes") {
    line = changed(s.eu);
    line.shape.columns.push_back({5, "x_num", "integer", false});
    s.change(s.eu, line);
    CHECK(is_there());
    CHECK(s.names() == Rows{"src", "id", "a", "b", "x", "x_num"});
  }
  CHECK(s.rows("id || a") == Rows{"eu|1fox", "eu|2hen", "us|1cat", "us|2dog"});
}

TEST_CASE("shared table: lines of one source change its rows only", "[mirror][sources]") {
  Shared s;
  TablePlan plan(s.db, s.eu);
  plan.insert("id\t3\ta\tnew\tb\tz");
  plan.update("id\t1\ta\twolf");
  plan.replace("id\t2");
  plan.update("id\t4\ta\then");
  CHECK(s.rows("id || a") == Rows{"eu|1wolf", "eu|3new", "eu|4hen", "us|1cat", "us|2dog"});
  plan.erase("id\t1");
  CHECK_THROWS_AS(plan.erase("id\t2"), Diverged);
  plan.truncate();
  CHECK(s.rows("id || a") == Rows{"us|1cat", "us|2dog"});
}

TEST_CASE("shared table: a column that comes, goes or is renamed in one source",
          "[mirror][sources][reshape]") {
  Shared s;
  SchemaLine line = changed(s.eu);
  line.shape.columns.push_back({4, "n", "integer", false});
  line.missing = {{4, "7"}};
  s.change(s.eu, line);
  CHECK(s.rows("id || coalesce(n, '-')") == Rows{"eu|17", "eu|27", "us|1-", "us|2-"});
  line = changed(s.us);
  line.shape.columns.push_back({9, "n", "bigint", false});
  line.missing = {{9, "8"}};
  s.change(s.us, line);
  CHECK(s.rows("id || coalesce(n, '-')") == Rows{"eu|17", "eu|27", "us|18", "us|28"});

  line = changed(s.eu);
  line.shape.columns[1].name = "b";  // swapped
  line.shape.columns[2].name = "a";
  s.change(s.eu, line);
  CHECK(s.rows("coalesce(a, '-') || coalesce(b, '-')") ==
        Rows{"eu|xfox", "eu|-hen", "us|caty", "us|dog-"});

  line = changed(s.eu);
  line.shape.columns.erase(line.shape.columns.begin() + 1);  // called b, which was a
  s.change(s.eu, line);
  CHECK(s.names() == Rows{"src", "id", "a", "b", "n"});
  CHECK(s.rows("coalesce(a, '-') || coalesce(b, '-')") ==
        Rows{"eu|x-", "eu|--", "us|caty", "us|dog-"});
  line = changed(s.us);
  line.shape.columns.erase(line.shape.columns.begin() + 2);
  s.change(s.us, line);
  CHECK(s.names() == Rows{"src", "id", "a", "n"});  // nobody has it any more
}

TEST_CASE("shared table: columns of different types exchange their names",
          "[mirror][sources][reshape]") {
  const bool alone = GENERATE(false, true);
  CAPTURE(alone);
  Shared s;
  if (alone) {
    drop_own(s.db, s.us);
    forget_table(s.db, "us", "t");
  }
  // p and q are in one source only; r goes away in the same change.
  SchemaLine line = changed(s.eu);
  line.shape.columns.push_back({4, "p", "boolean", false});
  line.shape.columns.push_back({5, "q", "inet", false});
  line.shape.columns.push_back({6, "r", "integer", false});
  line.missing = {{4, "1"}, {5, "10.0.0.1"}, {6, "3"}};
  s.change(s.eu, line);
  line = changed(s.eu);
  line.shape.columns[3].name = "q";
  line.shape.columns[4].name = "p";
  line.shape.columns.pop_back();
  line.shape.columns.push_back({7, "n", "integer", false});
  line.missing = {{7, "9"}};
  CHECK_FALSE(s.change(s.eu, line).needs_rewrite);
  const Rows eu = {"eu|1/1/10.0.0.1/9", "eu|2/1/10.0.0.1/9"};
  const Rows us = alone ? Rows{} : Rows{"us|1/-/-/-", "us|2/-/-/-"};
  Rows all = eu;
  all.insert(all.end(), us.begin(), us.end());
  CHECK(s.rows("id || '/' || coalesce(q, '-') || '/' || coalesce(p, '-') || '/' || "
               "coalesce(n, '-')") == all);
  CHECK(s.rows("a").front() == "eu|fox");
  CHECK(s.names() == Rows{"src", "id", "a", "b", "q", "p", "n"});
  CHECK(s.db.value("SELECT group_concat(type) FROM pragma_table_info('t') WHERE name IN ('p', "
                   "'q')") == "INTEGER,TEXT");
}

TEST_CASE("shared table: what cannot stand in one table is told", "[mirror][sources][reshape]") {
  Shared s;
  SchemaLine line = changed(s.eu);
  line.shape.columns[1].type = "integer";
  try {
    s.change(s.eu, line);
    FAIL("it fits");
  } catch (const daystream::NeedsPerson& e) {
    CHECK_THAT(e.what(), Catch::Contains("column \"a\" is INTEGER here, not TEXT"));
    // Also right once they are equal, as what was taken out is to be copied then.
    CHECK_THAT(e.hint(), Catch::Contains("once they are equal, \"deltamirror reseed\" copies it"));
  }
  line = changed(s.eu);
  line.shape.primary_key = {1, 2};
  CHECK_THROWS_WITH(s.change(s.eu, line), Catch::Contains("its key is"));
  // With nobody else there any more, it is its own again.
  drop_own(s.db, s.us);
  forget_table(s.db, "us", "t");
  CHECK_NOTHROW(s.change(s.eu, line));
  CHECK(s.rows("id || a") == Rows{"eu|1fox", "eu|2hen"});
  drop_own(s.db, s.eu);
  CHECK_FALSE(s.db.value("SELECT 1 FROM sqlite_schema WHERE name = 't'"));
}
