// Mirrors whose configuration comes from a server: run --config URL.
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>

#include "fleet_hosts.h"

TEST_CASE("fleet: what is published is on all hosts, and rolled back on all", "[mirror][fleet]") {
  FleetHosts fleet;
  for (const char* const name : {"edge-1", "edge-2"}) fleet.start(name);
  for (const char* const name : {"edge-1", "edge-2"}) {
    CHECK(fleet.applies(name, 1));
    CHECK(fleet.count(name, "fox") == "1");
    CHECK(fleet.count(name, "hen") == "none");
  }
  CHECK(fleet.config("edge-1") == json{{"source", fleet.url("edge-1")},
                                       {"revision", 1},
                                       {"wanted_revision", 1},
                                       {"error", nullptr}});

  // What is not right is not published, and what is being edited reaches nobody.
  fleet.put_tables("{\"table\": \"fox\"}, {\"tabel\": \"hen\"}");
  CHECK(fleet.command({"publish"}).exit.code == 2);

  fleet.publish_tables("{\"table\": \"fox\"}, {\"table\": \"hen\"}");
  for (const char* const name : {"edge-1", "edge-2"}) {
    CHECK(eventually([&] { return fleet.count(name, "hen") == "1"; }));
    CHECK(fleet.applies(name, 2));
  }
  fleet.cluster.execute("INSERT INTO hen VALUES (2, 'c')");
  CHECK(eventually([&] { return fleet.count("edge-1", "hen") == "2"; }));

  CHECK(fleet.command({"rollback", "1"}).ok());
  for (const char* const name : {"edge-1", "edge-2"}) {
    CHECK(eventually([&] { return fleet.count(name, "hen") == "none"; }));
    CHECK(fleet.applies(name, 3));
  }
  // A rule that is taken away takes nothing from a host.
  fleet.put("fleet.json", R"({"mirrors": [{"name": "edge-2", "use": ["base.json"]}]})");
  fleet.publish();
  CHECK(fleet.applies("edge-2", 4));
  CHECK(eventually([&] {
    const json found = fleet.config("edge-1");
    return found["error"].is_string() &&
           found["error"].get<std::string>().find("no rule") != std::string::npos;
  }));
  CHECK(fleet.count("edge-1", "fox") == "1");
  CHECK(fleet.config("edge-1")["revision"] == 3);
}

TEST_CASE("fleet: what a host refuses leaves the configuration before in force, and is told",
          "[mirror][fleet]") {
  FleetHosts fleet;
  for (const char* const name : {"edge-1", "edge-2"}) fleet.start(name);
  for (const char* const name : {"edge-1", "edge-2"}) CHECK(fleet.applies(name, 1));
  // A column that the table does not have: nothing but the database knows.
  fleet.put("two.json", R"({"tables": [{"table": "fox", "indexes": ["tail"]}, {"table": "hen"}]})");
  fleet.publish_tables("{\"table\": \"fox\", \"indexes\": [\"name\"]}");
  CHECK(fleet.applies("edge-1", 2));
  REQUIRE(eventually([&] { return fleet.config("edge-2")["wanted_revision"] == 2; }));
  const json status = fleet.status("edge-2");
  CHECK(status["config"]["revision"] == 1);
  CHECK(status["config"]["error"].get<std::string>().find("tail") != std::string::npos);
  CHECK(status["healthy"] == false);
  CHECK(status["trouble"].dump().find("revision 2 of ") != std::string::npos);
  CHECK(fleet.says("edge-2", "could not take configuration"));
  CHECK(fleet.count("edge-2", "hen") == "none");

  // So it is after a start, too, and the next one may be right.
  fleet.kill("edge-2");
  fleet.start("edge-2");
  CHECK(eventually([&] { return fleet.says("edge-2", "could not take configuration"); }));
  CHECK(fleet.config("edge-2")["revision"] == 1);
  fleet.cluster.execute("INSERT INTO fox VALUES (2, 'b')");
  CHECK(eventually([&] { return fleet.count("edge-2", "fox") == "2"; }));
  fleet.put("two.json", R"({"tables": [{"table": "fox"}, {"table": "hen"}]})");
  fleet.publish();
  CHECK(fleet.applies("edge-2", 3));
  CHECK(fleet.config("edge-2")["error"].is_null());
  CHECK(eventually([&] { return fleet.count("edge-2", "hen") == "1"; }));
}

TEST_CASE("fleet: a host starts with what it had while the server is away", "[mirror][fleet]") {
  FleetHosts fleet;
  fleet.start("edge-1");
  CHECK(fleet.applies("edge-1", 1));
  fleet.kill("edge-1");
  fleet.kill_server();

  fleet.start("edge-1");
  CHECK(eventually([&] { return fleet.says("edge-1", "going on with revision 1"); }));
  fleet.cluster.execute("INSERT INTO fox VALUES (2, 'b')");
  CHECK(eventually([&] { return fleet.count("edge-1", "fox") == "2"; }));
  CHECK(fleet.config("edge-1")["error"].is_string());
  CHECK(eventually([&] { return fleet.status("edge-1")["healthy"] == true; }));

  fleet.publish_tables("{\"table\": \"fox\"}, {\"table\": \"hen\"}");
  fleet.start_server();
  CHECK(fleet.applies("edge-1", 2));
  CHECK(eventually([&] { return fleet.count("edge-1", "hen") == "1"; }));
  CHECK(eventually([&] { return fleet.config("edge-1")["error"].is_null(); }));

  // SIGTERM ends it while an answer is held.
  fleet.hosts.at("edge-1").signal(SIGTERM);
  CHECK(fleet.hosts.at("edge-1").wait() == Exit{0, 0});

  SECTION("and with none it had, it waits, or fails where it is to end by itself") {
    fleet.kill_server();
    std::vector<std::string> once = fleet.run_argv("edge-2");
    once.emplace_back("--once");
    CHECK(run(once).exit.code == 1);
    CHECK_FALSE(std::filesystem::exists(fleet.file("edge-2")));
  }
  SECTION("a run by something else forgets it") {
    CHECK(std::filesystem::exists(fleet.file("edge-1") + ".config.json"));
    CHECK(run({program("deltamirror"), "run", fleet.file("edge-1"), "--once"}).ok());
    CHECK_FALSE(std::filesystem::exists(fleet.file("edge-1") + ".config.json"));
    CHECK(fleet.config("edge-1").is_null());
  }
}

TEST_CASE("fleet: a host reports how it is, what it runs, and what it refused",
          "[mirror][fleet][reports]") {
  FleetHosts fleet;
  std::vector<std::string> argv = fleet.run_argv("edge-1");
  argv.insert(argv.end(), {"--label", "region=eu"});
  fleet.hosts.insert_or_assign("edge-1", Process(argv));
  fleet.start("edge-2");
  CHECK(fleet.is_told("edge-1", "well", 1));
  CHECK(fleet.is_told("edge-2", "well", 1));
  const json report = fleet.told("edge-1");
  CHECK(report["tables"] == json{{"following", 1}});
  CHECK(report["labels"] == json{{"region", "eu"}});
  CHECK(report["size_bytes"] > 0);
  CHECK(report["disk_free_bytes"] > 0);
  CHECK(report["memory_bytes"] > 0);
  CHECK(report["about_rows"].is_number());
  CHECK(report["snapshots"]["count"] == 0);
  CHECK(report["sources"][0]["state"] == "following");
  for (const char* key : {"version", "sqlite", "kernel", "host", "mirror"}) {
    CHECK(report[key].is_string());
  }

  // The server is away and comes back meanwhile.
  fleet.kill_server();
  fleet.put("two.json", R"({"tables": [{"table": "fox", "indexes": ["tail"]}]})");
  fleet.publish();
  fleet.start_server();
  CHECK(fleet.is_told("edge-1", "well", 2));
  CHECK(fleet.is_told("edge-2", "refused", 1));
  CHECK(fleet.told("edge-2")["trouble"][0].get<std::string>().find("tail") != std::string::npos);
  CHECK(fleet.command({"status"}).exit.code == 1);
  CHECK(fleet.command({"rollback", "1"}).ok());
  CHECK(fleet.is_told("edge-2", "well", 3));
  CHECK(eventually([&] { return fleet.is_told("edge-1", "well", 3); }));
  CHECK(fleet.command({"status"}).exit.code == 0);
}

TEST_CASE("fleet: a host that starts again says what it waits for, and nothing that is not so",
          "[mirror][fleet][reports]") {
  FleetHosts fleet;
  fleet.start("edge-1");
  CHECK(fleet.is_told("edge-1", "well", 1));
  fleet.kill("edge-1");
  const auto reason = [&] {
    const json found = fleet.told("edge-1");
    return found.is_object() && !found["trouble"].empty() ? found["trouble"][0].get<std::string>()
                                                          : std::string();
  };
  {
    deltamirror::Database other(fleet.file("edge-1"), deltamirror::Database::Mode::ReadWrite);
    other.exec("BEGIN IMMEDIATE");
    fleet.start("edge-1");
    CHECK(eventually([&] { return reason().find("\"deltamirror run\" waits: ") == 0; }));
    other.exec("ROLLBACK");
  }
  CHECK(fleet.is_told("edge-1", "well", 1));
  CHECK(reason().empty());
  const deltamirror::Database kept(fleet.fleet() + "/reports/reports.db",
                                   deltamirror::Database::Mode::ReadOnly);
  CHECK(kept.value("SELECT count(*) FROM event WHERE trouble LIKE '%no process owns%'") == "0");
  CHECK(kept.value("SELECT count(*) FROM event WHERE trouble LIKE '%waits: %'") == "1");
}

TEST_CASE("fleet: a revision goes to one host, and to all once somebody or its health says so",
          "[mirror][fleet][rollout]") {
  FleetHosts fleet;
  const std::vector<std::string> names = {"edge-1", "edge-2", "edge-3"};
  for (const std::string& name : names) fleet.start(name);
  for (const std::string& name : names) CHECK(fleet.is_told(name, "well", 1));
  const auto with = [&](int revision) {
    int count = 0;
    for (const std::string& name : names) {
      const json found = fleet.config(name);
      if (found.is_object() && found["revision"] == revision) ++count;
    }
    return count;
  };
  const auto says = [&](const std::string& text) {
    return eventually([&] {
      return fleet.command({"rollout", "status"}).out.find(text) != std::string::npos;
    });
  };
  CHECK(fleet.command({"rollout", "stop"}).exit.code == 2);
  CHECK(says("goes to all mirrors"));
  fleet.put("two.json", R"({"tables": [{"table": "fox"}, {"table": "hen"}]})");
  fleet.put_tables("{\"table\": \"fox\"}, {\"table\": \"hen\"}");
  CHECK(fleet.command({"publish", "--steps", "1,,2"}).exit.code == 2);
  const Result published = fleet.command({"publish", "--steps", "1", "--healthy-for", "3600"});
  REQUIRE(published.ok());
  CHECK(published.out.find("published revision 2, which goes out in steps") == 0);
  CHECK(eventually([&] { return with(2) == 1; }));
  CHECK(says("roll-out of revision 2 (from 1; 1, all): running at 1"));
  CHECK(fleet.command({"status"}).out.find("running at 1") != std::string::npos);

  // The server is killed meanwhile: it goes on from there, and one that begins is offered the
  // former.
  fleet.kill_server();
  fleet.start_server();
  fleet.start("edge-4");
  CHECK(fleet.is_told("edge-4", "well", 1));
  CHECK(with(2) == 1);
  CHECK(with(1) == 2);
  CHECK(fleet.command({"rollout", "continue"}).ok());
  CHECK(eventually([&] { return with(2) == 3; }));
  CHECK(fleet.applies("edge-4", 2));
  CHECK(says("running at all"));
  CHECK(fleet.command({"rollout", "continue"}).ok());
  CHECK(says("done at all"));

  // What is next begins with one again, and is with all by itself, as each step is well.
  fleet.put_tables("{\"table\": \"fox\"}");
  fleet.put("two.json", "{}");
  for (const std::string& name : names) CHECK(fleet.is_told(name, "well", 2));
  CHECK(fleet.command({"publish", "--steps", "1,50%", "--healthy-for", "1"}).ok());
  CHECK(says("(from 2; 1, 50%, all)"));
  CHECK(eventually([&] { return with(3) == 3; }));
  CHECK(says("done at all"));
  CHECK(fleet.applies("edge-4", 3));
}

TEST_CASE("fleet: a revision that the first host refuses stops there, and is rolled back",
          "[mirror][fleet][rollout]") {
  FleetHosts fleet;
  const std::vector<std::string> names = {"edge-1", "edge-2", "edge-3"};
  for (const std::string& name : names) fleet.start(name);
  for (const std::string& name : names) CHECK(fleet.is_told(name, "well", 1));
  fleet.put("fleet.json", R"({"mirrors": [{"name": "edge-*", "use": ["base.json"]}]})");
  fleet.put_tables("{\"table\": \"fox\", \"indexes\": [\"tail\"]}");
  REQUIRE(fleet.command({"publish", "--steps", "1,all", "--healthy-for", "0"}).ok());
  Result status;
  CHECK(eventually([&] {
    status = fleet.command({"rollout", "status"});
    return status.exit.code == 1;
  }));
  CHECK(status.out.find("stopped at 1: ") != std::string::npos);
  CHECK(status.out.find("refused it: ") != std::string::npos);
  CHECK(status.out.find("tail") != std::string::npos);
  CHECK(fleet.server->err().find("the roll-out of revision 2 has stopped") != std::string::npos);
  int asked = 0;
  for (const std::string& name : names) {
    CHECK(fleet.config(name)["revision"] == 1);
    if (fleet.config(name)["wanted_revision"] == 2) ++asked;
  }
  CHECK(asked == 1);
  // So it is when the server starts again.
  fleet.kill_server();
  fleet.start_server();
  CHECK(fleet.command({"rollout", "status"}).exit.code == 1);

  CHECK(fleet.command({"rollback", "1"}).ok());
  for (const std::string& name : names) CHECK(fleet.is_told(name, "well", 3));
  CHECK(fleet.command({"rollout", "status"}).exit.code == 0);
}

TEST_CASE("fleet: who has another's token gets nothing", "[mirror][fleet][security]") {
  FleetHosts fleet;
  fleet.kill_server();
  const std::string tokens = (fleet.dir / "tokens").string();
  std::string token =
      run_ok({program("daystream"), "token", tokens, "edge-2", "--fleet", "edge-2"});
  token.pop_back();
  fleet.start_server({"--tokens", tokens});
  Process::Options options;
  options.env = {{"DAYSTREAM_TOKEN", token}};
  const Result refused = run(fleet.run_argv("edge-1"), options);
  CHECK(refused.exit.code == 3);
  CHECK(refused.err.find("may not read the configuration of \"edge-1\"") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(fleet.file("edge-1")));
  fleet.hosts.insert_or_assign("edge-2", Process(fleet.run_argv("edge-2"), options));
  CHECK(fleet.applies("edge-2", 1));

  std::vector<std::string> labelled = fleet.run_argv("edge-2");
  labelled.insert(labelled.end(), {"--label", "region"});
  CHECK(run(labelled, options).exit.code == 2);
  CHECK(run({program("deltamirror"), "run", fleet.file("edge-2"), "--label", "a=b"}).exit.code ==
        2);
  const Result seed =
      run({program("deltamirror"), "seed", fleet.file("other"), "--config", fleet.url("edge-1"),
           "-d", fleet.cluster.conninfo(), "--daystream", fleet.stream()});
  CHECK(seed.exit.code == 2);
  CHECK(seed.err.find("alone takes a configuration from a server") != std::string::npos);
}
