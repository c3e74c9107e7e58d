#include <catch2/catch.hpp>
#include <functional>

#include "apply/history_writer.h"
#include "apply/reshape.h"
#include "daystream/line.h"
#include "fixture.h"
#include "history/history_tables.h"

using namespace deltamirror;
using Rows = std::vector<std::string>;

namespace {

constexpr std::int64_t kDaySeconds = 86'400;

struct History : MemoryTable {
  explicit History(TableMode mode, int keep_days = 0)
      : MemoryTable({{1, "id", "integer", true}, {2, "v", "text", false}}, {1}) {
    db.exec("ALTER TABLE t RENAME TO t_seed; INSERT INTO t_seed VALUES(1, 'one'), (2, 'two')");
    table.name = "t_seed";
    table.mode = mode;
    table.kept.days = keep_days;
    table.seed.at = "1970-01-11 00:00:00";
    table.kept.from = {10 * kDaySeconds, 3};
    table.kept.from_lsn = daystream::Lsn{1};
    begin_history(db, table);
    writer = make_history_writer(db, table);
  }
  // On day `day`, the `s`th line.
  void line(int day, std::uint64_t s, const std::string& verb, const std::string& columns = {}) {
    const std::string body =
        "_table\tt\t_xid\t5\t_action\t" + verb + (columns.empty() ? "" : "\t") + columns;
    writer->apply(daystream::parse_change(body),
                  {{day * kDaySeconds, s}, daystream::Lsn{s}, day * kDaySeconds * 1'000'000});
  }
  // On day `day`, the `s`th line: the table's shape is that of `change` of now's.
  void reshape(int day, std::uint64_t s, const std::function<void(SchemaLine&)>& change) {
    SchemaLine line{.shape = table.shape, .missing = {}, .facts = {}};
    change(line);
    writer.reset();
    const Reshaped reshaped = reshape_history(table, line, {});
    writer = make_history_writer(db, table);
    writer->carry(reshaped.carried,
                  {{day * kDaySeconds, s}, daystream::Lsn{s}, day * kDaySeconds * 1'000'000});
  }
  Rows select(const std::string& sql) const {
    Statement select = db.prepare(sql);
    Rows out;
    while (select.step()) out.push_back(select.text(0));
    return out;
  }
  Rows log() const {
    return select(
        "SELECT date(_c, 'unixepoch') || ' ' || _action || ' ' || coalesce(id, '-') || ' ' || "
        "coalesce(v, '-') || coalesce(' ' || _unchanged, '') FROM t ORDER BY _c, _s, id");
  }
  Rows days() const {
    return select(
        "SELECT _day || ' ' || id || ' ' || _action || ' ' || coalesce(v, '-') FROM t "
        "ORDER BY _day, id");
  }

  std::unique_ptr<HistoryWriter> writer;
};

}  // namespace

TEST_CASE("history: each line is a row of its day", "[mirror][history]") {
  History t(TableMode::History);
  t.line(10, 4, "insert", "id\t3\tv\tthree");
  t.line(10, 5, "update", "id\t3");
  t.line(12, 1, "replace", "id\t1");
  CHECK(t.writer->replace_open());
  t.line(12, 2, "update", "id\t9\tv\tnine");
  t.line(12, 3, "delete", "id\t2");
  t.line(12, 4, "truncate");
  CHECK(t.log() == Rows{"1970-01-11 seed 1 one", "1970-01-11 seed 2 two",
                        "1970-01-11 insert 3 three", "1970-01-11 update 3 - [\"v\"]",
                        "1970-01-13 replace 1 -", "1970-01-13 update 9 nine",
                        "1970-01-13 delete 2 -", "1970-01-13 truncate - -"});
  CHECK(t.select("SELECT name FROM sqlite_schema WHERE name GLOB 't_19*' ORDER BY 1") ==
        Rows{"t_19700111", "t_19700113"});
  create_catalog(t.db);
  remove_mirrored(t.db, t.table);
  CHECK(t.select("SELECT name FROM sqlite_schema WHERE name NOT GLOB '_deltamirror_*'").empty());
}

TEST_CASE("history: a table that readers do not find goes without what somebody made in its place",
          "[mirror][history]") {
  MemoryTable t({{1, "id", "integer", true}}, {1});
  create_catalog(t.db);
  t.table.standing = {.state = TableState::Waiting, .hidden = true};
  save_table(t.db, t.table);
  remove_mirrored(t.db, t.table);
  CHECK(has_table(t.db, "t"));
  CHECK(load_tables(t.db).empty());
}

TEST_CASE("history: what is older than it is kept goes, day by day", "[mirror][history]") {
  History t(TableMode::History, 2);
  t.line(10, 4, "insert", "id\t3\tv\tthree");
  t.line(11, 0, "delete", "id\t3");
  t.line(12, 0, "delete", "id\t2");
  CHECK(t.log().size() == 5);
  t.line(13, 0, "delete", "id\t1");
  CHECK(t.log() == Rows{"1970-01-12 delete 3 -", "1970-01-13 delete 2 -", "1970-01-14 delete 1 -"});
}

TEST_CASE("history: a column that comes later, and one of another type", "[mirror][history]") {
  History t(TableMode::History);
  t.line(10, 4, "insert", "id\t3\tv\t007");
  t.writer.reset();
  t.table.shape.columns.push_back({3, "w", "integer", false});
  t.table.columns.push_back(
      {.attnum = 3, .name = "w", .type = {Kind::Integer}, .type_override = {}});
  t.writer = make_history_writer(t.db, t.table);
  t.line(10, 5, "insert", "id\t4\tv\t1e5\tw\t5");
  CHECK(t.select("SELECT id || ' ' || v || ' ' || typeof(v) || ' ' || coalesce(w, '-') || ' ' || "
                 "typeof(id) FROM t WHERE _action = 'insert' ORDER BY id") ==
        Rows{"3 007 text - integer", "4 1e5 text 5 integer"});
  t.table.columns[2].name = "_c";
  CHECK_THROWS_WITH(check_history(t.table), Catch::Contains("a column \"_c\" of its own"));
}

TEST_CASE("history: a column that comes with a default is told once", "[mirror][history]") {
  History t(TableMode::History);
  t.line(10, 4, "insert", "id\t3\tv\tthree");
  t.reshape(10, 5, [](SchemaLine& line) {
    line.shape.columns.push_back({3, "w", "integer", false});
    line.missing = {{3, "7"}};
  });
  t.reshape(11, 1, [](SchemaLine& line) {
    line.shape.columns.push_back({4, "x", "integer", false});
    line.shape.columns[1].name = "z";
  });
  t.line(11, 2, "insert", "id\t4\tz\tfour\tw\t8\tx\t9");
  CHECK(t.select("SELECT _action || ' ' || coalesce(id, '-') || ' ' || coalesce(v, z, '-') || ' ' "
                 "|| coalesce(w, '-') || coalesce(' ' || _unchanged, '') FROM t "
                 "ORDER BY _c, _s, id") == Rows{"seed 1 one -", "seed 2 two -", "insert 3 three -",
                                                "schema - - 7 [\"id\",\"v\"]", "insert 4 four 8"});
}

// What has another shape by the end of a day is a row that has changed on it.
TEST_CASE("latest per day: rows have what a new shape gives them", "[mirror][history]") {
  History t(TableMode::LatestPerDay);
  t.db.exec("INSERT INTO t_seed VALUES(5, 'five'), (6, 'six')");
  const auto rows = [&] {
    return t.select(
        "SELECT _day || ' ' || id || ' ' || _action || ' ' || coalesce(v, '-') || ' ' || "
        "coalesce(w, '-') FROM t WHERE _day > '1970-01-11' ORDER BY _day, id");
  };
  t.line(10, 4, "update", "id\t1\tv\tONE");
  t.line(11, 1, "delete", "id\t2");
  t.line(12, 1, "insert", "id\t3\tv\tthree");
  t.line(12, 2, "delete", "id\t6");
  t.reshape(12, 3, [](SchemaLine& line) {
    line.shape.columns.push_back({3, "w", "integer", false});
    line.missing = {{3, "7"}};
  });
  const Rows by_default = {"1970-01-12 2 delete - -", "1970-01-13 1 schema ONE 7",
                           "1970-01-13 3 schema three 7", "1970-01-13 5 schema five 7",
                           "1970-01-13 6 delete - -"};
  CHECK(rows() == by_default);
  t.line(13, 1, "update", "id\t5\tv\tFIVE");  // the line lacks what did not change
  Rows all = by_default;
  all.push_back("1970-01-14 5 update FIVE 7");
  CHECK(rows() == all);
  // A column that comes empty changes none.
  t.reshape(14, 1, [](SchemaLine& line) {
    line.shape.columns.push_back({4, "x", "integer", false});
  });
  CHECK(rows() == all);
  // Its name goes to another, as one gets another name.
  t.reshape(15, 1, [](SchemaLine& line) {
    line.shape.columns[1].name = "w";
    line.shape.columns.erase(line.shape.columns.begin() + 2);
    line.shape.columns.push_back({5, "v", "integer", false});
  });
  for (const char* row :
       {"1970-01-16 1 schema - ONE", "1970-01-16 3 schema - three", "1970-01-16 5 schema - FIVE"}) {
    all.emplace_back(row);
  }
  CHECK(rows() == all);
  t.line(15, 2, "truncate");
  t.reshape(16, 1, [](SchemaLine& line) {
    line.shape.columns.push_back({6, "y", "integer", false});
    line.missing = {{6, "1"}};
  });
  CHECK(t.select("SELECT id FROM t WHERE _day = '1970-01-17'").empty());
}

TEST_CASE("history: more days than SQLite takes in one SELECT", "[mirror][history]") {
  History t(TableMode::History);
  t.db.exec("BEGIN");
  for (int day = 11; day < 11 + 620; ++day) {
    std::string name;
    make_day(t.db, t.table, day_of(day * kDaySeconds), name);
    t.db.exec("INSERT INTO " + quote_name(name) + "(_c, id) VALUES(1, 5)");
  }
  make_view(t.db, t.table);
  CHECK(t.select("SELECT count(*) FROM t") == Rows{"622"});
}

TEST_CASE("latest per day: one row for each key and day", "[mirror][history]") {
  History t(TableMode::LatestPerDay);
  t.line(10, 4, "insert", "id\t3\tv\tthree");
  t.line(10, 5, "update", "id\t3\tv\tTHREE");
  t.line(10, 6, "update", "id\t1\tv\tuno");
  t.line(12, 1, "update", "id\t1");  // v did not change
  t.line(12, 2, "replace", "id\t2");
  t.line(12, 3, "update", "id\t7");
  t.line(12, 4, "delete", "id\t3");
  CHECK(t.days() == Rows{"1970-01-11 1 update uno", "1970-01-11 2 seed two",
                         "1970-01-11 3 update THREE", "1970-01-13 1 update uno",
                         "1970-01-13 2 delete -", "1970-01-13 3 delete -",
                         "1970-01-13 7 update two"});
  t.line(13, 0, "truncate");
  CHECK(t.select("SELECT id || ' ' || _action FROM t WHERE _day = '1970-01-14' ORDER BY id") ==
        Rows{"1 truncate", "7 truncate"});
}

TEST_CASE("latest per day: each key's newest stays", "[mirror][history]") {
  History t(TableMode::LatestPerDay, 1);
  t.line(10, 4, "update", "id\t1\tv\ta");
  t.line(11, 0, "update", "id\t1\tv\tb");
  t.line(11, 1, "insert", "id\t5\tv\tfive");
  t.line(20, 0, "insert", "id\t6\tv\tsix");
  CHECK(t.select("SELECT id || ' ' || v FROM t_days ORDER BY id") ==
        Rows{"1 b", "5 five", "6 six"});
  t.line(21, 0, "update", "id\t5");
  CHECK(t.select("SELECT v FROM t_days WHERE id = 5 ORDER BY _day") == Rows{"five", "five"});
}
