// Which rows of deltaflood.ddl each DDL command writes, and that they are true.
#include <catch2/catch.hpp>

#include "database.h"

using namespace managed_test;

namespace {

struct Step {
  std::string sql;
  Lines rows;
};

void walk(Database& db, const std::vector<Step>& steps) {
  for (const Step& step : steps) {
    INFO(step.sql);
    db.execute(step.sql);
    CHECK(db.written() == step.rows);
    CHECK(db.untrue() == Lines{});
  }
}

}  // namespace

TEST_CASE("ddl: each change of a table is one row, and what changes nothing is none", "[managed]") {
  Database db;
  walk(
      db,
      {
          {"CREATE TABLE t (id int PRIMARY KEY, a text)", {"shape t"}},
          {"CREATE TABLE IF NOT EXISTS t (id int)", {}},
          {"INSERT INTO t VALUES (1, 'x')", {}},
          {"ALTER TABLE t ADD b int", {"shape t"}},
          {"ALTER TABLE t ADD IF NOT EXISTS b int", {}},
          {"ALTER TABLE t ADD c int DEFAULT 5, DROP b", {"shape t"}},
          {"ALTER TABLE t ADD d timestamptz DEFAULT clock_timestamp()", {"rewrite t", "shape t"}},
          {"ALTER TABLE t ALTER a SET NOT NULL", {"shape t"}},
          {"ALTER TABLE t ALTER a DROP NOT NULL", {"shape t"}},
          {"ALTER TABLE t ALTER a SET DEFAULT 'y'", {}},
          {"ALTER TABLE t ALTER a TYPE varchar(10)", {"rewrite t", "shape t"}},
          {"ALTER TABLE t ALTER a TYPE varchar(20)", {"shape t"}},
          {"ALTER TABLE t ALTER c TYPE bigint", {"rewrite t", "shape t"}},
          {"ALTER TABLE t RENAME a TO aa", {"shape t"}},
          {"ALTER TABLE t RENAME TO u", {"shape u"}},
          {"ALTER TABLE u ADD CHECK (c > 0), ALTER c SET STATISTICS 50", {}},
          {"ALTER TABLE u ADD g int GENERATED ALWAYS AS (id * 2) STORED", {"rewrite u", "shape u"}},
          {"ALTER TABLE u ALTER g DROP EXPRESSION", {"shape u"}},
          {"CREATE INDEX CONCURRENTLY u_c ON u (c)", {}},
          {"REINDEX TABLE CONCURRENTLY u", {}},
          {"ANALYZE u", {}},
          {"VACUUM u", {}},
          {"GRANT SELECT ON u TO PUBLIC", {}},
          {"COMMENT ON TABLE u IS 'a table'", {}},
          {"TRUNCATE u", {}},
          {"CREATE VIEW v AS SELECT * FROM u", {}},
          {"CREATE MATERIALIZED VIEW mv AS SELECT * FROM u", {}},
          {"CREATE SEQUENCE s", {}},
          {"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", {}},
          {"CREATE TRIGGER tr BEFORE UPDATE ON u FOR EACH ROW EXECUTE FUNCTION "
           "suppress_redundant_updates_trigger()",
           {}},
          {"DROP VIEW v", {}},
          {"DROP MATERIALIZED VIEW mv", {}},
          {"DROP FUNCTION f(); DROP SEQUENCE s; DROP INDEX u_c; DROP TRIGGER tr ON u", {}},
          {"CREATE TABLE w (id int)", {"shape w"}},
          {"DROP TABLE w, u", {"gone u", "gone w"}},
      });
}

TEST_CASE("ddl: keys and replica identities", "[managed]") {
  Database db;
  walk(db, {
               {"CREATE TABLE t (id int, a int NOT NULL, b int)", {"shape t"}},
               {"ALTER TABLE t ADD UNIQUE (b)", {}},
               {"ALTER TABLE t ADD PRIMARY KEY (id)", {"shape t"}},
               {"ALTER TABLE t DROP CONSTRAINT t_pkey", {"shape t"}},
               {"CREATE UNIQUE INDEX t_a ON t (a)", {}},
               {"ALTER TABLE t ADD CONSTRAINT t_pkey PRIMARY KEY USING INDEX t_a", {"shape t"}},
               {"ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id)", {"shape t"}},
               {"ALTER TABLE t REPLICA IDENTITY FULL", {"shape t"}},
               {"ALTER TABLE t REPLICA IDENTITY FULL", {}},
               {"CREATE UNIQUE INDEX t_a ON t (a)", {}},
               {"ALTER TABLE t REPLICA IDENTITY USING INDEX t_a", {"shape t"}},
               {"DROP INDEX t_a", {"shape t"}},
               {"ALTER TABLE t REPLICA IDENTITY DEFAULT", {"shape t"}},
               {"ALTER TABLE t ALTER id TYPE bigint", {"rewrite t", "shape t"}},
               {"ALTER TABLE t DROP id", {"shape t"}},
               {"CREATE TABLE r (id int REFERENCES t (b))", {"shape r"}},
               {"DROP TABLE t CASCADE", {"gone t"}},
           });
}

TEST_CASE("ddl: what values are made of", "[managed]") {
  Database db;
  walk(db, {
               {"CREATE TYPE color AS ENUM ('red')", {}},
               {"CREATE DOMAIN paint AS color", {}},
               {"CREATE TYPE pot AS (c paint, n int)", {}},
               {"CREATE TYPE span AS RANGE (subtype = float8)", {}},
               {"CREATE TABLE t (id int PRIMARY KEY, p pot[], s span)", {"shape t"}},
               {"CREATE TABLE other (id int PRIMARY KEY)", {"shape other"}},
               {"ALTER TYPE color ADD VALUE 'blue'", {"shape t"}},
               {"ALTER TYPE color ADD VALUE IF NOT EXISTS 'blue'", {}},
               {"ALTER TYPE color RENAME VALUE 'blue' TO 'navy'", {"shape t"}},
               {"ALTER TYPE color RENAME TO colour", {"shape t"}},
               {"ALTER DOMAIN paint RENAME TO varnish", {"shape t"}},
               {"ALTER TYPE pot ADD ATTRIBUTE lid boolean", {"shape t"}},
               {"ALTER TYPE pot RENAME ATTRIBUTE n TO number", {}},
               {"ALTER TYPE pot DROP ATTRIBUTE number", {"shape t"}},
               {"CREATE SCHEMA kinds", {}},
               {"ALTER TYPE pot SET SCHEMA kinds", {"shape t"}},
               {"ALTER SCHEMA kinds RENAME TO sorts", {"shape t"}},
               {"ALTER TYPE span RENAME TO extent", {"shape t"}},
               {"CREATE TABLE rows_of (o other, t t)", {"shape rows_of"}},
               {"ALTER TABLE other ADD b text", {"shape other", "shape rows_of"}},
               {"ALTER TYPE colour ADD VALUE 'grey'", {"shape t", "shape rows_of"}},
               {"DROP TYPE extent CASCADE", {"shape t", "shape rows_of"}},
               {"DROP SCHEMA sorts CASCADE", {"shape t", "shape rows_of"}},
               {"CREATE TYPE form AS (a int, b int)", {}},
               {"CREATE TABLE typed OF form", {"shape typed"}},
               {"ALTER TYPE form ADD ATTRIBUTE c int CASCADE", {"shape typed"}},
               {"ALTER TYPE form ALTER ATTRIBUTE c TYPE text CASCADE",
                {"rewrite typed", "shape typed"}},
               {"ALTER TYPE form RENAME ATTRIBUTE b TO bb CASCADE", {"shape typed"}},
               {"DROP TYPE form CASCADE", {"gone typed"}},
           });
}

TEST_CASE("ddl: schemas and other ways to make a table", "[managed]") {
  Database db;
  walk(db,
       {
           {"CREATE SCHEMA a CREATE TABLE t (id int) CREATE TABLE u (id int)",
            {"shape a.t", "shape a.u"}},
           {"ALTER SCHEMA a RENAME TO b", {"shape b.t", "shape b.u"}},
           {"ALTER TABLE b.u SET SCHEMA public", {"shape u"}},
           {"DROP SCHEMA b CASCADE", {"gone b.t"}},
           {"CREATE TABLE as_query AS SELECT 1 AS a, 'x'::text AS b", {"shape as_query"}},
           {"SELECT 1 AS a INTO selected", {"shape selected"}},
           {"CREATE TABLE like_it (LIKE as_query INCLUDING ALL)", {"shape like_it"}},
           {"CREATE TEMP TABLE temporary (a int); ALTER TABLE temporary ADD b int; DROP TABLE "
            "temporary; CREATE TEMP TABLE taken AS SELECT 1 AS a",
            {}},
           {"CREATE UNLOGGED TABLE unlogged (id int)", {}},
           {"ALTER TABLE unlogged ADD a int", {}},
           {"ALTER TABLE unlogged SET LOGGED", {"shape unlogged"}},
           {"ALTER TABLE unlogged SET UNLOGGED", {"rewrite unlogged", "gone unlogged"}},
           {"CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN "
            "TABLE f (id int) SERVER s",
            {}},
           {"CREATE EXTENSION citext", {}},
           {"CREATE TABLE c (a citext)", {"shape c"}},
           {"DROP EXTENSION citext CASCADE", {"shape c"}},
           {"BEGIN; ALTER TABLE as_query RENAME TO old; ALTER TABLE selected RENAME TO as_query; "
            "COMMIT",
            {"shape old", "shape as_query"}},
           {"DROP TABLE as_query; CREATE TABLE as_query (z int)",
            {"gone as_query", "shape as_query"}},
           {"CREATE ROLE owner_of_it; ALTER TABLE c OWNER TO owner_of_it", {}},
           {"DROP OWNED BY owner_of_it; DROP ROLE owner_of_it", {"gone c"}},
       });
}

TEST_CASE("ddl: partitions and inheritance", "[managed]") {
  Database db;
  walk(db, {
               {"CREATE TABLE p (k int PRIMARY KEY, v text) PARTITION BY RANGE (k)", {"shape p"}},
               {"CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)", {"shape p1"}},
               {"CREATE TABLE p2 (v text, k int PRIMARY KEY)", {"shape p2"}},
               {"INSERT INTO p2 VALUES ('x', 12)", {}},
               {"ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20)", {"shape p2"}},
               {"ALTER TABLE p ADD w int DEFAULT 7", {"shape p", "shape p1", "shape p2"}},
               {"CREATE TABLE m (k int, v text, w int) PARTITION BY RANGE (k)", {"shape m"}},
               {"CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (20) TO (25)", {"shape m1"}},
               {"ALTER TABLE m ADD PRIMARY KEY (k)", {"shape m", "shape m1"}},
               // The leaf has another root, though nothing of its own is touched.
               {"ALTER TABLE p ATTACH PARTITION m FOR VALUES FROM (20) TO (30)",
                {"shape m", "shape m1"}},
               {"ALTER TABLE p DETACH PARTITION m", {"shape m", "shape m1"}},
               {"ALTER TABLE p DETACH PARTITION p2 CONCURRENTLY", {"shape p2"}},
               // With it goes the last partition that misses `w`.
               {"DROP TABLE p1", {"gone p1", "shape p"}},
               {"DROP TABLE p", {"gone p"}},
               {"CREATE TABLE parent (id int PRIMARY KEY)", {"shape parent"}},
               {"CREATE TABLE child (c text) INHERITS (parent)", {"shape child"}},
               {"ALTER TABLE parent ADD d int", {"shape parent", "shape child"}},
               {"ALTER TABLE parent RENAME d TO e", {"shape parent", "shape child"}},
               {"ALTER TABLE child NO INHERIT parent", {}},
               {"CREATE TEMP TABLE passing () INHERITS (parent)", {}},
               {"DROP TABLE parent CASCADE", {"gone parent"}},
           });
}

TEST_CASE("ddl: publications", "[managed]") {
  Database db;
  db.execute(
      "CREATE TABLE a (id int PRIMARY KEY, x int); CREATE TABLE b (id int); CREATE TABLE p (k int)"
      " PARTITION BY RANGE (k); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);"
      "CREATE SCHEMA s; CREATE TABLE s.c (id int)");
  db.written();
  walk(db, {
               {"ALTER PUBLICATION flood SET (publish = 'insert')",
                {"shape a", "shape b", "shape p", "shape p1", "shape s.c"}},
               {"ALTER PUBLICATION flood SET (publish = 'insert')", {}},
               {"DROP PUBLICATION flood", {"gone a", "gone b", "gone p", "gone p1", "gone s.c"}},
               // Not one of ours until it has deltaflood.ddl.
               {"CREATE PUBLICATION flood FOR TABLE a", {}},
               {"SELECT deltaflood.install('flood')", {"shape a"}},
               {"ALTER PUBLICATION flood ADD TABLE b", {"shape b"}},
               {"ALTER PUBLICATION flood ADD TABLES IN SCHEMA s", {"shape s.c"}},
               {"CREATE TABLE s.d (id int)", {"shape s.d"}},
               {"CREATE TABLE e (id int)", {}},
               {"ALTER TABLE e ADD x int", {}},
               {"ALTER TABLE e SET SCHEMA s", {"shape s.e"}},
               // The partition is published, and the table that it belongs to is told for its sake.
               {"ALTER PUBLICATION flood ADD TABLE p1", {"shape p", "shape p1"}},
               {"ALTER TABLE p ADD v int", {"shape p", "shape p1"}},
               {"CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)", {}},
               {"ALTER PUBLICATION flood DROP TABLE p1", {"gone p", "gone p1"}},
               {"ALTER PUBLICATION flood ADD TABLE p", {"shape p", "shape p1", "shape p2"}},
               {"ALTER PUBLICATION flood DROP TABLE a", {"gone a"}},
               {"ALTER PUBLICATION flood DROP TABLES IN SCHEMA s",
                {"gone s.c", "gone s.d", "gone s.e"}},
               {"CREATE PUBLICATION second FOR TABLE b", {}},
               {"ALTER PUBLICATION flood RENAME TO torrent",
                {"shape b", "shape p", "shape p1", "shape p2"}},
           });
  db.execute(
      "ALTER PUBLICATION torrent SET TABLE deltaflood.ddl, a (id) WHERE (id > 5); "
      "ALTER PUBLICATION torrent SET (publish_via_partition_root)");
  CHECK(
      db.scalar("SELECT shape->'publications' FROM deltaflood.shapes('torrent')") ==
      R"([{"name": "torrent", "actions": "iudt", "columns": [1], "filtered": true, "via_root": true}])"
      "");
}

TEST_CASE("ddl: rows go with their transaction, and lie before the rows they are about",
          "[managed]") {
  Database db;
  db.execute("CREATE TABLE t (id int PRIMARY KEY)");
  db.written();
  walk(db,
       {
           {"BEGIN; ALTER TABLE t ADD a int; ROLLBACK", {}},
           {"BEGIN; SAVEPOINT s; ALTER TABLE t ADD a int; ROLLBACK TO s; COMMIT", {}},
           {"BEGIN; SAVEPOINT s; ALTER TABLE t ADD a int; ROLLBACK TO s; ALTER TABLE t ADD b int; "
            "COMMIT",
            {"shape t"}},
           {"BEGIN; ALTER TABLE t ADD c int; SAVEPOINT s; ALTER TABLE t ADD d int; SAVEPOINT r; "
            "ALTER TABLE t ADD e int; RELEASE r; ROLLBACK TO s; ALTER TABLE t ADD f int; COMMIT",
            {"shape t", "shape t"}},
           {"BEGIN; ALTER TABLE t ADD g int; ALTER TABLE t DROP g; COMMIT", {"shape t", "shape t"}},
           {"BEGIN; SAVEPOINT s; CREATE TABLE u (id int); ROLLBACK TO s; CREATE TABLE u (a int); "
            "DROP TABLE u; COMMIT",
            {"shape u", "gone u"}},
           {"DO $$ BEGIN FOR i IN 1..3 LOOP BEGIN EXECUTE format('ALTER TABLE t ADD h%s int', i); "
            "IF i = 2 THEN RAISE 'no'; END IF; EXCEPTION WHEN raise_exception THEN END; END LOOP; "
            "END $$",
            {"shape t", "shape t"}},
           {"BEGIN; ALTER TABLE t ADD z int; PREPARE TRANSACTION 'later'", {}},
           {"COMMIT PREPARED 'later'", {"shape t"}},
       });
  // What the documents say of `xid`.
  CHECK(db.scalar("BEGIN; SELECT pg_current_xact_id(); SAVEPOINT s; ALTER TABLE t ADD y int; "
                  "SELECT max(xid) = pg_current_xact_id() FROM deltaflood.ddl") == "t");
}

TEST_CASE("ddl: VACUUM FULL and CLUSTER are no DDL; what they forget is told by the next",
          "[managed]") {
  Database db;
  db.execute(
      "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); ALTER TABLE t ADD a int "
      "DEFAULT 5");
  db.written();
  db.execute("CLUSTER t USING t_pkey");
  db.execute("VACUUM FULL t");
  CHECK(db.written() == Lines{});
  CHECK(db.untrue() == Lines{"t"});  // no row takes the default any more
  db.execute("ALTER TABLE t ALTER a SET DEFAULT 6");
  CHECK(db.written() == Lines{"shape t"});
  CHECK(db.untrue() == Lines{});
}
