// The extension deltaflood, on a real server.
#include <catch2/catch.hpp>

#include "support/cluster.h"

using namespace support;

namespace {

const Cluster& cluster() {
  static const Cluster shared;
  return shared;
}

// A database of its own with the extension, so that test cases do not see each other.
Session database_with_extension(const std::string& name) {
  cluster().create_database(name);
  cluster().execute("CREATE EXTENSION deltaflood", name);
  return cluster().session(name);
}

// "change|column|was|is" of each change the next capture finds, with the table in front.
std::vector<std::string> capture(Session& session, const std::string& arguments = "") {
  std::vector<std::string> out;
  for (const Row& row : session.query("SELECT concat_ws('|', table_name, column_name, change, "
                                      "coalesce(old_value, '-'), coalesce(new_value, '-')) FROM "
                                      "deltaflood.capture_schema(" +
                                      arguments + ")")) {
    out.push_back(row[0].value());
  }
  return out;
}

using Changes = std::vector<std::string>;

std::string message_of(Session& session, const std::string& sql) {
  try {
    session.execute(sql);
  } catch (const daystream::program::SqlError& error) {
    return std::string(error.what()) + " / " + error.hint();
  }
  return "no error";
}

}  // namespace

TEST_CASE("capture_schema: the first capture holds tables, columns, types and keys", "[sql]") {
  Session db = database_with_extension("first");
  db.execute(
      "CREATE SCHEMA ops;"
      "CREATE TABLE flights (id bigint PRIMARY KEY, ident text NOT NULL, gate varchar(4) "
      "DEFAULT 'A1');"
      "CREATE TABLE ops.\"Legs\" (flight bigint, leg int, miles numeric(8,2), PRIMARY KEY (leg, "
      "flight));"
      "CREATE TABLE keyless (a int);"
      "CREATE TABLE keyless_full (a int); ALTER TABLE keyless_full REPLICA IDENTITY FULL;"
      "CREATE TABLE deferred (a int PRIMARY KEY DEFERRABLE);"
      "CREATE UNLOGGED TABLE scratch (a int PRIMARY KEY);");
  CHECK(capture(db) == Changes{"ops.\"Legs\"|table added|-|-", "public.flights|table added|-|-",
                               "public.keyless_full|table added|-|-"});
  CHECK(db.query("SELECT table_name, array_to_string(primary_key, ','), replica_identity FROM "
                 "deltaflood.tables ORDER BY 1") == Rows{{"Legs", "leg,flight", "default"},
                                                         {"flights", "id", "default"},
                                                         {"keyless_full", std::nullopt, "full"}});
  CHECK(db.query("SELECT column_name, type, not_null, filled_by, expression FROM "
                 "deltaflood.columns WHERE table_oid = 'flights'::regclass ORDER BY attnum") ==
        Rows{{"id", "bigint", "t", std::nullopt, std::nullopt},
             {"ident", "text", "t", std::nullopt, std::nullopt},
             {"gate", "character varying(4)", "f", "default", "'A1'::character varying"}});
  CHECK(db.scalar("SELECT table_count || ' ' || change_count || ' ' || (lsn > '0/0') FROM "
                  "deltaflood.captures") == "3 3 true");
}

TEST_CASE("capture_schema: nothing changed is no change, and is recorded", "[sql]") {
  Session db = database_with_extension("same");
  db.execute("CREATE TABLE t (a int PRIMARY KEY)");
  capture(db);
  CHECK(capture(db).empty());
  CHECK(db.query("SELECT change_count FROM deltaflood.captures ORDER BY id") == Rows{{"1"}, {"0"}});
  CHECK(db.scalar("SELECT count(*) FROM deltaflood.columns") == "1");
}

TEST_CASE("capture_schema: each change of a shape is told once, as what it is", "[sql]") {
  Session db = database_with_extension("shapes");
  db.execute(
      "CREATE TABLE t (a int PRIMARY KEY, b int, c text, d text NOT NULL, e int);"
      "CREATE TABLE gone (a int PRIMARY KEY)");
  capture(db);
  db.execute(
      "ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME b TO bb; ALTER TABLE u ALTER c TYPE "
      "varchar(9); ALTER TABLE u ALTER d DROP NOT NULL; ALTER TABLE u DROP e; ALTER TABLE u ADD f "
      "date DEFAULT '2026-11-21'; ALTER TABLE u REPLICA IDENTITY FULL; DROP TABLE gone");
  CHECK(capture(db) ==
        Changes{"public.u|table renamed|public.t|public.u",
                "public.u|replica identity|default|full", "public.u|identity key|a|-",
                "public.gone|table dropped|-|-", "public.u|bb|column renamed|b|bb",
                "public.u|c|type|text|character varying(9)", "public.u|d|not null|true|false",
                "public.u|e|column dropped|integer|-", "public.u|f|column added|-|date"});
  CHECK(capture(db).empty());
  // The past is kept: two states of the column, of which one is current.
  CHECK(db.query("SELECT type, until IS NULL FROM deltaflood.columns WHERE column_name = 'c' "
                 "ORDER BY since") == Rows{{"text", "f"}, {"character varying(9)", "t"}});
}

TEST_CASE("capture_schema: a table that loses its key stays in sight", "[sql]") {
  Session db = database_with_extension("keyloss");
  db.execute("CREATE TABLE t (a int PRIMARY KEY)");
  capture(db);
  db.execute("ALTER TABLE t DROP CONSTRAINT t_pkey");
  CHECK(capture(db) == Changes{"public.t|primary key|a|-", "public.t|identity key|a|-"});
}

TEST_CASE("capture_schema: patterns choose tables and leave the others as they were", "[sql]") {
  Session db = database_with_extension("patterns");
  db.execute(
      "CREATE SCHEMA ops; CREATE TABLE a_b (a int PRIMARY KEY); CREATE TABLE axb (a int PRIMARY "
      "KEY); CREATE TABLE ops.a (a int PRIMARY KEY); CREATE TABLE ops.b (a int PRIMARY KEY); "
      "CREATE TABLE keyless (a int); CREATE TABLE \"W.x\" (a int PRIMARY KEY)");
  CHECK(capture(db, "'a_b'") == Changes{"public.a_b|table added|-|-"});
  CHECK(capture(db, "'ops.*', 'keyless', '\"W.x\"'") ==
        Changes{"ops.a|table added|-|-", "ops.b|table added|-|-", "public.\"W.x\"|table added|-|-",
                "public.keyless|table added|-|-"});
  db.execute("DROP TABLE a_b; DROP TABLE ops.b");
  CHECK(capture(db, "'ops.*'") == Changes{"ops.b|table dropped|-|-"});
  CHECK(capture(db) == Changes{"public.axb|table added|-|-", "public.a_b|table dropped|-|-"});
  CHECK(message_of(db, "SELECT deltaflood.capture_schema('flihgts')") ==
        "could not run \"SELECT deltaflood.capture_schema('flihgts')\": no table matches pattern "
        "\"flihgts\" / A pattern is [schema.]table where * is any characters; without a "
        "schema it means public.");
}

TEST_CASE("capture_schema: a partition is seen with its root", "[sql]") {
  Session db = database_with_extension("partitions");
  db.execute(
      "CREATE TABLE root (a int PRIMARY KEY) PARTITION BY RANGE (a);"
      "CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (10)");
  capture(db);
  CHECK(db.query("SELECT table_name, partitioned, partition_of::regclass FROM deltaflood.tables "
                 "ORDER BY 1") == Rows{{"leaf", "f", "root"}, {"root", "t", std::nullopt}});
  db.execute("ALTER TABLE root DETACH PARTITION leaf");
  CHECK(capture(db) == Changes{"public.leaf|partition of|public.root|-"});
}

TEST_CASE("capture_schema: no name a user may choose is run as SQL", "[sql]") {
  Session db = database_with_extension("hostile");
  db.execute(
      "CREATE SCHEMA \"s'; DROP TABLE t; --\"; CREATE TABLE t (a int PRIMARY KEY);"
      "CREATE TABLE \"s'; DROP TABLE t; --\".\"x\"\"y\" (\"c'\\\" int PRIMARY KEY);"
      // In front of pg_catalog for whoever does not pin its search_path.
      "CREATE FUNCTION public.format_type(oid, integer) RETURNS text LANGUAGE sql AS "
      "$$SELECT 'fooled'$$; SET search_path = public, pg_catalog");
  CHECK(capture(db).size() == 2);
  CHECK(db.scalar("SELECT count(*) FROM deltaflood.columns WHERE type = 'integer'") == "2");
}

TEST_CASE("grant_stream: a role can open a replication connection and read the slots", "[sql]") {
  Session db = database_with_extension("stream");
  db.execute("REVOKE CONNECT ON DATABASE stream FROM PUBLIC; CREATE ROLE \"Stream er\"");
  CHECK(message_of(db, "SELECT deltaflood.grant_stream('nobody')") ==
        "could not run \"SELECT deltaflood.grant_stream('nobody')\": role \"nobody\" does not "
        "exist / CREATE ROLE nobody LOGIN REPLICATION;");
  const std::string conninfo = cluster().conninfo("stream", "Stream er");
  CHECK_THROWS(Session(conninfo));
  db.execute("SELECT deltaflood.grant_stream('Stream er')");
  db.execute("SELECT deltaflood.grant_stream('Stream er')");  // again changes nothing
  Session replication(conninfo + " replication=database");
  replication.execute("CREATE_REPLICATION_SLOT granted TEMPORARY LOGICAL test_decoding");
  Session plain(conninfo);
  CHECK(plain.query("SELECT plugin, database, active, temporary, retained_wal_bytes >= 0, "
                    "lag_bytes >= 0, wal_status FROM deltaflood.slots WHERE slot_name = "
                    "'granted'") ==
        Rows{{"test_decoding", "stream", "t", "t", "t", "t", "reserved"}});
  CHECK_THROWS_WITH(plain.execute("SELECT deltaflood.capture_schema()"),
                    Catch::Contains("permission denied"));
}

TEST_CASE("grant_stream: a caller who may not give REPLICATION is told who can", "[sql]") {
  Session db = database_with_extension("notsuper");
  db.execute(
      "CREATE ROLE owner_only LOGIN; CREATE ROLE wants LOGIN; GRANT USAGE ON SCHEMA deltaflood TO "
      "owner_only; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA deltaflood TO owner_only");
  Session owner(cluster().conninfo("notsuper", "owner_only"));
  CHECK(message_of(owner, "SELECT deltaflood.grant_stream('wants')") ==
        "could not run \"SELECT deltaflood.grant_stream('wants')\": role \"wants\" lacks "
        "REPLICATION, and you may not give it / Ask a superuser to run: ALTER ROLE wants "
        "REPLICATION;");
}

TEST_CASE("grant_seed: a role reads the named tables and no other", "[sql]") {
  Session db = database_with_extension("seed");
  db.execute(
      "CREATE ROLE \"mir'ror\" LOGIN; CREATE SCHEMA \"Ops s\"; CREATE TABLE \"Ops s\".\"t\"\"x\" "
      "(a int); CREATE TABLE t (a int); CREATE TABLE other (a int)");
  db.execute("SELECT deltaflood.grant_seed('mir''ror', 't', '\"Ops s\".\"t\"\"x\"')");
  db.execute("SELECT deltaflood.grant_seed('mir''ror', 't')");
  Session mirror(cluster().conninfo("seed", "mir'ror"));
  mirror.execute("BEGIN; LOCK TABLE t, \"Ops s\".\"t\"\"x\" IN ACCESS SHARE MODE; COMMIT");
  CHECK(mirror.scalar("SELECT count(*) FROM t") == "0");
  CHECK_THROWS_WITH(mirror.execute("SELECT FROM other"), Catch::Contains("permission denied"));
  CHECK_THROWS_WITH(mirror.execute("INSERT INTO t VALUES (1)"),
                    Catch::Contains("permission denied"));
  CHECK(message_of(db, "SELECT deltaflood.grant_seed('mir''ror')") ==
        "could not run \"SELECT deltaflood.grant_seed('mir''ror')\": function "
        "deltaflood.grant_seed(unknown) does not exist / No function matches the given name and "
        "argument types. You might need to add explicit type casts.");
}

TEST_CASE("grant_seed: row security that would hide rows is refused", "[sql]") {
  Session db = database_with_extension("rls");
  db.execute(
      "CREATE ROLE limited LOGIN; CREATE TABLE t (a int); ALTER TABLE t ENABLE ROW LEVEL "
      "SECURITY");
  CHECK(message_of(db, "SELECT deltaflood.grant_seed('limited', 't')") ==
        "could not run \"SELECT deltaflood.grant_seed('limited', 't')\": row security of table "
        "public.t would hide rows from role \"limited\" / A mirror holds all rows: ALTER ROLE "
        "limited BYPASSRLS; or mirror another table.");
  db.execute("ALTER ROLE limited BYPASSRLS; SELECT deltaflood.grant_seed('limited', 't')");
}

TEST_CASE("extension: the owner of a database installs it, and PUBLIC gets nothing", "[sql]") {
  cluster().execute("CREATE ROLE plain_owner LOGIN");
  cluster().create_database("owned", "OWNER plain_owner");
  Session owner(cluster().conninfo("owned", "plain_owner"));
  owner.execute("CREATE EXTENSION deltaflood; CREATE TABLE t (a int PRIMARY KEY)");
  CHECK(capture(owner) == Changes{"public.t|table added|-|-"});
  CHECK(owner.query("SELECT p.proname FROM pg_proc p WHERE p.pronamespace = "
                    "'deltaflood'::regnamespace AND has_function_privilege('public', p.oid, "
                    "'EXECUTE')") == Rows{});
  CHECK(owner.query("SELECT relname FROM pg_class WHERE relnamespace = 'deltaflood'::regnamespace "
                    "AND relkind IN ('r', 'v') AND has_table_privilege('public', oid, 'SELECT')") ==
        Rows{});
}

TEST_CASE("extension: as a plain script it makes the same objects", "[sql]") {
  database_with_extension("as_extension");
  cluster().create_database("as_script");
  cluster().execute("CREATE SCHEMA deltaflood", "as_script");
  const std::string script = read_file(SUPPORT_SQL_DIR "/deltaflood--0.1.0.sql");
  cluster().execute(script, "as_script");
  const std::string objects =
      "SELECT string_agg(format('%s %s', relkind, relname), ',' ORDER BY relname) FROM pg_class "
      "WHERE relnamespace = 'deltaflood'::regnamespace";
  CHECK(cluster().scalar(objects, "as_script") == cluster().scalar(objects, "as_extension"));
  cluster().execute("CREATE TABLE t (a int PRIMARY KEY); SELECT deltaflood.capture_schema()",
                    "as_script");
}

TEST_CASE("extension: pg_dump carries the captures", "[sql]") {
  Session db = database_with_extension("dumped");
  db.execute("CREATE TABLE t (a int PRIMARY KEY)");
  capture(db);
  const std::string dump = cluster().run_tool("pg_dump", {"-d", "dumped"});
  cluster().create_database("restored");
  cluster().run_tool("psql", {"-q", "-v", "ON_ERROR_STOP=1", "-d", "restored"}, {.input = dump});
  CHECK(cluster().scalar("SELECT count(*) FROM deltaflood.changes", "restored") == "1");
  cluster().execute("SELECT deltaflood.capture_schema()", "restored");
}
