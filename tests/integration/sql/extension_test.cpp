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
        "PostgreSQL refuses: no table matches pattern "
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
        "PostgreSQL refuses: role \"nobody\" does not "
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
        "PostgreSQL refuses: role \"wants\" lacks "
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
        "PostgreSQL refuses: function "
        "deltaflood.grant_seed(unknown) does not exist / No function matches the given name and "
        "argument types. You might need to add explicit type casts.");
}

TEST_CASE("grant_seed: row security that would hide rows is refused", "[sql]") {
  Session db = database_with_extension("rls");
  db.execute(
      "CREATE ROLE limited LOGIN; CREATE TABLE t (a int); ALTER TABLE t ENABLE ROW LEVEL "
      "SECURITY");
  CHECK(message_of(db, "SELECT deltaflood.grant_seed('limited', 't')") ==
        "PostgreSQL refuses: row security of table "
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

// ---- what others may have planted ---------------------------------------------------------------

namespace {

// Twins of what the script uses, in schema `schema`, as a better match where there is one: each
// tells in `public.ran` that it was run. Types too, as a name of a type may run its constraint.
std::string hostile(const std::string& schema) {
  const auto in = [&schema](std::string text) {
    for (auto at = text.find("$S"); at != std::string::npos; at = text.find("$S")) {
      text.replace(at, 2, schema);
    }
    return text;
  };
  std::string sql =
      in("CREATE FUNCTION $S.tell(what text) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN "
         "INSERT INTO public.ran VALUES (what || ' as ' || current_user); RETURN true; "
         "EXCEPTION WHEN OTHERS THEN RAISE EXCEPTION 'hostile code ran'; END $f$;"
         "CREATE FUNCTION $S.step(name[], name) RETURNS name[] LANGUAGE plpgsql AS $f$ BEGIN "
         "PERFORM $S.tell('array_agg'); RETURN $1 || $2; END $f$;"
         "CREATE AGGREGATE $S.array_agg(name) (SFUNC = $S.step, STYPE = name[], INITCOND = '{}');"
         "CREATE FUNCTION $S.step(oid[], oid) RETURNS oid[] LANGUAGE plpgsql AS $f$ BEGIN "
         "PERFORM $S.tell('array_agg'); RETURN $1 || $2; END $f$;"
         "CREATE AGGREGATE $S.array_agg(oid) (SFUNC = $S.step, STYPE = oid[], INITCOND = '{}');");
  const auto function = [&](const std::string& signature, const std::string& returns) {
    sql += in("CREATE FUNCTION $S." + signature + " RETURNS " + returns +
              " LANGUAGE plpgsql AS $f$ BEGIN PERFORM $S.tell('" + signature + "'); RETURN " +
              (returns.starts_with("SETOF") ? "" : "NULL") + "; END $f$;");
  };
  for (const char* signature :
       {"unnest(int2[])", "unnest(oid[])", "unnest(regclass[])", "unnest(text[])"}) {
    function(signature, "SETOF int2");
  }
  for (const char* signature :
       {"format(text)", "format(text, name)", "format(text, name, name)", "quote_ident(name)",
        "strpos(text, text)", "replace(text, text, text)", "array_to_string(name[], text)",
        "concat_ws(text, text, text)", "pg_get_expr(pg_node_tree, oid)", "format_type(oid, int4)",
        "pg_size_pretty(numeric)", "current_database()", "pg_get_userbyid(oid)"}) {
    function(signature, "text");
  }
  for (const char* signature : {"pg_is_in_recovery()", "pg_has_role(name, oid, text)",
                                "matches(name, name, varchar)", "need_role(text, boolean)"}) {
    function(signature, "boolean");
  }
  function("cardinality(oid[])", "int4");
  function("cardinality(regclass[])", "int4");
  function("pg_current_wal_lsn()", "pg_lsn");
  function("clock_timestamp()", "timestamptz");
  function("set_config(text, text, boolean)", "text");
  function("aclexplode(aclitem[])", "text");
  int number = 0;
  for (const char* operands :
       {"= name text",     "= name name",     "= oid oid",    "= \"char\" \"char\"",
        "= \"char\" text", "= int2 int2",     "= int2 int8",  "<> name name",
        "<> name text",    "<> text text",    "<> oid oid",   "<> \"char\" \"char\"",
        "!~ name text",    "!~ name name",    "~~ text text", "~~ name text",
        "= text text",     "= text[] text[]", "> int2 int4",  "> int4 int4",
        "= bool bool"}) {
    const std::string_view text = operands;
    const auto first = text.find(' ');
    const auto second = text.find(' ', first + 1);
    const std::string name(text.substr(0, first));
    const std::string left(text.substr(first + 1, second - first - 1));
    const std::string right(text.substr(second + 1));
    const std::string f = "op" + std::to_string(++number);
    function(f + "(" + left + ", " + right + ")", "boolean");
    sql += in("CREATE OPERATOR $S." + name + " (LEFTARG = " + left + ", RIGHTARG = " + right +
              ", FUNCTION = $S." + f + ");");
  }
  for (const char* type : {"name", "text", "oid", "regclass", "pg_lsn"}) {
    sql += in("CREATE DOMAIN $S.\"" + std::string(type) + "\" AS pg_catalog." + type +
              " CHECK ($S.tell('type'));");
  }
  return sql + in("CREATE VIEW $S.pg_class AS SELECT $S.tell('view');");
}

// A database in which role `intruder` may create schemas, and no more.
Session database_with_intruder(const std::string& name) {
  cluster().create_database(name);
  cluster().execute(
      "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'intruder') THEN CREATE "
      "ROLE intruder LOGIN; END IF; END $$; GRANT CREATE ON DATABASE " +
          name +
          " TO intruder; CREATE TABLE public.ran (what text); GRANT ALL ON public.ran TO "
          "PUBLIC; CREATE TABLE t (a int PRIMARY KEY, b text DEFAULT 'x')",
      name);
  return Session(cluster().conninfo(name, "intruder"));
}

// Everything of ours is used by a superuser, and nothing planted has run.
void use_everything(Session& session) {
  session.execute(
      "CREATE ROLE reader_of_it LOGIN; SELECT deltaflood.capture_schema();"
      "ALTER TABLE public.t ADD c int; SELECT deltaflood.capture_schema('t', 'public.*');"
      "SELECT * FROM deltaflood.live_tables; SELECT * FROM deltaflood.live_columns;"
      "SELECT * FROM deltaflood.slots; SELECT deltaflood.grant_stream('reader_of_it');"
      "SELECT deltaflood.grant_seed('reader_of_it', 'public.t')");
  CHECK(session.query("SELECT what FROM public.ran") == Rows{});
  session.execute("DROP OWNED BY reader_of_it; DROP ROLE reader_of_it");
}

}  // namespace

TEST_CASE("extension: a schema that somebody else has prepared is refused", "[sql][security]") {
  Session intruder = database_with_intruder("prepared_schema");
  intruder.execute("CREATE SCHEMA deltaflood;" + hostile("deltaflood"));
  Session admin = cluster().session("prepared_schema");
  CHECK(message_of(admin, "CREATE EXTENSION deltaflood") ==
        "PostgreSQL refuses: schema \"deltaflood\" is owned by role "
        "\"intruder\" / Look what is in it, then DROP SCHEMA deltaflood, or make it yours: ALTER "
        "SCHEMA deltaflood OWNER TO CURRENT_USER.");
  CHECK_THROWS(admin.execute(read_file(SUPPORT_SQL_DIR "/deltaflood--0.1.0.sql")));
  // Made the superuser's, it still holds what was planted; and who may add to it could do so later.
  admin.execute("ALTER SCHEMA deltaflood OWNER TO CURRENT_USER");
  CHECK(message_of(admin, "CREATE EXTENSION deltaflood").find("is not empty") != std::string::npos);
  admin.execute(
      "DROP SCHEMA deltaflood CASCADE; CREATE SCHEMA deltaflood; GRANT CREATE ON SCHEMA "
      "deltaflood TO intruder");
  CHECK(message_of(admin, "CREATE EXTENSION deltaflood").find("lets others than its owner") !=
        std::string::npos);
  CHECK(admin.query("SELECT what FROM public.ran") == Rows{});
  admin.execute("REVOKE CREATE ON SCHEMA deltaflood FROM intruder; CREATE EXTENSION deltaflood");
  use_everything(admin);
}

TEST_CASE("extension: nothing that stands in the search_path is run", "[sql][security]") {
  const std::string script = read_file(SUPPORT_SQL_DIR "/deltaflood--0.1.0.sql");
  for (const bool as_script : {false, true}) {
    CAPTURE(as_script);
    Session intruder =
        database_with_intruder(as_script ? "hostile_path_script" : "hostile_path_extension");
    intruder.execute("CREATE SCHEMA trap;" + hostile("trap") +
                     "GRANT USAGE ON SCHEMA trap TO PUBLIC");
    Session admin = cluster().session(as_script ? "hostile_path_script" : "hostile_path_extension");
    // The worst path there can be. CREATE SCHEMA itself asks nothing of it.
    admin.execute("SET search_path = trap, pg_catalog, public");
    if (as_script) {
      admin.execute("CREATE SCHEMA deltaflood");
      admin.execute(script);
    } else {
      admin.execute("CREATE EXTENSION deltaflood");
      CHECK(admin.scalar("SHOW search_path") == "trap, pg_catalog, public");
    }
    admin.execute("SET search_path = trap, pg_catalog, public");
    use_everything(admin);
  }
}

TEST_CASE("extension: views and functions depend on pg_catalog and our schema alone",
          "[sql][security]") {
  Session db = database_with_extension("dependencies");
  // pg_depend does not list what the server itself needs, which is pg_catalog's: the rest is ours.
  CHECK(db.query("SELECT pg_describe_object(d.classid, d.objid, 0), i.identity "
                 "FROM pg_depend d, pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid) i "
                 "WHERE (d.classid = 'pg_rewrite'::regclass AND d.objid IN (SELECT r.oid FROM "
                 "pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE c.relnamespace = "
                 "'deltaflood'::regnamespace) OR d.classid = 'pg_proc'::regclass AND d.objid IN "
                 "(SELECT oid FROM pg_proc WHERE pronamespace = 'deltaflood'::regnamespace)) "
                 "AND coalesce(i.schema, i.name) NOT IN ('deltaflood', 'pg_catalog', 'plpgsql')") ==
        Rows{});
  // What stands in a function's body is looked up when it runs: in pg_catalog, or by our name.
  CHECK(db.query("SELECT proname, prosecdef, proconfig FROM pg_proc WHERE pronamespace = "
                 "'deltaflood'::regnamespace AND (prosecdef OR proconfig IS DISTINCT FROM "
                 "ARRAY['search_path=pg_catalog, pg_temp'])") == Rows{});
}
