// What a mirror keeps of itself: `_deltamirror_*`.
#include <catch2/catch.hpp>

#include "config/config.h"
#include "store/checkpoint.h"
#include "store/last_events.h"
#include "store/mirrored_table.h"
#include "support/catch2_positions.h"

using namespace deltamirror;

TEST_CASE("catalog: each source has its tables, types, changes and errors",
          "[mirror][catalog][sources]") {
  Database db(":memory:", Database::Mode::Create);
  create_catalog(db);
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
  forget_error(db, "eu");
  CHECK_FALSE(load_error(db, "eu"));
  forget_table(db, "eu", "t");
  CHECK(load_tables(db).size() == 1);
}

TEST_CASE("catalog: another format is refused, with what helps", "[mirror][catalog]") {
  Database db(":memory:", Database::Mode::Create);
  CHECK_THROWS_WITH(load_tables(db), Catch::Contains("is not a mirror"));
  create_catalog(db);
  CHECK(load_tables(db).empty());
  db.exec("UPDATE _deltamirror_format SET version = 2");
  CHECK_THROWS_WITH(load_tables(db), Catch::Contains("has format 2, this program knows 1"));
}

TEST_CASE("catalog: a table that is only wished for has a row with its state",
          "[mirror][catalog]") {
  Database db(":memory:", Database::Mode::Create);
  create_catalog(db);
  TableRequest request;
  request.table = "ops.flights";
  request.as = "crm_flights";
  request.where = "id > 5";
  request.indexes = {{"a", "b"}};
  request.types = {{"a", "text"}};
  request.source = "crm";
  request.prefix = "crm_";
  request.mode = TableMode::History;
  request.keep_days = 3;
  MirroredTable table;
  table.source = request.source;
  table.name = "crm_flights_seed";
  table.source_table = "ops.flights";
  table.wish.text = wish_text(request);
  table.standing.state = GENERATE(TableState::Waiting, TableState::Copying, TableState::Following,
                                  TableState::Parked, TableState::Leaving);
  table.standing.reason = "PostgreSQL has no such table";
  table.standing.hint = "it is copied when it comes";
  table.standing.since = "2026-11-28 20:00:00.000000";
  table.standing.hidden = true;
  table.standing.set_aside = {"CREATE INDEX i ON crm_flights(a)"};
  save_table(db, table);
  const MirroredTable read = load_tables(db).at(0);
  CHECK(parse_wish(read.wish.text) == request);
  CHECK(state_name(read.standing.state) == state_name(table.standing.state));
  CHECK(read.standing.reason == table.standing.reason);
  CHECK(read.standing.hint == table.standing.hint);
  CHECK(read.standing.since == table.standing.since);
  CHECK(read.standing.hidden);
  CHECK(read.standing.set_aside == table.standing.set_aside);
  CHECK_FALSE(read.is_static());
}

TEST_CASE("catalog: an error that cannot be stored is told all the same", "[mirror][catalog]") {
  Database db(":memory:", Database::Mode::Create);
  create_catalog(db);
  db.exec("PRAGMA query_only = ON");
  remember_error(db, "eu", daystream::Error("full", "make room"), AfterError::Waiting);
  REQUIRE(unstored_error("eu"));
  REQUIRE(load_error(db, "eu"));
  CHECK(load_error(db, "eu")->message == "full");
  CHECK(load_error(db, "eu")->after == AfterError::Waiting);
  CHECK_FALSE(load_error(db, "us"));
  const std::string since = load_error(db, "eu")->at;
  SECTION("and stored once it can be, with its beginning") {
    db.exec("PRAGMA query_only = OFF");
    remember_error(db, "eu", daystream::Error("full", "make room"), AfterError::Waiting);
    CHECK_FALSE(unstored_error("eu"));
    REQUIRE(load_error(db, "eu"));
    CHECK(load_error(db, "eu")->at == since);
  }
  SECTION("and forgotten once the source goes on") {
    db.exec("PRAGMA query_only = OFF");
    forget_error(db, "eu");
    CHECK_FALSE(load_error(db, "eu"));
  }
  forget_error(db, "eu");
}
