// Mirrors that older programs made.
#include <catch2/catch.hpp>

#include "apply/applier.h"
#include "filter/row_filter.h"
#include "format3.h"
#include "history/history_tables.h"
#include "store/checkpoint.h"
#include "store/last_events.h"
#include "store/mirrored_table.h"
#include "support/catch2_positions.h"

using namespace deltamirror;

namespace {

// A mirror of format 3; with `format` 2 as it was before there were options.
Database old_mirror(int format) {
  Database db(":memory:", Database::Mode::Create);
  db.exec(kMirrorOfFormat3);
  if (format == 3) return db;
  db.exec(
      "ALTER TABLE _deltamirror_tables DROP COLUMN options;"
      "UPDATE _deltamirror_format SET version = 2;"
      "DELETE FROM _deltamirror_tables WHERE name = 'h3_seed'");
  return db;
}

}  // namespace

TEST_CASE("formats: a mirror of an older program is opened and written to as it is",
          "[mirror][formats]") {
  const int format = GENERATE(2, 3);
  CAPTURE(format);
  Database db = old_mirror(format);
  CHECK_FALSE(has_sources(db));
  CHECK_NOTHROW(require_one_source(db, "x"));
  std::vector<MirroredTable> tables = load_tables(db);
  REQUIRE(tables.size() == (format == 2 ? 2 : 3));
  const MirroredTable& followed = tables.back();
  CHECK(followed.name == "s3");
  CHECK(followed.source.empty());
  CHECK_FALSE(followed.is_shared());
  CHECK(followed.shape.oid == 16411);
  CHECK(followed.columns.size() == 4);
  CHECK(followed.indexes == std::vector<std::vector<std::string>>{{"v"}});
  CHECK((followed.where != nullptr) == (format == 3));
  if (format == 3) {
    CHECK(tables.front().mode == TableMode::History);
    CHECK(shown_name(tables.front()) == "h3");
    CHECK(tables.front().keep_days == 3);
  }
  const Checkpoint at = load_checkpoint(db);
  CHECK(at.source == "ds");
  CHECK(at.position == daystream::Position{1795346118, 3024});
  CHECK(load_checkpoints(db).size() == 1);
  CHECK(load_types(db, "").resolve("mood"));
  CHECK(load_change(db, "", 16411)->lsn == "0/560E208");

  // What an owner does: all of it stays of a format that the older program reads.
  {
    Applier applier(db, std::nullopt, [] { return false; });
    applier.set_indexes("s3", {});
    applier.set_seeded("s3", "2026-11-22 12:00:00.000000");
    applier.commit();
    applier.settle();
  }
  remember_error(db, "", daystream::Error("broken", "mend it"), AfterError::Stopped);
  CHECK(load_error(db, "")->message == "broken");
  CHECK(load_error(db, "")->after == AfterError::None);
  CHECK(db.value("SELECT version FROM _deltamirror_format") == "3");
  CHECK(load_tables(db).back().indexes.empty());
  CHECK(load_tables(db).back().seeded_at == "2026-11-22 12:00:00.000000");
  CHECK(load_checkpoint(db).position == at.position);
}

TEST_CASE("formats: of named sources each has its tables, types, changes and errors",
          "[mirror][formats][sources]") {
  Database db(":memory:", Database::Mode::Create);
  create_catalog(db, Sources::Named);
  create_last_events(db);
  CHECK(has_sources(db));
  CHECK_THROWS_WITH(require_one_source(db, "verify"), Catch::Contains("is of named sources"));
  for (const std::string source : {"eu", "us"}) {
    MirroredTable table;
    table.source = source;
    table.source_column = "shard";
    table.name = "t";
    table.source_table = "public.t";
    table.shape.oid = 5;
    table.shape.line_name = "t";
    save_table(db, table);
    TypeNames types;
    types.add("public.money_of_" + source, "integer");
    save_types(db, source, types);
    save_change(db, source, 5, {"at " + source, "0/1"});
    Checkpoint at;
    at.source = source;
    at.lsn = {source == "eu" ? 1u : 2u};
    save_checkpoint(db, at);
  }
  CHECK(load_tables(db).size() == 2);
  CHECK(load_tables_of(db, "us").at(0).source_column == "shard");
  CHECK(load_types(db, "us").all().size() == 1);
  CHECK(load_change(db, "eu", 5)->at == "at eu");
  CHECK(load_checkpoint(db, "us").lsn.value == 2);
  CHECK_THROWS_WITH(load_checkpoint(db), Catch::Contains("has several sources: \"eu\", \"us\""));
  CHECK_THROWS_WITH(load_checkpoint(db, "uk"), Catch::Contains("has no source \"uk\""));
  remember_error(db, "eu", daystream::Error("gone"), AfterError::Stopped);
  CHECK(load_error(db, "eu")->after == AfterError::Stopped);
  CHECK_FALSE(load_error(db, "us"));
  forget_stop(db, "eu");
  CHECK(load_error(db, "eu")->after == AfterError::None);
  forget_table(db, "eu", "t");
  CHECK(load_tables(db).size() == 1);
}
