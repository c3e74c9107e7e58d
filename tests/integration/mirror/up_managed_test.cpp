// `deltamirror up` at a server that does not have our plugin: it goes by PostgreSQL's own, and
// `down` takes away what that needed.
#include <catch2/catch.hpp>
#include <csignal>

#include "pipeline.h"

using namespace support;
namespace fs = std::filesystem;

namespace {

const std::string kNoFile = "dynamic_library_path = '$libdir'";
const std::string kNotAllowed = "output_plugin_libraries = 'pgoutput, test_decoding'";

// A server as a service has it, and the role that it gives people.
struct Managed : Pipeline {
  explicit Managed(const std::string& config = kNoFile) : Pipeline({config}) {
    cluster.execute("CREATE ROLE owner LOGIN REPLICATION; CREATE ROLE other LOGIN");
    cluster.create_database("app", "OWNER owner");
    cluster.execute("GRANT ALL ON SCHEMA public TO owner", "app");
    execute(
        "CREATE TABLE a(id int PRIMARY KEY, v text); INSERT INTO a VALUES(1, 'x');"
        "CREATE TABLE b(id int PRIMARY KEY); INSERT INTO b VALUES(1), (2);"
        "CREATE TABLE keyless(v int)");
  }
  void execute(const std::string& sql) const {
    Session(cluster.conninfo("app", "owner")).execute(sql);
  }
  Texts command(const std::string& name, const Texts& more, const std::string& user) const {
    Texts argv = {program("deltamirror"), name, mirror(), "-d", cluster.conninfo("app", user)};
    argv.insert(argv.end(), more.begin(), more.end());
    return argv;
  }
  Texts up(const Texts& more, const std::string& user = "owner") const {
    return command("up", more, user);
  }
  Result down(const std::string& user = "owner") const {
    return run(command("down", {"--yes"}, user));
  }
  std::string found(const std::string& what) const { return cluster.scalar(what, "app"); }
  // Publications, slots, and what the SQL makes.
  std::string at_the_server() const {
    return found(
        "SELECT concat_ws(' ', (SELECT count(*) FROM pg_publication), (SELECT count(*) FROM "
        "pg_replication_slots), (SELECT count(*) FROM pg_namespace WHERE nspname = 'deltaflood'), "
        "(SELECT count(*) FROM pg_event_trigger))");
  }
  // Starts it, waits until it has what is committed by now, and looks at it. What it said.
  std::string follow(const Texts& more, const std::function<void(Process&)>& meanwhile,
                     const std::string& user = "owner") const {
    Process process(up(more, user));
    const bool follows =
        eventually([&] { return fs::exists(mirror() + ".sock") || !process.running(); });
    INFO(process.err());
    REQUIRE(follows);
    REQUIRE(process.running());
    meanwhile(process);
    process.signal(SIGTERM);
    CHECK(process.wait() == Exit{0, 0});
    return process.err();
  }
  bool becomes(const std::string& sql, const std::string& wanted) const {
    return eventually([&] { return value(sql) == wanted; });
  }
};

}  // namespace

TEST_CASE("up: goes by PostgreSQL's own plugin where ours is not there, and down undoes it",
          "[mirror][integration][up][managed]") {
  const std::string missing = GENERATE(kNoFile, kNotAllowed);
  CAPTURE(missing);
  const Managed place(missing);
  const std::string said = place.follow({"--table", "a"}, [&](const Process&) {
    place.execute("INSERT INTO a VALUES(2, 'y'); UPDATE a SET v = 'z' WHERE id = 1");
    CHECK(place.becomes("SELECT group_concat(v) FROM a", "z,y"));
  });
  CHECK_THAT(said, Catch::Contains("streaming by PostgreSQL's own plugin, from publication \"") &&
                       Catch::Contains("deltaflood"));
  CHECK_THAT(said, Catch::Contains("no event triggers") &&
                       Catch::Contains("SELECT deltaflood.create_triggers()"));
  CHECK(place.at_the_server() == "1 1 1 0");

  // Again, with a table more.
  place.execute("INSERT INTO a VALUES(3, 'w')");
  const std::string again = place.follow({"--table", "a", "--table", "b"}, [&](const Process&) {
    CHECK(place.becomes("SELECT count(*) FROM a", "3"));
    CHECK(place.becomes("SELECT count(*) FROM sqlite_master WHERE name = 'b'", "1"));
    place.execute("INSERT INTO b VALUES(3)");
    CHECK(place.becomes("SELECT count(*) FROM b", "3"));
  });
  INFO(again);
  CHECK(place.at_the_server() == "1 1 1 0");

  // And one that goes, and comes back.
  const auto published = [&] {
    return place.found(
        "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_publication_tables WHERE "
        "schemaname = 'public'");
  };
  place.follow({"--table", "a"}, [&](const Process& process) {
    INFO(process.err());
    CHECK(run({program("deltamirror"), "remove", place.mirror(), "--table", "b"}).ok());
    CHECK(eventually([&] { return published() == "a"; }));
    const Result added = run({program("deltamirror"), "seed", place.mirror(), "--table", "b"});
    INFO(added.err);
    CHECK(added.ok());
    CHECK(published() == "a b");
    place.execute("INSERT INTO b VALUES(4)");
    CHECK(place.becomes("SELECT count(*) FROM b", "4"));
  });

  const Result down = place.down();
  INFO(down.err);
  CHECK(down.ok());
  CHECK_THAT(down.out, Catch::Contains("removed publication deltamirror_mirror_") &&
                           Catch::Contains("removed schema deltaflood"));
  CHECK(place.at_the_server() == "0 0 0 0");
  CHECK(place.down().ok());
}

TEST_CASE("up: makes again what a down that did not come to its end has removed at the server",
          "[mirror][integration][up][managed]") {
  const Managed place;
  place.follow({"--table", "a"},
               [&](const Process&) { CHECK(place.becomes("SELECT count(*) FROM a", "1")); });
  place.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
  place.execute("DROP PUBLICATION " + place.found("SELECT pubname FROM pg_publication"));
  place.execute("DROP SCHEMA deltaflood CASCADE; INSERT INTO a VALUES(2, 'y')");
  place.follow({"--table", "a"}, [&](const Process&) {
    CHECK(place.becomes("SELECT count(*) FROM a", "2"));
    place.execute("INSERT INTO a VALUES(3, 'z')");
    CHECK(place.becomes("SELECT count(*) FROM a", "3"));
  });
  CHECK(place.at_the_server() == "1 1 1 0");
  CHECK(place.down().ok());
  CHECK(place.at_the_server() == "0 0 0 0");
}

TEST_CASE("up: where it may, event triggers note DDL, and down takes them along",
          "[mirror][integration][up][managed]") {
  const Managed place;
  const std::string said = place.follow(
      {"--table", "a"},
      [&](const Process&) {
        CHECK(place.at_the_server() == "1 1 1 3");
        place.execute("ALTER TABLE a RENAME v TO w; INSERT INTO a VALUES(2, 'y')");
        CHECK(place.becomes("SELECT count(*) FROM a", "2"));
        CHECK(place.value("SELECT group_concat(w) FROM a") == "x,y");
      },
      "postgres");
  CHECK_THAT(said, !Catch::Contains("event triggers"));
  fs::remove_all(place.mirror() + ".daystream");
  const Result down = place.down("postgres");
  INFO(down.err);
  CHECK(down.ok());
  CHECK(place.at_the_server() == "0 0 0 0");
}

TEST_CASE("up: what somebody else has made at the server stays",
          "[mirror][integration][up][managed]") {
  const Managed place;
  place.execute(read_file(SUPPORT_SQL_DIR "/deltaflood_managed.sql"));
  place.execute("CREATE PUBLICATION theirs FOR TABLE a; SELECT deltaflood.install('theirs')");
  SECTION("its own publication, too") {
    CHECK_THAT(run(place.up({"--table", "a", "--table", "b", "--publication", "theirs"})).err,
               Catch::Contains("publication \"theirs\" does not have table \"public\".\"b\"") &&
                   Catch::Contains("ALTER PUBLICATION \"theirs\" ADD TABLE \"public\".\"b\";"));
    CHECK(place.at_the_server() == "1 0 1 0");
    place.follow({"--table", "a", "--publication", "theirs"}, [&](const Process&) {
      place.execute("INSERT INTO a VALUES(2, 'y')");
      CHECK(place.becomes("SELECT count(*) FROM a", "2"));
    });
  }
  SECTION("the SQL") {
    place.follow({"--table", "a"},
                 [&](const Process&) { CHECK(place.at_the_server() == "2 1 1 0"); });
  }
  CHECK(place.down().ok());
  CHECK(place.at_the_server() == "1 0 1 0");
}

TEST_CASE("up: without a mirror nothing stays at the server",
          "[mirror][integration][up][managed]") {
  const Managed place;
  const auto fails = [&](const Texts& more, const std::string& says) {
    const Result result = run(place.up(more));
    CAPTURE(result.err);
    CHECK_FALSE(result.ok());
    CHECK_THAT(result.err, Catch::Contains(says));
    CHECK(place.at_the_server() == "0 0 0 0");
  };
  fails({"--query", "SELECT 1 / (id - 1) AS x FROM a", "--as", "divided", "--table", "a"},
        "division by zero");
  fails({"--table", "a", "--partition-root"}, "--partition-root is something that only our plugin");
  fails({"--table", "keyless"}, "REPLICA IDENTITY FULL");
}

TEST_CASE("up --check: where no slot is left, it says what makes room",
          "[mirror][integration][up]") {
  const Pipeline place({"max_replication_slots = 1"});
  place.cluster.execute("CREATE TABLE a(id int PRIMARY KEY)");
  place.cluster.execute("SELECT pg_create_physical_replication_slot('taken')");
  const Result result = run({program("deltamirror"), "up", place.mirror(), "-d",
                             place.cluster.conninfo(), "--table", "a", "--check"});
  CAPTURE(result.out);
  CHECK(result.exit.code == 3);
  const std::size_t failed = result.out.find("FAILED  plugin");
  REQUIRE(failed != std::string::npos);
  CHECK_THAT(result.out.substr(failed, result.out.find("\nok", failed) - failed),
             Catch::Contains("HINT: drop a slot that nobody needs"));
}

TEST_CASE("up --check: an extra_sql view over a column that is not there is found",
          "[mirror][integration][up]") {
  const Pipeline place;
  place.cluster.execute("CREATE TABLE a(id int PRIMARY KEY)");
  const std::string file = (place.dir / "c.json").string();
  write_file(
      file,
      R"({"tables": [{"table": "a"}], "extra_sql": ["CREATE VIEW v AS SELECT nope FROM a"]})");
  const Result result = run({program("deltamirror"), "up", place.mirror(), "-d",
                             place.cluster.conninfo(), "--config", file, "--check"});
  CAPTURE(result.out);
  CHECK(result.exit.code == 2);
  CHECK_THAT(result.out, Catch::Contains("view \"v\" of extra_sql cannot be read"));
}

TEST_CASE("up --check: each right that is missing is named with what grants it",
          "[mirror][integration][up][managed]") {
  const Managed place;
  const auto check = [&](const Texts& more = {}) {
    Texts arguments = {"--table", "a", "--check"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(place.up(arguments, "other"));
  };
  Result result = check({"--table", "nope", "--table", "b"});
  CAPTURE(result.out);
  CHECK_THAT(result.out, Catch::Contains("GRANT SELECT ON \"public\".\"a\" TO") &&
                             Catch::Contains("GRANT SELECT ON \"public\".\"b\" TO") &&
                             Catch::Contains("\"public.nope\" does not exist"));
  place.execute("GRANT SELECT ON a TO other");
  result = check();
  CAPTURE(result.out, result.err);
  CHECK(result.exit.code == 3);
  CHECK_THAT(result.out, Catch::Contains("ALTER ROLE other REPLICATION;"));
  CHECK_THAT(result.out, Catch::Contains("GRANT CREATE ON DATABASE app TO other;"));
  CHECK_THAT(result.out, Catch::Contains("GRANT owner TO other;"));

  place.cluster.execute("ALTER ROLE other REPLICATION; GRANT CREATE ON DATABASE app TO other");
  result = check();
  CAPTURE(result.out);
  CHECK(result.exit.code == 3);
  CHECK_THAT(result.out, Catch::Contains("PostgreSQL's own, by publication") &&
                             Catch::Contains("only the owner of table public.a may publish it") &&
                             Catch::Contains("GRANT owner TO other;"));
  CHECK_THAT(result.out, !Catch::Contains("ALTER ROLE") && !Catch::Contains("GRANT CREATE"));
  // What --check says is what a start says.
  const Result start = run(place.up({"--table", "a"}, "other"));
  CHECK_THAT(start.err, Catch::Contains("only the owner of table public.a may publish it") &&
                            Catch::Contains("GRANT owner TO other;"));

  place.cluster.execute("GRANT owner TO other");
  result = check();
  CAPTURE(result.out);
  CHECK(result.exit.code == 0);
  CHECK_THAT(result.out, Catch::Contains("SELECT deltaflood.create_triggers();"));
  CHECK(place.at_the_server() == "0 0 0 0");
  CHECK_FALSE(fs::exists(place.mirror()));

  // Once it is there, deltastream's own checks are among them.
  place.follow(
      {"--table", "a"}, [](const Process&) {}, "other");
  result = check();
  CAPTURE(result.out);
  CHECK(result.exit.code == 0);
  CHECK_THAT(result.out, Catch::Contains("has all changes of its tables, and their shapes"));
}
