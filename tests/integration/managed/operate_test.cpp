// Installing, upgrading, restoring and removing it, and what happens when it fails.
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "database.h"
#include "support/temp_dir.h"

using namespace managed_test;

TEST_CASE("managed: the file may be run again, and what it makes can be taken away", "[managed]") {
  Database db;
  db.execute("CREATE TABLE t (id int PRIMARY KEY)");
  db.written();
  const std::string objects =
      "SELECT string_agg(pg_describe_object(classid, objid, 0), ', ' ORDER BY "
      "pg_describe_object(classid, objid, 0)) FROM pg_depend "
      "WHERE refclassid = 'pg_namespace'::regclass AND refobjid = 'deltaflood'::regnamespace";
  const std::string made = db.scalar(objects);
  db.execute(managed_sql());
  db.execute("SELECT deltaflood.install('flood')");
  CHECK(db.scalar(objects) == made);
  CHECK(db.written() == Lines{});
  CHECK(db.scalar("SELECT string_agg(concat(evtname, ' ', evtenabled), ', ' ORDER BY 1) FROM "
                  "pg_event_trigger") ==
        "deltaflood_ddl A, deltaflood_drop A, deltaflood_rewrite A");
  // A major upgrade where event triggers must go, in between a change that none of them sees.
  db.execute("SELECT deltaflood.drop_triggers(); ALTER TABLE t ADD a int");
  CHECK(db.written() == Lines{});
  db.execute("SELECT deltaflood.create_triggers(), deltaflood.changed()");
  CHECK(db.written() == Lines{"shape t"});

  db.execute("SELECT deltaflood.uninstall()");
  CHECK(db.scalar("SELECT count(*) FROM pg_namespace WHERE nspname = 'deltaflood'") == "0");
  CHECK(db.scalar("SELECT count(*) FROM pg_event_trigger") == "0");
  db.execute("ALTER TABLE t ADD b int");
  db.execute(managed_sql());
}

TEST_CASE("managed: beside the extension, of which nothing is taken away", "[managed]") {
  Database db(false);
  db.execute("CREATE EXTENSION deltaflood");
  db.execute(managed_sql());
  db.execute("SELECT deltaflood.install('flood'); CREATE TABLE t (id int PRIMARY KEY)");
  db.execute("SELECT deltaflood.capture_schema()");
  db.execute("SELECT deltaflood.uninstall()");
  CHECK(db.scalar("SELECT count(*) FROM deltaflood.captures") == "1");
}

TEST_CASE("managed: install refuses a publication that would lose changes", "[managed]") {
  Database db(false);
  db.execute(managed_sql());
  support::Session session = db.session();
  CHECK(message_of(session, "SELECT deltaflood.install('no \"such')") ==
        "PostgreSQL refuses: publication \"no \"such\" does not exist / CREATE PUBLICATION \"no "
        "\"\"such\" FOR TABLE ..., or FOR ALL TABLES where you are superuser.");
  session.execute("CREATE PUBLICATION part WITH (publish = 'insert, update, delete')");
  CHECK(message_of(session, "SELECT deltaflood.install('part')") ==
        "PostgreSQL refuses: publication \"part\" does not publish all changes / ALTER PUBLICATION "
        "part SET (publish = 'insert, update, delete, truncate');");
  session.execute("CREATE PUBLICATION root WITH (publish_via_partition_root)");
  CHECK(message_of(session, "SELECT deltaflood.install('root')") ==
        "PostgreSQL refuses: publication \"root\" publishes by way of the partition root "
        "(PostgreSQL does not publish then that one partition is truncated.) / ALTER "
        "PUBLICATION root SET (publish_via_partition_root = false);");
}

TEST_CASE("managed: a failure of ours never stops a DDL command", "[managed]") {
  Database db;
  db.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)");
  db.written();
  db.execute("ALTER FUNCTION deltaflood.heads(name, oid[]) RENAME TO lost");
  db.execute("ALTER TABLE t ADD a int; DROP TABLE u");
  CHECK(db.written() == Lines{"error", "error"});
  db.execute("ALTER FUNCTION deltaflood.lost(name, oid[]) RENAME TO heads");
  // Whatever is written next, it says everything again.
  db.execute("CREATE TABLE v (id int)");
  CHECK(db.written() == Lines{"gone u", "shape t", "shape v"});
  CHECK(db.untrue() == Lines{});
  db.execute("ALTER TABLE v ADD a int");
  CHECK(db.written() == Lines{"shape v"});

  // Not even when it cannot write that.
  db.execute("ALTER TABLE deltaflood.ddl RENAME TO lost");
  db.execute("ALTER TABLE t ADD b int");
  db.execute("ALTER TABLE deltaflood.lost RENAME TO ddl");
  db.execute("SELECT deltaflood.changed()");
  CHECK(db.untrue() == Lines{});
}

TEST_CASE("managed: a command that may not wait until it can be noted is cancelled",
          "[managed][security]") {
  Database db;
  db.execute("CREATE TABLE t (id int PRIMARY KEY)");
  support::Session holder = db.session();
  support::Session migration = db.session();
  holder.execute("BEGIN; SELECT deltaflood.changed()");
  migration.execute("SET lock_timeout = '100ms'");
  for (const char* const sql : {"ALTER TABLE t ADD a int", "ALTER TABLE t ALTER id TYPE bigint",
                                "DROP TABLE t", "ALTER TABLE t DROP CONSTRAINT t_pkey"}) {
    CHECK(message_of(migration, sql).find("canceling statement due to lock timeout") !=
          std::string::npos);
  }
  holder.execute("COMMIT");
  CHECK(db.untrue() == Lines{});
  migration.execute("ALTER TABLE t ADD a int");
  CHECK(db.untrue() == Lines{});
  CHECK(db.scalar("SELECT count(*) FROM deltaflood.ddl WHERE kind = 'error'") == "0");
}

TEST_CASE("managed: session_replication_role does not silence it", "[managed]") {
  Database db;
  db.execute("SET session_replication_role = replica; CREATE TABLE t (id int PRIMARY KEY)");
  CHECK(db.written() == Lines{"shape t"});
}

TEST_CASE("managed: transactions side by side neither wait nor fail", "[managed]") {
  Database db;
  db.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)");
  support::Session first = db.session();
  support::Session second = db.session();
  int round = 0;
  for (const char* const level : {"READ COMMITTED", "REPEATABLE READ"}) {
    CAPTURE(level);
    ++round;
    for (support::Session* session : {&first, &second}) {
      session->execute("BEGIN ISOLATION LEVEL " + std::string(level) +
                       "; SET LOCAL lock_timeout = '20s'; SELECT count(*) FROM pg_class");
    }
    first.execute("ALTER TABLE t ADD IF NOT EXISTS a int; ALTER TABLE t DROP a");
    second.execute("ALTER TABLE u ADD IF NOT EXISTS a int; ALTER TABLE u DROP a");
    first.execute(fmt::format("ALTER TABLE t ADD b_{} int", round));
    second.execute(fmt::format("ALTER TABLE u ADD b_{} int", round));
    first.execute("COMMIT");
    second.execute(fmt::format("ALTER TABLE u ADD c_{} int", round));
    second.execute("COMMIT");
    CHECK(db.untrue() == Lines{});
  }
  // Two that cannot see each other change one table, by its type and by itself: what is wrong then
  // is mended by the next command.
  db.execute("CREATE TYPE color AS ENUM ('red'); ALTER TABLE t ADD c color");
  first.execute("BEGIN; ALTER TABLE t ADD e int");
  second.execute("BEGIN; SET LOCAL lock_timeout = '20s'; ALTER TYPE color ADD VALUE 'blue'");
  first.execute("COMMIT");
  second.execute("COMMIT");
  CHECK(db.untrue() == Lines{"t"});
  db.execute("SELECT deltaflood.changed()");
  CHECK(db.untrue() == Lines{});
}

TEST_CASE("managed: changed() alone, where event triggers may not be made", "[managed]") {
  Database db(false);
  db.execute(
      "DROP PUBLICATION flood; DROP ROLE IF EXISTS manager; CREATE ROLE manager LOGIN; "
      "GRANT CREATE ON DATABASE " +
      db.name() + " TO manager; GRANT CREATE ON SCHEMA public TO manager");
  support::Session manager = db.session("manager");
  manager.execute(
      "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int); CREATE PUBLICATION flood "
      "FOR TABLE t");
  manager.execute(managed_sql());
  CHECK(manager.scalar("SELECT deltaflood.create_triggers()") == "f");
  CHECK(manager.scalar("SELECT deltaflood.install('flood')") == "1");
  CHECK(db.written() == Lines{"shape t"});
  manager.execute("BEGIN; ALTER TABLE t ADD a int; SELECT deltaflood.changed(); COMMIT");
  CHECK(db.written() == Lines{"shape t"});
  manager.execute("ALTER TABLE t ADD b int");
  CHECK(db.written() == Lines{});
  CHECK(manager.scalar("SELECT deltaflood.changed()") == "1");
  CHECK(manager.scalar("SELECT deltaflood.changed()") == "0");
  CHECK(db.untrue() == Lines{});
  manager.execute("SELECT deltaflood.uninstall()");
  db.execute("DROP OWNED BY manager; DROP ROLE manager");
}

TEST_CASE("managed: the role of a stream needs no more than grant_source() gives", "[managed]") {
  Database db;
  db.execute(
      "DROP ROLE IF EXISTS streamer; CREATE ROLE streamer LOGIN; SELECT "
      "deltaflood.grant_source('streamer'); CREATE TYPE color AS ENUM ('red'); CREATE TABLE t (id "
      "int PRIMARY KEY, c color); CREATE TABLE u (id int PRIMARY KEY)");
  db.written();
  support::Session streamer = db.session("streamer");
  CHECK(streamer.scalar("SELECT count(*) FROM deltaflood.shapes('flood')") == "2");
  CHECK(streamer.scalar("SELECT deltaflood.changed()") == "0");
  CHECK(streamer.scalar("SELECT deltaflood.repeat_shapes(NULL)") == "2");
  CHECK(streamer.scalar("SELECT deltaflood.repeat_shapes(ARRAY['u'::regclass])") == "1");
  CHECK(db.written() == Lines{"shape t", "shape u", "shape u"});
  CHECK(streamer.scalar("SELECT deltaflood.trim('-1 s')") == "3");
  CHECK_THROWS(streamer.execute("INSERT INTO deltaflood.ddl (kind) VALUES ('error')"));
  CHECK_THROWS(streamer.execute("SELECT deltaflood.install('flood')"));

  // Behind the DDL of a transaction that is not over.
  support::Session other = db.session();
  other.execute("BEGIN; ALTER TABLE t ADD a int");
  streamer.execute("SET lock_timeout = '100ms'");
  CHECK(message_of(streamer, "SELECT deltaflood.repeat_shapes(NULL)").find("lock timeout") !=
        std::string::npos);
  CHECK(message_of(streamer, "SELECT deltaflood.changed()").find("lock timeout") !=
        std::string::npos);
  // A migration's own call waits for nobody.
  db.execute(
      "BEGIN; ALTER TABLE u ADD a int; SET LOCAL lock_timeout = '20s'; SELECT "
      "deltaflood.changed(); COMMIT");
  other.execute("COMMIT");
  streamer.execute("RESET lock_timeout");
  CHECK(streamer.scalar("SELECT deltaflood.repeat_shapes(NULL)") == "2");
  CHECK(db.untrue() == Lines{});
  db.execute("DROP OWNED BY streamer; DROP ROLE streamer");
}

TEST_CASE("managed: a restored database", "[managed]") {
  Database db;
  db.execute(
      "CREATE TYPE color AS ENUM ('red'); CREATE TABLE t (id int PRIMARY KEY, c color); CREATE "
      "TABLE u (id int PRIMARY KEY); DROP TABLE u");
  const support::TempDir dir;
  const std::string dump =
      cluster().run_tool("pg_dump", {"-d", cluster().conninfo(db.name()), "--create"});
  // Into the same cluster, under another name.
  const std::string copy = db.name() + "_restored";
  cluster().create_database(copy);
  cluster().run_tool(
      "psql", {"-d", cluster().conninfo(copy), "-v", "ON_ERROR_STOP=1", "-q"},
      {.input = cluster().run_tool("pg_dump", {"-d", cluster().conninfo(db.name())})});
  CHECK(cluster().scalar("SELECT count(*) FROM pg_event_trigger WHERE evtenabled = 'A'", copy) ==
        "3");
  // The rows of the other database are there, and say by their transaction that they are not of
  // this one: no row here was written by the transaction that it names.
  CHECK(cluster().scalar("SELECT count(*) > 0 AND bool_and(xid::text <> xmin::text) FROM "
                         "deltaflood.ddl",
                         copy) == "t");
  cluster().execute("SELECT deltaflood.install('flood')", copy);
  CHECK(cluster().query(
            "SELECT s.relid::regclass::text, n.kind, n.hash = s.hash FROM deltaflood.shapes() s "
            "LEFT JOIN LATERAL (SELECT * FROM deltaflood.ddl d WHERE d.relid = s.relid AND kind IN "
            "('shape', 'gone') ORDER BY id DESC LIMIT 1) n ON true",
            copy) == support::Rows{{"t", "shape", "t"}});
  cluster().execute("ALTER TABLE t ADD a int", copy);
  CHECK(cluster().scalar("SELECT count(*) FROM deltaflood.ddl WHERE relid = 't'::regclass AND "
                         "kind = 'shape'",
                         copy) == "2");
}

TEST_CASE("managed: trim keeps what is needed", "[managed]") {
  Database db;
  db.execute(
      "CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE t ADD a int; ALTER TABLE t ALTER a TYPE "
      "bigint; CREATE TABLE u (id int); DROP TABLE u; CREATE TABLE w (id int); ALTER TABLE w SET "
      "UNLOGGED");
  CHECK(db.scalar("SELECT deltaflood.trim()") == "0");
  CHECK(db.scalar("SELECT deltaflood.trim('-1 s')") == "7");
  CHECK(db.written() == Lines{"shape t", "gone"});
  CHECK(db.untrue() == Lines{});
}

TEST_CASE("managed: hundreds of tables", "[managed]") {
  Database db;
  db.execute(
      "DO $$ BEGIN FOR i IN 1..500 LOOP EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, a "
      "text, b text, c text)', i); IF i % 50 = 0 THEN COMMIT; END IF; END LOOP; END $$");
  CHECK(db.scalar("SELECT count(*) FROM deltaflood.ddl WHERE kind = 'shape'") == "500");
  CHECK(db.untrue() == Lines{});
  db.written();
  db.execute("ALTER TABLE t17 ADD d int");
  CHECK(db.written() == Lines{"shape t17"});
  db.execute("CREATE SCHEMA s; ALTER TABLE t18 SET SCHEMA s; ALTER SCHEMA s RENAME TO r");
  CHECK(db.written() == Lines{"shape s.t18", "shape r.t18"});
}
