// deltastream --source pgoutput: its slot and its publication.
#include <catch2/catch.hpp>
#include <thread>

#include "pgoutput.h"

using namespace deltastream_test;

TEST_CASE("pgoutput: a slot that somebody else has made is followed", "[streamer][pgoutput]") {
  const Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY)");
  install(cluster);
  cluster.execute("CREATE PUBLICATION flood FOR TABLE fox; SELECT deltaflood.install('flood')");
  cluster.execute("SELECT pg_create_logical_replication_slot('s', 'pgoutput')");
  cluster.execute("INSERT INTO fox VALUES (1)");
  const Stream stream(cluster, "s");
  Process process = stream.start(kPgoutput);
  REQUIRE(streaming(process));
  REQUIRE(support::eventually([&] { return contains(process.err(), "told again"); }));
  REQUIRE(stream.caught_up());
  cluster.execute("INSERT INTO fox VALUES (2)");
  REQUIRE(stream.caught_up());
  const Lines lines = told(stream);
  CHECK(contains(lines.at(0), "_table\t\"fox\"\t"));
  CHECK(contains(lines.at(1), "_table\tfox\t"));
  CHECK(contains(lines.at(lines.size() - 2), "\t_action\tinsert\ta\t2"));
  CHECK(stream.lines("\ttables\t\"public\".\"fox\"\tpublication\tflood").size() == 1);

  // Another table comes in: it is held once nobody runs who wrote to it before.
  cluster.execute("CREATE TABLE hen (a int PRIMARY KEY)");
  support::Session old = cluster.session();
  old.execute("BEGIN; INSERT INTO hen VALUES (1)");
  cluster.execute("ALTER PUBLICATION flood ADD TABLE hen; INSERT INTO hen VALUES (2)");
  std::this_thread::sleep_for(std::chrono::seconds(12));
  CHECK(stream.lines("\ttables\t\"public\".\"fox\",\"public\".\"hen\"").empty());
  old.execute("COMMIT");
  CHECK(support::eventually([&] {
    cluster.execute("INSERT INTO fox SELECT max(a) + 1 FROM fox");
    return !stream.lines("\ttables\t\"public\".\"fox\",\"public\".\"hen\"").empty();
  }));
}

TEST_CASE("pgoutput: a trouble beside the stream is told once, and again once it was over",
          "[streamer][pgoutput]") {
  const Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY)");
  install(cluster);
  cluster.execute("CREATE PUBLICATION flood FOR ALL TABLES; SELECT deltaflood.install('flood')");
  const Stream stream(cluster, "s");
  Process process = stream.start(with(kPgoutput, {"--create-slot"}));
  REQUIRE(streaming(process));
  REQUIRE(stream.caught_up());
  const auto count = [](const std::string& text, const std::string& what) {
    std::size_t found = 0;
    for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; ++at) ++found;
    return found;
  };
  const auto told = [&] {
    return count(process.err(), "beside the stream of publication \"flood\"");
  };
  const auto in_log = [&](const std::string& what) {
    return count(cluster.log_tail(1 << 24), what);
  };
  const auto refused = [&] { return in_log("not currently accepting connections"); };
  const auto signs = [&] { return in_log("statement: SELECT pg_logical_emit_message"); };
  cluster.execute("ALTER SYSTEM SET log_statement = 'all'");
  cluster.execute("SELECT pg_reload_conf()");
  for (std::size_t time = 1; time <= 2; ++time) {
    // No session but the stream's own comes in.
    cluster.execute("ALTER DATABASE postgres ALLOW_CONNECTIONS false", "template1");
    REQUIRE(support::eventually([&] { return told() == time; }));
    const std::size_t before = refused();
    REQUIRE(support::eventually([&] { return refused() >= before + 5; }));
    CHECK(told() == time);
    cluster.execute("ALTER DATABASE postgres ALLOW_CONNECTIONS true", "template1");
    // The next look goes well, to its end.
    const std::size_t given = signs();
    REQUIRE(support::eventually([&] { return signs() > given; }));
  }
  CHECK(process.running());
}

TEST_CASE("pgoutput: a slot and a daystream belong to each other", "[streamer][pgoutput]") {
  const Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY)");
  install(cluster);
  cluster.execute("CREATE PUBLICATION flood FOR ALL TABLES; SELECT deltaflood.install('flood')");
  const Stream first(cluster, "s");
  const Stream other(cluster, "s");
  REQUIRE(first.run_to_end(with(kPgoutput, {"--create-slot"})).ok());
  cluster.execute("INSERT INTO fox VALUES (1)");
  REQUIRE(first.run_to_end(kPgoutput).ok());
  const Result refused = other.run(kPgoutput);
  CAPTURE(refused.err);
  CHECK(refused.exit == support::Exit{3, 0});
  CHECK(contains(refused.err, "the slot belongs to another daystream, which has read from it"));
  CHECK(contains(refused.err, first.directory().string() + "\" on "));
  CHECK(contains(refused.err, "--adopt-slot"));
  CHECK_FALSE(other.exists());
  REQUIRE(first.run_to_end(kPgoutput).ok());
  CHECK(other.run_to_end(with(kPgoutput, {"--adopt-slot"})).ok());
  CHECK(first.run(kPgoutput).exit == support::Exit{3, 0});
  // A slot that is made again is nobody's.
  CHECK(other.run({"--drop-slot", "--source", "pgoutput", "--publication", "flood"}).ok());
  const Stream third(cluster, "s");
  CHECK(third.run_to_end(with(kPgoutput, {"--create-slot"})).ok());
}

TEST_CASE("pgoutput: a publication that leaves something out is refused", "[streamer][pgoutput]") {
  const Cluster cluster;
  const Stream stream(cluster, "s");
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY, b text); CREATE TABLE hen (a int)");
  const auto refused = [&](const std::string& sql, const std::string& message,
                           const std::string& hint) {
    if (!sql.empty()) cluster.execute(sql);
    const Result result = stream.run(with(kPgoutput, {"--create-slot"}));
    INFO(sql << '\n' << result.err);
    CHECK(result.exit == support::Exit{3, 0});
    CHECK(contains(result.err, message));
    CHECK(contains(result.err, "HINT: " + hint));
    CHECK(cluster.scalar("SELECT count(*) FROM pg_replication_slots") == "0");
    CHECK_FALSE(stream.exists());
  };
  refused("", "publication \"flood\" does not exist", "CREATE PUBLICATION \"flood\"");
  refused("CREATE PUBLICATION flood FOR TABLE fox", "has no table deltaflood.ddl", "psql -f");
  install(cluster);
  refused("", "does not publish deltaflood.ddl", "SELECT deltaflood.install('flood');");
  cluster.execute("SELECT deltaflood.install('flood')");
  refused("ALTER PUBLICATION flood SET (publish = 'insert')", "does not publish all changes",
          "ALTER PUBLICATION \"flood\" SET (publish = 'insert, update, delete, truncate');");
  refused(
      "ALTER PUBLICATION flood SET (publish = 'insert, update, delete, truncate', "
      "publish_via_partition_root)",
      "publishes partitions via their root", "ALTER PUBLICATION \"flood\" SET (publish_via");
  refused(
      "ALTER PUBLICATION flood SET (publish_via_partition_root = false); ALTER PUBLICATION "
      "flood SET TABLE deltaflood.ddl, fox (a)",
      "has a list of columns on table public.fox",
      "ALTER PUBLICATION \"flood\" DROP TABLE public.fox;");
  refused("ALTER PUBLICATION flood SET TABLE deltaflood.ddl, fox WHERE (a > 1)",
          "has a row filter on table public.fox",
          "ALTER PUBLICATION \"flood\" DROP TABLE public.fox;");
  refused("ALTER PUBLICATION flood SET TABLE deltaflood.ddl, fox, hen",
          "table public.hen of publication \"flood\" has no replica identity",
          "ALTER TABLE public.hen ADD");
  const Result check = stream.run(with(kPgoutput, {"--check", "--create-slot"}));
  CHECK(contains(check.out, "table public.hen has no replica identity"));
  cluster.execute("ALTER TABLE hen REPLICA IDENTITY FULL");
  CHECK(stream.run_to_end(with(kPgoutput, {"--create-slot"})).ok());
  // Not a slot of the plugin, nor the other way round.
  const Result plugin = stream.run_to_end();
  CHECK(plugin.exit == support::Exit{3, 0});
  CHECK(contains(plugin.err, "uses plugin \"pgoutput\", not \"deltaflood\""));
  CHECK(stream.run({"--source", "pgoutput"}).exit == support::Exit{2, 0});
  CHECK(stream.run(with(kPgoutput, {"--tables", "fox"})).exit == support::Exit{2, 0});
}
