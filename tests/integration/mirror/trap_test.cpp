// A role that may create a schema, or owns a table that is mirrored, and means to have its own code
// run by those who stream and mirror.
#include <catch2/catch.hpp>

#include "pipeline.h"

using namespace support;

namespace {

// Each tells the server's log that it was run, and by whom.
constexpr const char* kTell = "RAISE LOG 'trapped: % as %', '%s', current_user; RETURN NULL;";

// In the schema that is called as the role that looks for names: twins of PostgreSQL's operators
// and functions that fit arguments better than those for which it converts them.
std::string traps(const std::string& schema) {
  std::string sql = "CREATE SCHEMA " + schema + "; GRANT USAGE ON SCHEMA " + schema +
                    " TO PUBLIC; DO $do$ DECLARE o text; l text; r text; body text; n int := 0; "
                    "types text[] := "
                    "'{smallint,int,bigint,numeric,text,name,\"char\",oid,regclass}'; BEGIN FOR "
                    "o, l, r IN SELECT op, a, b FROM "
                    "unnest('{=,<>,<,<=,>,>=,+,-,*,/,||}'::text[]) op, unnest(types) a, "
                    "unnest(types) b WHERE NOT EXISTS (SELECT FROM pg_operator WHERE oprname = op "
                    "AND oprleft = a::regtype AND oprright = b::regtype) LOOP n := n + 1; body := "
                    "replace($b$" +
                    std::string(kTell) +
                    "$b$, '%s', format('%s %s %s', l, o, r)); EXECUTE format('CREATE FUNCTION " +
                    schema +
                    ".op%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN %s END $f$', n, l, r, "
                    "CASE WHEN o IN ('+', '-', '*', '/') THEN 'numeric' WHEN o = '||' THEN 'text' "
                    "ELSE 'boolean' END, body); EXECUTE format('CREATE OPERATOR " +
                    schema + ".%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = " + schema +
                    ".op%s)', o, l, r, n); END LOOP; END $do$;";
  for (const char* const signature :
       {"quote_ident(name)", "quote_literal(name)", "replace(name, text, text)", "lower(name)",
        "format(text, name)", "format(text, text)", "format(text, name, name)",
        "format(text, text, text)", "format(text, text, name)", "format(text, name, text)",
        "concat_ws(text, text, text)", "pg_size_pretty(int)"}) {
    std::string body = kTell;
    body.replace(body.find("%s"), 2, signature);
    sql += "CREATE FUNCTION " + schema + "." + signature +
           " RETURNS text LANGUAGE plpgsql AS $f$ BEGIN " + body + " END $f$;";
  }
  return sql;
}

struct Trapped : Pipeline {
  Trapped() : Pipeline({"dynamic_library_path = '$libdir'"}) { begin(); }
  explicit Trapped(const std::string& config) : Pipeline({config}) { begin(); }
  void begin() const {
    cluster.execute(
        "CREATE ROLE mallory LOGIN; GRANT CREATE ON DATABASE postgres TO mallory; CREATE TABLE "
        "a(id int PRIMARY KEY, v text); INSERT INTO a VALUES(1, 'x')");
  }
  void as_mallory(const std::string& sql) const {
    Session(cluster.conninfo("postgres", "mallory")).execute(sql);
  }
  // What was run of mallory's.
  Texts trapped() const {
    Texts lines;
    std::istringstream log(cluster.log_tail(50'000'000));
    for (std::string line; std::getline(log, line);) {
      const auto at = line.find("LOG:  trapped: ");
      if (at != std::string::npos) lines.push_back(line.substr(at));
    }
    return lines;
  }
  Texts deltamirror(const std::string& verb, const Texts& more) const {
    Texts argv = {program("deltamirror"), verb, mirror(), "-d", cluster.conninfo()};
    argv.insert(argv.end(), more.begin(), more.end());
    return argv;
  }
  std::string is_mallory_superuser() const {
    return cluster.scalar("SELECT rolsuper::text FROM pg_roles WHERE rolname = 'mallory'");
  }
};

}  // namespace

TEST_CASE("trap: no program runs what fits better in a schema that is called as its role",
          "[mirror][integration][security]") {
  const Trapped place("");
  place.as_mallory(traps("postgres"));
  // It would be run by whoever does not look to the path.
  place.cluster.execute("SELECT 1::numeric * 1::int");
  REQUIRE(place.trapped().size() == 1);
  place.cluster.execute("CREATE PUBLICATION flood FOR TABLE a");
  place.cluster.run_tool("psql", {"-q", "-h", place.cluster.socket_dir(), "-U", "postgres", "-f",
                                  SOURCE_ROOT "/sql/deltaflood_managed.sql"});
  place.cluster.execute("SELECT deltaflood.install('flood')");
  const std::string stream = place.stream();
  const std::string other = (place.dir / "other").string();
  const Texts ours = {
      program("deltastream"), "-d", place.cluster.conninfo(), "-S", "ours", "-D", stream};
  const Texts theirs = {program("deltastream"),
                        "-d",
                        place.cluster.conninfo(),
                        "-S",
                        "theirs",
                        "-D",
                        other,
                        "--source",
                        "pgoutput",
                        "--publication",
                        "flood"};
  const auto with = [](Texts argv, const Texts& more) {
    argv.insert(argv.end(), more.begin(), more.end());
    return argv;
  };
  for (const Texts& argv : {ours, theirs}) {
    const Result checked = run(with(argv, {"--check"}));
    INFO(checked.out << checked.err);
    CHECK(place.trapped().size() == 1);
  }
  const Process first(with(ours, {"--create-slot"}));
  const Process second(with(theirs, {"--create-slot"}));
  REQUIRE(eventually([&] {
    return std::filesystem::exists(std::filesystem::path(stream) / "durable") &&
           std::filesystem::exists(std::filesystem::path(other) / "durable");
  }));
  INFO(first.err() << second.err());
  CHECK(run(place.deltamirror("seed", {"--daystream", stream, "--table", "a"})).ok());
  Process runner(place.deltamirror("run", {"--daystream", stream}));
  place.cluster.execute("INSERT INTO a VALUES(2, 'y')");
  CHECK(eventually([&] { return place.value("SELECT count(*) FROM a") == "2"; }));
  CHECK(run(place.deltamirror("reseed", {"--table", "a"})).ok());
  CHECK(run(place.deltamirror("verify", {"--daystream", stream})).ok());
  CHECK(run(place.deltamirror("verify", {"--daystream", stream, "--sample", "100%"})).ok());
  run({program("deltamirror"), "doctor", place.mirror(), "-d", place.cluster.conninfo()});
  run({program("deltamirror"), "list", "-d", place.cluster.conninfo()});
  CHECK(run({program("deltamirror"), "config", "init", "-d", place.cluster.conninfo()}).ok());
  const std::string managed = (place.dir / "managed.db").string();
  const Texts up = {
      program("deltamirror"), "up",   managed, "-d", place.cluster.conninfo(), "--table", "a",
      "--publication",        "flood"};
  const Result checked = run(with(up, {"--check"}));
  INFO(checked.out << checked.err);
  CHECK(checked.ok());
  CHECK(place.trapped().size() == 1);
  INFO(place.trapped().back());
  CHECK(place.is_mallory_superuser() == "false");
}

TEST_CASE("trap: nobody calls what another has put into a schema deltaflood",
          "[mirror][integration][security]") {
  const Trapped place;
  place.as_mallory(
      "CREATE SCHEMA deltaflood; CREATE TABLE deltaflood.ddl(id int PRIMARY KEY); COMMENT ON "
      "TABLE deltaflood.ddl IS 'made by deltamirror up';CREATE FUNCTION deltaflood.take() RETURNS "
      "void LANGUAGE plpgsql AS $$ BEGIN ALTER ROLE mallory SUPERUSER; END $$;CREATE FUNCTION "
      "deltaflood.install(name) RETURNS bigint LANGUAGE sql AS 'SELECT deltaflood.take(); SELECT "
      "1::bigint';CREATE FUNCTION deltaflood.uninstall() RETURNS void LANGUAGE sql AS 'SELECT "
      "deltaflood.take()';CREATE FUNCTION deltaflood.claim(slot name, stream text, called text, "
      "adopt boolean) RETURNS void LANGUAGE sql AS 'SELECT deltaflood.take()';CREATE FUNCTION "
      "deltaflood.shapes(publication name DEFAULT NULL) RETURNS TABLE (relid oid, shape jsonb, "
      "hash text) LANGUAGE sql AS 'SELECT deltaflood.take(); SELECT 0::oid, ''{}''::jsonb, "
      "''''';CREATE FUNCTION deltaflood.changed() RETURNS bigint LANGUAGE sql AS 'SELECT "
      "deltaflood.take(); SELECT 1::bigint';CREATE FUNCTION deltaflood.repeat_shapes(relids "
      "oid[]) RETURNS bigint LANGUAGE sql AS 'SELECT deltaflood.take(); SELECT 1::bigint';CREATE "
      "FUNCTION deltaflood.trim(age interval DEFAULT '1 day') RETURNS bigint LANGUAGE sql AS "
      "'SELECT deltaflood.take(); SELECT 1::bigint'");
  const std::string said =
      "schema deltaflood belongs to role \"mallory\": what is in it would be run with the rights "
      "of role \"postgres\"";
  for (const Texts& more : {Texts{"--check"}, Texts{}}) {
    const Result up = run(place.deltamirror(
        "up", more.empty() ? Texts{"--table", "a"} : Texts{"--table", "a", more.front()}));
    INFO(up.out << up.err);
    CHECK_FALSE(up.ok());
    CHECK_THAT(up.out + up.err, Catch::Contains(said));
    CHECK(place.is_mallory_superuser() == "false");
  }
  place.cluster.execute("CREATE PUBLICATION flood FOR TABLE a, deltaflood.ddl");
  for (const char* const option : {"--check", "--create-slot"}) {
    const Result stream =
        run({program("deltastream"), "-d", place.cluster.conninfo(), "-S", "s", "-D",
             place.stream(), "--source", "pgoutput", "--publication", "flood", option});
    INFO(stream.out << stream.err);
    CHECK(stream.exit == Exit{3, 0});
    CHECK_THAT(stream.out + stream.err, Catch::Contains(said));
  }
  // As are functions of others in a schema of one's own.
  place.cluster.execute(
      "ALTER SCHEMA deltaflood OWNER TO postgres; ALTER TABLE deltaflood.ddl OWNER TO postgres");
  const Result up = run(place.deltamirror("up", {"--table", "a"}));
  INFO(up.out << up.err);
  CHECK_FALSE(up.ok());
  CHECK_THAT(up.err, Catch::Contains("function deltaflood.") &&
                         Catch::Contains("belongs to role \"mallory\""));
  CHECK(place.is_mallory_superuser() == "false");
  CHECK(place.cluster.scalar("SELECT count(*) FROM pg_replication_slots") == "0");
}

TEST_CASE("trap: a view that comes under a table's name while others are copied is not read",
          "[mirror][integration][security]") {
  Trapped place("");
  place.as_mallory(
      "CREATE SCHEMA s; CREATE TABLE s.t(id int PRIMARY KEY, v text, n int GENERATED ALWAYS AS "
      "(id + 1) STORED); INSERT INTO s.t(id, v) VALUES(1, 'x');CREATE FUNCTION s.trap() RETURNS "
      "boolean LANGUAGE plpgsql AS $f$ BEGIN RAISE LOG 'trapped: view as %', current_user; RETURN "
      "true; END $f$");
  place.start_stream();
  Session holder = place.cluster.session();
  holder.execute("SELECT pg_advisory_lock(1)");
  Process seeding(
      place.deltamirror("seed", {"--daystream", place.stream(), "--query",
                                 "SELECT pg_advisory_xact_lock_shared(1)::text AS waited", "--as",
                                 "held", "--table", "s.t"}));
  REQUIRE(eventually([&] {
    return place.cluster.scalar(
               "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == "1";
  }));
  place.as_mallory(
      "ALTER SCHEMA s RENAME TO was; CREATE SCHEMA s; CREATE VIEW s.t AS SELECT * FROM was.t "
      "WHERE was.trap(); GRANT USAGE ON SCHEMA s, was TO PUBLIC");
  holder.execute("SELECT pg_advisory_unlock(1)");
  const Exit end = seeding.wait();
  INFO(seeding.err());
  CHECK_FALSE(end == Exit{0, 0});
  CHECK_THAT(seeding.err(), Catch::Contains("access to non-system view \"t\" is restricted"));
  CHECK(place.trapped() == Texts{});
}

TEST_CASE("trap: a policy's function is not run by who may read columns",
          "[mirror][integration][security]") {
  Trapped place("");
  place.cluster.execute("CREATE ROLE reader LOGIN; GRANT pg_read_all_settings TO reader");
  place.as_mallory(
      "CREATE SCHEMA s; GRANT USAGE ON SCHEMA s TO PUBLIC; CREATE TABLE s.t(id int PRIMARY KEY, v "
      "text); GRANT SELECT (id, v) ON s.t TO reader;CREATE FUNCTION s.trap(int) RETURNS boolean "
      "IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN RAISE LOG 'trapped: policy as %', current_user; "
      "RETURN true; END $f$;ALTER TABLE s.t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON s.t "
      "USING (s.trap(1))");
  place.start_stream();
  const Result seeded =
      run({program("deltamirror"), "seed", place.mirror(), "--daystream", place.stream(), "-d",
           place.cluster.conninfo("postgres", "reader"), "--table", "s.t"});
  INFO(seeded.err);
  CHECK_FALSE(seeded.ok());
  CHECK_THAT(seeded.err, Catch::Contains("row-level security"));
  CHECK(place.trapped() == Texts{});
}
