// daystream cat --format=sql, run into a second database: the tables are the same then.
#include <catch2/catch.hpp>

#include "../pipeline/pipeline.h"

using namespace pipeline;
using support::program;

namespace {

constexpr const char* kTables = R"(
  CREATE TYPE mood AS ENUM ('calm', 'it''s windy');
  CREATE SCHEMA "Odd schema";
  CREATE TABLE kinds (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, flag boolean, n numeric,
    f float8, t timestamptz, b bytea, a text[], j jsonb, i interval, u uuid, c char(5), m mood,
    twice numeric GENERATED ALWAYS AS (n * 2) STORED, money money, r int4range, d date DEFAULT current_date, "Odd ""column" text);
  CREATE TABLE "Odd schema"."Odd.Table" (a text, b int, c text, PRIMARY KEY (b, a));
  CREATE TABLE whole (a int, j json, x text);
  ALTER TABLE whole REPLICA IDENTITY FULL;
  CREATE TABLE by_index (id int, code text NOT NULL, v text);
  CREATE UNIQUE INDEX by_code ON by_index (code);
  ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_code;
  CREATE TABLE parent (id int PRIMARY KEY);
  CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent);
  CREATE TABLE measured (day int, v text, PRIMARY KEY (day)) PARTITION BY RANGE (day);
  CREATE TABLE measured_1 PARTITION OF measured FOR VALUES FROM (0) TO (10);
  CREATE TABLE measured_2 PARTITION OF measured FOR VALUES FROM (10) TO (20);)";

constexpr const char* kWork = R"(
  INSERT INTO kinds (flag, n, f, t, b, a, j, i, u, c, m, money, r, "Odd ""column") VALUES
    (true, 1.50, 'NaN', '2026-11-21 10:15:04.5+02', '\x00ff', '{"a b",NULL,"q\"\\"}', '{"k": [1]}',
     '1 mon -2 days', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'ab', 'it''s windy', '1.25', '[1,5)',
     E'tab\there\nline\\ ''quoted'''),
    (false, 'NaN', '-Infinity', 'infinity', '', '{}', 'null', '0', NULL, '', 'calm', NULL, 'empty',
     '\N'), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
  UPDATE kinds SET d = NULL, f = 0.1 WHERE id = 1;
  UPDATE kinds SET "Odd ""column" = (SELECT string_agg(md5(i::text), '') FROM
    generate_series(1, 4000) i) WHERE id = 2;
  UPDATE kinds SET n = 7 WHERE id = 2;
  INSERT INTO "Odd schema"."Odd.Table" VALUES ('x', 1, 'y'), ('x', 2, NULL), ('z', 1, NULL);
  UPDATE "Odd schema"."Odd.Table" SET a = 'w' WHERE b = 2;
  DELETE FROM "Odd schema"."Odd.Table" WHERE a = 'z';
  INSERT INTO whole VALUES (1, '{"a":1}', 'x'), (1, '{"a":1}', 'x'), (NULL, NULL, NULL), (2, '[]', '');
  DELETE FROM whole WHERE ctid = (SELECT ctid FROM whole WHERE a = 1 LIMIT 1);
  UPDATE whole SET x = 'y' WHERE a IS NULL;
  DELETE FROM whole WHERE a = 2;
  INSERT INTO by_index VALUES (1, 'one', 'a'), (1, 'two', 'b'), (1, 'three', 'c');
  UPDATE by_index SET v = 'z' WHERE code = 'two';
  UPDATE by_index SET code = 'drei' WHERE code = 'three';
  DELETE FROM by_index WHERE code = 'one';
  INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (1, 1), (2, 2);
  TRUNCATE parent, child;
  INSERT INTO parent VALUES (3); INSERT INTO child VALUES (3, 3);
  INSERT INTO measured VALUES (1, 'a'), (11, 'b'), (12, 'c');
  UPDATE measured SET day = 5 WHERE day = 11;
  DELETE FROM measured WHERE day = 12;)";

const std::vector<std::pair<std::string, std::string>> kCompared = {
    {"kinds", "id"},    {"\"Odd schema\".\"Odd.Table\"", "b, a"},
    {"whole", "a, x"},  {"by_index", "code"},
    {"parent", "id"},   {"child", "id"},
    {"measured", "day"}};

}  // namespace

TEST_CASE("sql: statements redo in another database what the stream tells", "[tools][sql]") {
  Pipeline p;
  p.execute(kTables);
  p.cluster().create_database("copy");
  p.cluster().execute(kTables, "copy");
  p.start_stream();
  p.execute(kWork);
  const std::string before = p.scalar("SELECT pg_current_wal_lsn()");
  p.execute("UPDATE kinds SET flag = NOT flag WHERE id < 3; DELETE FROM by_index WHERE v = 'z'");
  const std::string lsn = p.scalar("SELECT pg_current_wal_lsn()");
  REQUIRE(support::eventually([&] {
    return p.scalar("SELECT confirmed_flush_lsn >= '" + lsn + "' FROM pg_replication_slots") == "t";
  }));
  const auto redo = [&](const std::vector<std::string>& options) {
    std::vector<std::string> argv = {program("daystream"), "cat", p.daystream().string(),
                                     "--format=sql"};
    argv.insert(argv.end(), options.begin(), options.end());
    p.cluster().run_tool("psql", {"-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "copy"},
                         {.input = support::run_ok(argv)});
  };
  redo({"--until", before});
  const std::string after = p.scalar("SELECT '" + before + "'::pg_lsn + 1");
  redo({"--since", after});  // the keys are known from before the range
  for (const auto& [table, order] : kCompared) {
    CAPTURE(table);
    const std::string query = "SELECT * FROM " + table + " ORDER BY " + order;
    const Rows rows = p.cluster().query(query, Pipeline::kDatabase);
    CHECK(p.cluster().query(query, "copy") == rows);
    CHECK(!rows.empty());
  }
}
