// What becomes of tables that leave and come back, as lines tell it.
#include "apply/table_lines.h"

#include <catch2/catch.hpp>

#include "daystream/line.h"
#include "owner/retries.h"
#include "seed/requests.h"
#include "store/checkpoint.h"
#include "support/followed_table.h"

using namespace deltamirror;

namespace {

// A mirror in memory that follows `t(id)`, OID 1, as if it had been seeded.
struct Followed {
  Database db{":memory:", Database::Mode::Create};
  std::optional<MirrorCommit> commit;
  std::optional<TableStates> tables;
  std::optional<TableLines> lines;

  // `more` tables, with OIDs from 101 on.
  explicit Followed(const std::vector<std::string>& more = {}) {
    create_catalog(db);
    save_checkpoint(db, Checkpoint{});
    add("t", 1);
    for (std::size_t i = 0; i < more.size(); ++i) {
      add(more[i], 101 + static_cast<std::uint32_t>(i));
    }
    commit.emplace(db, "");
    tables.emplace(db, *commit);
    lines.emplace(db, *commit, *tables, std::nullopt);
  }
  void add(const std::string& name, std::uint32_t oid) {
    TableRequest request;
    request.table = name;
    MirroredTable table = support::followed_table(request, oid, name);
    table.seed.snapshot = MvccSnapshot::parse("3:3:");
    save_table(db, table);
    db.exec(create_table_sql(table, table.name));
  }
  // `NAME of PostgreSQL's name, wished as NAME` of all, as they are stored.
  std::vector<std::string> stored() const {
    std::vector<std::string> out;
    for (const MirroredTable& table : load_tables(db)) {
      out.push_back(table.name + " of " + table.source_table + ", wished as " +
                    table.wish.table.table);
    }
    return out;
  }
  void drop(int xid, int oid) {
    tables->begin_transaction(static_cast<std::uint64_t>(xid));
    const std::string text = "_table\tt\t_xid\t" + std::to_string(xid) + "\t_oid\t" +
                             std::to_string(oid) + "\t_action\tdrop";
    lines->take_drop(daystream::parse_change(text), {});
    lines->finish({static_cast<std::uint64_t>(xid)});
  }
  void schema(int xid, int oid, const std::string& name, const std::string& column = "id") {
    tables->begin_transaction(static_cast<std::uint64_t>(xid));
    const std::string text =
        "_table\t" + name + "\t_xid\t" + std::to_string(xid) + "\t_oid\t" + std::to_string(oid) +
        "\t_identity\td\t_pkey\t1\t_ikey\t\t_action\tschema\t" + column + "\t1 integer not null";
    lines->take_schema(daystream::parse_change(text), {});
    lines->finish({static_cast<std::uint64_t>(xid)});
  }
};

}  // namespace

// Else it would come back when its pause is over, which may be minutes.
TEST_CASE("table lines: a line of a table that is waited for has it copied at once",
          "[mirror][lines]") {
  Followed mirror;
  mirror.drop(10, 1);
  REQUIRE(mirror.tables->absent().size() == 1);
  CHECK(mirror.tables->absent().front().standing.state == TableState::Waiting);
  Retries retries;
  retries.failed(mirror.tables->absent().front());
  CHECK_FALSE(retries.is_due(mirror.tables->absent().front()));

  mirror.schema(11, 2, "another");
  CHECK(mirror.tables->absent().front().standing.state == TableState::Waiting);
  CHECK_FALSE(retries.is_due(mirror.tables->absent().front()));

  mirror.schema(12, 3, "t");
  CHECK(mirror.tables->absent().front().standing.state == TableState::Copying);
  CHECK(retries.is_due(mirror.tables->absent().front()));
  CHECK(mirror.tables->followed().size() == 0);

  // Also where it came while a copy had just looked for it.
  retries.begin(mirror.tables->absent().front(), {}, {});
  mirror.schema(13, 4, "t");
  retries.failed(mirror.tables->absent().front());
  CHECK(retries.is_due(mirror.tables->absent().front()));
}

TEST_CASE("table lines: a namesake takes the place of the table that is followed",
          "[mirror][lines]") {
  Followed mirror;
  mirror.schema(10, 2, "t");
  CHECK(mirror.tables->followed().size() == 0);
  REQUIRE(mirror.tables->absent().size() == 1);
  CHECK(mirror.tables->absent().front().standing.state == TableState::Copying);
  CHECK_FALSE(has_table(mirror.db, "t"));
}

// Others of the source go on: what SQLite refuses is the table's own trouble.
TEST_CASE("table lines: a change that SQLite has no place for takes the table out alone",
          "[mirror][lines]") {
  Followed mirror({"u"});
  mirror.db.exec("ALTER TABLE t ADD COLUMN x");  // somebody's
  mirror.schema(10, 1, "now", "x");
  REQUIRE(mirror.tables->absent().size() == 1);
  CHECK(mirror.tables->absent().front().standing.state == TableState::Copying);
  CHECK(mirror.tables->followed().size() == 1);
  CHECK(mirror.tables->followed().by_line_name("t") == nullptr);
  CHECK(mirror.tables->followed().by_line_name("now") == nullptr);
  CHECK_FALSE(has_table(mirror.db, "t"));
  CHECK(mirror.db.value("SELECT count(*) FROM u") == "0");
}

// The source would stop at each try.
TEST_CASE("table lines: what somebody has put beside a table does not keep it from being renamed",
          "[mirror][lines]") {
  Followed mirror({"u"});
  SECTION("a trigger that is broken") {
    mirror.db.exec(
        "CREATE TABLE log(x); CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO log "
        "VALUES(new.id); END; DROP TABLE log");
    mirror.schema(10, 1, "now");
    CHECK(mirror.tables->followed().by_name("now")->table.standing.set_aside.size() == 1);
  }
  SECTION("views with a collation that is not known here") {
    mirror.db.exec(
        "CREATE VIEW v AS SELECT id COLLATE theirs AS n FROM t;"
        "CREATE VIEW w AS SELECT n FROM v ORDER BY n");
    mirror.schema(10, 1, "now");
  }
  SECTION("something with the name that it has meanwhile") {
    mirror.db.exec("CREATE TABLE _deltamirror_renamed_1(x)");
    mirror.schema(10, 1, "now");
  }
  CHECK(mirror.tables->followed().size() == 2);
  CHECK(has_table(mirror.db, "now"));
  CHECK(mirror.db.value("SELECT count(*) FROM now") == "0");
}

TEST_CASE("table lines: a wish for the name that a followed table has by a rename loses neither",
          "[mirror][lines]") {
  Followed mirror;
  mirror.schema(10, 1, "z");
  TableRequest request;
  request.table = "other";
  request.as = "z";
  const bool taken = GENERATE(false, true);
  if (taken) mirror.db.exec("CREATE VIEW t AS SELECT 1");
  mirror.tables->add_absent(absent_table(request));
  const std::vector<MirroredTable> stored = load_tables(mirror.db);
  REQUIRE(stored.size() == 2);
  CHECK(stored[0].name == "t");
  CHECK(stored[0].is_followed() == !taken);
  CHECK(stored[1].name == "z");
  CHECK(mirror.tables->absent().size() == (taken ? 2U : 1U));
}

// SQLite has no place for both names at first: the one that stays as it was must not be in the way
// of the other's wish later.
TEST_CASE("table lines: names that differ by case alone come round, and no wish is lost",
          "[mirror][lines]") {
  Followed mirror({"u"});
  mirror.schema(10, 1, "\"U\"");
  CHECK(mirror.stored() ==
        std::vector<std::string>{"t of public.U, wished as t", "u of public.u, wished as u"});
  mirror.schema(11, 101, "t");
  CHECK(mirror.stored() ==
        std::vector<std::string>{"U of public.U, wished as u", "t of public.t, wished as t"});
  mirror.schema(12, 1, "u");
  CHECK(mirror.stored() ==
        std::vector<std::string>{"t of public.t, wished as t", "u of public.u, wished as u"});
  CHECK(mirror.tables->followed().size() == 2);
}
