// Whoever may run DDL runs our functions as their owner: nothing of theirs may be run in them.
#include <catch2/catch.hpp>

#include "database.h"

using namespace managed_test;

namespace {

// Twins of what the file uses, in schema `trap`: each tells in public.ran that it was run, and as
// whom.
std::string trap() {
  std::string sql =
      "CREATE TABLE IF NOT EXISTS public.ran (what text); ALTER TABLE public.ran REPLICA IDENTITY "
      "FULL; GRANT ALL ON public.ran TO PUBLIC;"
      "CREATE SCHEMA trap; GRANT ALL ON SCHEMA trap TO PUBLIC;"
      "CREATE FUNCTION trap.tell(what text) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN INSERT "
      "INTO public.ran VALUES (what || ' as ' || current_user); RETURN true; END $f$;";
  const auto function = [&](const std::string& signature, const std::string& returns) {
    sql += "CREATE FUNCTION trap." + signature + " RETURNS " + returns +
           " LANGUAGE plpgsql AS $f$ BEGIN PERFORM trap.tell('" + signature +
           "'); RETURN NULL; "
           "END $f$;";
  };
  for (const char* const signature :
       {"quote_ident(name)", "format_type(oid, int4)", "concat(text)", "to_jsonb(name)",
        "split_part(text, text, int4)", "array_to_string(oid[], text)", "current_setting(text)",
        "format(text, name)"}) {
    function(signature, "text");
  }
  function("age(xid)", "int4");
  function("cardinality(oid[])", "int4");
  function("hash_record_extended(record, int8)", "int8");
  function("jsonb_hash_extended(jsonb, int8)", "int8");
  function("pg_event_trigger_table_rewrite_oid()", "oid");
  function("now()", "timestamptz");
  function("clock_timestamp()", "timestamptz");
  function("pg_current_xact_id()", "xid8");
  function("made_of(oid)", "oid[]");
  int number = 0;
  struct Operator {
    const char *name, *left, *right, *returns;
  };
  for (const Operator& o : {Operator{"=", "oid", "oid", "boolean"},
                            {"=", "name", "name", "boolean"},
                            {"=", "text", "text", "boolean"},
                            {"=", "\"char\"", "\"char\"", "boolean"},
                            {"=", "name", "text", "boolean"},
                            {"<>", "text", "text", "boolean"},
                            {"<>", "oid", "oid", "boolean"},
                            {"<=", "int4", "int4", "boolean"},
                            {">=", "int4", "int4", "boolean"},
                            {">=", "oid", "oid", "boolean"},
                            {">", "int8", "int8", "boolean"},
                            {"<", "int8", "int8", "boolean"},
                            {"=", "xid8", "xid8", "boolean"},
                            {"-", "int4", "int4", "int4"},
                            {"~~", "text", "text", "boolean"},
                            {"||", "jsonb", "jsonb", "jsonb"},
                            {"||", "text", "text", "text"}}) {
    const std::string name = "op" + std::to_string(++number);
    function(name + "(" + o.left + ", " + o.right + ")", o.returns);
    sql += "CREATE OPERATOR trap." + std::string(o.name) + " (LEFTARG = " + o.left +
           ", RIGHTARG = " + o.right + ", FUNCTION = trap." + name + ");";
  }
  for (const char* const type : {"name", "text", "oid", "regclass", "int8", "jsonb"}) {
    sql += "CREATE DOMAIN trap.\"" + std::string(type) + "\" AS pg_catalog." + type +
           " CHECK (trap.tell('type'));";
  }
  return sql +
         "CREATE VIEW trap.pg_class AS SELECT trap.tell('view');"
         "CREATE VIEW trap.pg_publication AS SELECT trap.tell('view');";
}

constexpr const char* kWorstPath = "SET search_path = trap, pg_catalog, public;";

}  // namespace

TEST_CASE("security: nothing that stands in the search_path is run", "[managed][security]") {
  Database db(false);
  db.execute(
      "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mallory') THEN "
      "CREATE ROLE mallory LOGIN; END IF; END $$; GRANT CREATE ON SCHEMA public TO mallory; "
      "GRANT CREATE ON DATABASE " +
      db.name() + " TO mallory");
  support::Session mallory = db.session("mallory");
  db.execute(trap());
  support::Session admin = db.session();
  admin.execute(kWorstPath);
  admin.execute(managed_sql());
  CHECK(admin.scalar("SHOW search_path") == "trap, pg_catalog, public");
  admin.execute("SELECT deltaflood.install('flood')");
  mallory.execute(kWorstPath);
  // Also in a place that comes before all others unless it is named.
  mallory.execute("CREATE TEMP VIEW pg_class AS SELECT trap.tell('temporary')");
  mallory.execute("DELETE FROM public.ran");
  for (support::Session* session : {&mallory, &admin}) {
    session->execute(
        "CREATE TYPE public.e AS ENUM ('a'); CREATE TABLE public.t (id int PRIMARY KEY, e "
        "public.e); ALTER TYPE public.e ADD VALUE 'b'; ALTER TABLE public.t ALTER id TYPE bigint; "
        "ALTER TABLE public.t DROP CONSTRAINT t_pkey; DROP TABLE public.t; DROP TYPE public.e");
  }
  admin.execute(
      "SELECT deltaflood.changed(), deltaflood.trim('-1 s'); SELECT * FROM deltaflood.shapes(); "
      "SELECT deltaflood.drop_triggers(), deltaflood.create_triggers()");
  CHECK(db.scalar("SELECT count(*) FROM deltaflood.ddl WHERE kind = 'error'") == "0");
  CHECK(db.query("SELECT DISTINCT what FROM public.ran") == support::Rows{});
  admin.execute("SELECT deltaflood.uninstall()");
  CHECK(db.query("SELECT DISTINCT what FROM public.ran") == support::Rows{});
}

TEST_CASE("security: names of users' objects are never code", "[managed][security]") {
  Database db;
  db.execute(
      "CREATE SCHEMA \"x'; SELECT 1/0; --\"; CREATE TYPE \"x'; SELECT 1/0; --\".\"%I\" AS ENUM "
      "($$'); DROP TABLE deltaflood.ddl; --$$); CREATE TABLE \"x'; SELECT 1/0; --\".\"$1 %s \\\" "
      "(\"'||(SELECT 1/0)||'\" \"x'; SELECT 1/0; --\".\"%I\")");
  CHECK(db.untrue() == Lines{});
  CHECK(db.scalar("SELECT count(*) FROM deltaflood.ddl WHERE kind = 'error'") == "0");
  db.execute(
      "CREATE PUBLICATION \"p; DROP TABLE deltaflood.ddl\" FOR TABLE \"x'; SELECT 1/0; "
      "--\".\"$1 %s \\\"; SELECT deltaflood.install('p; DROP TABLE deltaflood.ddl')");
  CHECK(db.untrue() == Lines{});
}

TEST_CASE("security: PUBLIC has no rights, and every function looks names up in pg_catalog alone",
          "[managed][security]") {
  Database db;
  CHECK(db.query("SELECT proname FROM pg_proc WHERE pronamespace = 'deltaflood'::regnamespace AND "
                 "'search_path=pg_catalog, pg_temp' <> ALL (coalesce(proconfig, '{}'))") ==
        support::Rows{});
  CHECK(db.query("SELECT proname FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f', "
                 "proowner))) a WHERE pronamespace = 'deltaflood'::regnamespace AND a.grantee = "
                 "0") == support::Rows{});
  CHECK(db.query("SELECT relname FROM pg_class c, aclexplode(relacl) a WHERE relnamespace = "
                 "'deltaflood'::regnamespace AND a.grantee = 0") == support::Rows{});
  db.execute(
      "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mallory') THEN "
      "CREATE ROLE mallory LOGIN; END IF; END $$");
  support::Session mallory = db.session("mallory");
  for (const char* const sql :
       {"SELECT deltaflood.changed()", "SELECT deltaflood.trim('0')",
        "INSERT INTO deltaflood.ddl (kind) VALUES ('error')", "SELECT * FROM deltaflood.ddl",
        "SELECT nextval('deltaflood.ddl_id_seq')", "SELECT * FROM deltaflood.shapes()"}) {
    CHECK(message_of(mallory, sql).find("permission denied for schema deltaflood") !=
          std::string::npos);
  }
  db.execute("GRANT USAGE ON SCHEMA deltaflood TO mallory");
  CHECK(message_of(mallory, "SELECT deltaflood.changed()")
            .find("permission denied for function changed") != std::string::npos);
  db.execute("GRANT EXECUTE ON FUNCTION deltaflood.changed() TO mallory");
  CHECK(mallory.scalar("SELECT deltaflood.changed()") == "0");
  db.execute("DROP OWNED BY mallory");
}

TEST_CASE("security: a schema that somebody else has prepared is refused", "[managed][security]") {
  Database db(false);
  db.execute(
      "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mallory') THEN "
      "CREATE ROLE mallory LOGIN; END IF; END $$; CREATE SCHEMA deltaflood AUTHORIZATION "
      "mallory");
  support::Session admin = db.session();
  CHECK(message_of(admin, managed_sql()) ==
        "PostgreSQL refuses: schema \"deltaflood\" is owned by role \"mallory\" / Run this as that "
        "role, or look what is in the schema and drop it.");
  admin.execute(
      "ROLLBACK; ALTER SCHEMA deltaflood OWNER TO CURRENT_USER; GRANT CREATE ON SCHEMA "
      "deltaflood TO mallory");
  CHECK(message_of(admin, managed_sql())
            .find("schema \"deltaflood\" lets others than its owner create objects / REVOKE") !=
        std::string::npos);
  admin.execute(
      "ROLLBACK; REVOKE CREATE ON SCHEMA deltaflood FROM mallory; CREATE TABLE "
      "deltaflood.ddl (id int); ALTER TABLE deltaflood.ddl OWNER TO mallory");
  CHECK(message_of(admin, managed_sql()) ==
        "PostgreSQL refuses: table deltaflood.ddl is not owned by the owner of schema "
        "\"deltaflood\" / Look what it is, and drop it.");
  admin.execute("ROLLBACK; DROP SCHEMA deltaflood CASCADE");
  CHECK(message_of(admin, managed_sql()) == "no error");
}
