// The schema line that the plugin writes and the one that is made of a shape are the same.
#include <catch2/catch.hpp>

#include "schema_lines.h"

using namespace managed_test;

namespace {

// All that a schema line can say of a table, in one database.
constexpr const char* kTables = R"(
CREATE SCHEMA "Odd ""Schema";
CREATE TYPE color AS ENUM ('red', 'green');
ALTER TYPE color ADD VALUE E'a\ttab\\' BEFORE 'green';
CREATE TYPE "Odd ""Schema"."T y" AS (i int, c color, d text);
ALTER TYPE "Odd ""Schema"."T y" DROP ATTRIBUTE d;
CREATE DOMAIN cents AS numeric(10,2);
CREATE DOMAIN euros AS cents;
CREATE DOMAIN words AS varchar(7)[];
CREATE DOMAIN many AS "Odd ""Schema"."T y"[];
CREATE TYPE span AS RANGE (subtype = float8, multirange_type_name = spans);
CREATE TABLE plain (id int PRIMARY KEY, a text NOT NULL, b varchar(20), c numeric(10,2),
  d timestamp(3) with time zone, e bit(3), f "char", g char(5), h interval day to second(2),
  i int[], j text[][]);
CREATE TABLE keyless (a int);
CREATE TABLE key_full (a int, b text); ALTER TABLE key_full REPLICA IDENTITY FULL;
CREATE TABLE key_none (a int PRIMARY KEY); ALTER TABLE key_none REPLICA IDENTITY NOTHING;
CREATE TABLE key_index (a int PRIMARY KEY, c text NOT NULL, b int NOT NULL);
CREATE UNIQUE INDEX ki ON key_index (b, c) INCLUDE (a);
ALTER TABLE key_index REPLICA IDENTITY USING INDEX ki;
CREATE TABLE deferred (a int PRIMARY KEY DEFERRABLE);
CREATE TABLE reversed (a int, b int, c int, PRIMARY KEY (c, a));
CREATE TABLE included (a int, b int, PRIMARY KEY (a) INCLUDE (b));
CREATE TABLE generated (a int PRIMARY KEY, b int GENERATED ALWAYS AS (a * 2) STORED);
CREATE TABLE missing (a int PRIMARY KEY);
INSERT INTO missing VALUES (1);
ALTER TABLE missing ADD b box DEFAULT '(1,1),(0,0)', ADD c int[] DEFAULT '{1,2}',
  ADD d text DEFAULT E'x,\t"y\\', ADD e bytea DEFAULT '\x00ff',
  ADD f box[] DEFAULT '{(1,1),(0,0);(2,2),(1,1)}', ADD g bool DEFAULT true, ADD h text DEFAULT '',
  ADD i money DEFAULT 3, ADD j timestamptz DEFAULT '2020-01-01 00:00+02',
  ADD k interval DEFAULT '1 day 2 hours', ADD l float8 DEFAULT 0.1, ADD m color DEFAULT 'red',
  ADD n euros DEFAULT 5, ADD o bool NOT NULL DEFAULT false,
  ADD p "Odd ""Schema"."T y" DEFAULT '(1,red)', ADD q date DEFAULT '2020-02-03',
  ADD s span DEFAULT '[1,2)', ADD t jsonb DEFAULT '{"a":"b"}', ADD u regclass DEFAULT 'plain';
CREATE TABLE dropped (a int PRIMARY KEY, b int, c int); ALTER TABLE dropped DROP b;
CREATE TABLE types (id int PRIMARY KEY, a color, b "Odd ""Schema"."T y", c euros, d span, e many,
  f words, g color[], h span[], i int4range, j plain, k box, l plain[],
  m information_schema.sql_identifier, n many[], o spans);
CREATE TABLE "select" (a int PRIMARY KEY, "from" text, "Tab	x" text);
CREATE TABLE "Odd ""Schema"."T""a.b" (a int PRIMARY KEY);
CREATE TABLE "Odd ""Schema".plain (a int PRIMARY KEY);
CREATE TABLE part (k int, g text, v color, PRIMARY KEY (k)) PARTITION BY RANGE (k);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (k);
CREATE TABLE part21 PARTITION OF part2 FOR VALUES FROM (10) TO (15);
CREATE TABLE part22 (v color, g text, k int NOT NULL);
ALTER TABLE part2 ATTACH PARTITION part22 FOR VALUES FROM (15) TO (20);
INSERT INTO part VALUES (1, 'a'), (11, 'b'), (16, 'c');
ALTER TABLE part ADD w int DEFAULT 4;
CREATE TABLE parent (a int PRIMARY KEY, b text);
CREATE TABLE child (c color) INHERITS (parent);
CREATE TABLE typed OF "Odd ""Schema"."T y";
CREATE TABLE no_columns ();
)";

}  // namespace

TEST_CASE("shape: the plugin's schema line can be made of it", "[managed]") {
  const Database db;
  db.execute("SELECT pg_create_logical_replication_slot('" + db.name() + "', 'deltaflood')");
  // A DDL command each, with settings that must not matter.
  db.execute(
      "SET search_path = \"$user\", public; SET datestyle = 'SQL, DMY'; SET intervalstyle = "
      "'sql_standard'; SET extra_float_digits = -5; SET bytea_output = 'escape'; SET timezone = "
      "'Asia/Kolkata'; SET quote_all_identifiers = on;" +
      std::string(kTables));
  CHECK(db.untrue() == Lines{});
  std::size_t compared = 0;
  for (const auto& [oid, line] : plugin_lines(db, "")) {
    CHECK(line_of(db, oid) == line);
    ++compared;
  }
  CHECK(std::to_string(compared) ==
        db.scalar("SELECT count(*) FROM pg_class WHERE relkind = 'r' AND oid >= 16384 AND "
                  "relnamespace <> 'deltaflood'::regnamespace"));
  // The table at the top of partitions, which the plugin tells of with partition-root.
  const std::string part = db.scalar("SELECT 'part'::regclass::oid");
  CHECK(line_of(db, part) == plugin_lines(db, ", 'partition-root', 'on'").at(part));
  db.execute("SELECT pg_drop_replication_slot('" + db.name() + "')");
}

TEST_CASE("shape: in a database of another encoding", "[managed]") {
  for (const std::string encoding : {"LATIN1", "SQL_ASCII"}) {
    CAPTURE(encoding);
    cluster().create_database("encoded_" + encoding, "ENCODING " + encoding +
                                                         " LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE "
                                                         "template0");
    const std::string name = "encoded_" + encoding;
    cluster().execute(managed_sql(), name);
    support::Session session = cluster().session(name);
    session.execute("SET client_encoding = 'UTF8'");
    session.execute(
        "CREATE PUBLICATION flood FOR ALL TABLES; CREATE TABLE "
        "\"Größe\" (\"für\" int PRIMARY KEY); SELECT deltaflood.install('flood')");
    CHECK(session.scalar("SELECT shape->'columns'->0->>'name' FROM deltaflood.ddl") == "für");
    CHECK(session.scalar("SELECT deltaflood.changed()") == "0");
  }
}
