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

  Followed() {
    create_catalog(db);
    save_checkpoint(db, Checkpoint{});
    TableRequest request;
    request.table = "t";
    MirroredTable table = support::followed_table(request, 1, "t");
    table.snapshot = Snapshot::parse("3:3:");
    save_table(db, table);
    db.exec(create_table_sql(table, table.name));
    commit.emplace(db, "");
    tables.emplace(db, *commit);
    lines.emplace(db, *commit, *tables, std::nullopt);
  }
  void drop(int xid, int oid) {
    tables->begin_transaction(static_cast<std::uint64_t>(xid));
    const std::string text = "_table\tt\t_xid\t" + std::to_string(xid) + "\t_oid\t" +
                             std::to_string(oid) + "\t_action\tdrop";
    lines->take_drop(daystream::parse_change(text), {});
    lines->finish({static_cast<std::uint64_t>(xid)});
  }
  void schema(int xid, int oid, const std::string& name) {
    tables->begin_transaction(static_cast<std::uint64_t>(xid));
    const std::string text = "_table\t" + name + "\t_xid\t" + std::to_string(xid) + "\t_oid\t" +
                             std::to_string(oid) +
                             "\t_identity\td\t_pkey\t1\t_ikey\t\t_action\tschema\tid\t1 integer "
                             "not null";
    lines->take_schema(daystream::parse_change(text));
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
  CHECK(mirror.tables->absent().front().state == TableState::Waiting);
  Retries retries;
  retries.failed(mirror.tables->absent().front());
  CHECK_FALSE(retries.is_due(mirror.tables->absent().front()));

  mirror.schema(11, 2, "another");
  CHECK(mirror.tables->absent().front().state == TableState::Waiting);
  CHECK_FALSE(retries.is_due(mirror.tables->absent().front()));

  mirror.schema(12, 3, "t");
  CHECK(mirror.tables->absent().front().state == TableState::Copying);
  CHECK(retries.is_due(mirror.tables->absent().front()));
  CHECK(mirror.tables->followed().size() == 0);

  // Also where it came while a copy had just looked for it.
  retries.begin(mirror.tables->absent().front());
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
  CHECK(mirror.tables->absent().front().state == TableState::Copying);
  CHECK_FALSE(has_table(mirror.db, "t"));
}
