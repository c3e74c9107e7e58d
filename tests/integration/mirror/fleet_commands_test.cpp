// What hosts of a fleet are asked to do: real servers and real `deltamirror run`, and kills between
// a command's way to the host, its execution and its report.
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <random>
#include <thread>

#include "fleet_hosts.h"

namespace {

const std::string kAll = "verify,sample,reseed,snapshot,pause,continue,restart";

struct CommandedHosts : FleetHosts {
  void start_accepting(const std::string& name, const std::string& kinds = kAll) {
    std::vector<std::string> argv = run_argv(name);
    argv.insert(argv.end(), {"--accept-commands", kinds});
    hosts.insert_or_assign(name, Process(argv));
  }
  // Also what its processes before have said.
  void kill_and_keep(const std::string& name) {
    kill(name);
    said[name] += hosts.at(name).err();
  }
  std::string all_said(const std::string& name) const {
    const auto before = said.find(name);
    return (before == said.end() ? "" : before->second) + hosts.at(name).err();
  }
  int ask(std::vector<std::string> more) {
    more.insert(more.begin(), "command");
    const Result given = command(more);
    INFO(given.err);
    REQUIRE(given.ok());
    return ++given_;
  }
  // As the server knows it now; what it has written is a little older.
  json shown(int number) const {
    return json::parse(
        run({program("daystream"), "fleet", "http://127.0.0.1:" + std::to_string(port) + "/fleet",
             "commands", std::to_string(number), "--json"})
            .out,
        nullptr, false);
  }
  std::string id(int number) const {
    return json::parse(command({"commands", std::to_string(number), "--json"}).out)["id"];
  }
  // What the server knows of one command at all hosts.
  bool comes_to(int number, const json& mirrors) const {
    return eventually([&] {
      const json found = shown(number);
      return found.is_object() && found["mirrors"] == mirrors;
    });
  }
  bool has_result(int number, const std::string& text) const {
    return eventually([&] {
      return command({"commands", std::to_string(number)}).out.find(text) != std::string::npos;
    });
  }
  // How often a host has begun with it.
  int begun(const std::string& name, int number) const {
    const std::string line = "command " + id(number) + " by ";
    const std::string text = all_said(name);
    int count = 0;
    for (auto at = text.find(line); at != std::string::npos; at = text.find(line, at + 1)) ++count;
    return count;
  }
  json record(const std::string& name) const {
    std::ifstream in(file(name) + ".commands.json");
    return json::parse(in, nullptr, false);
  }
  bool is_running(const std::string& name, int number) const {
    return eventually([&] {
      const json all = record(name);
      if (!all.is_object()) return false;
      for (const json& each : all["commands"]) {
        if (each["id"] == id(number) && each["state"] == "running") return true;
      }
      return false;
    });
  }
  // Nobody reads the table until this is gone.
  support::Session locked() const {
    support::Session holder = cluster.session();
    holder.execute("BEGIN; LOCK TABLE fox IN ACCESS EXCLUSIVE MODE");
    return holder;
  }

 private:
  std::map<std::string, std::string> said;
  int given_ = 0;
};

}  // namespace

TEST_CASE("commands: a host does what it accepts, once, and its result is seen",
          "[mirror][fleet][commands]") {
  CommandedHosts fleet;
  fleet.start_accepting("edge-1");
  fleet.start("edge-2");
  for (const char* const name : {"edge-1", "edge-2"}) CHECK(fleet.is_told(name, "well", 1));
  const int verified = fleet.ask({"verify", "--name", "edge-*", "-m", "as each week"});
  CHECK(fleet.comes_to(verified, {{"done", 1}, {"not accepted", 1}}));
  CHECK(fleet.has_result(verified, "edge-1: "));
  CHECK(fleet.begun("edge-1", verified) == 1);
  CHECK(eventually([&] {
    return fleet.server->err().find("command " + fleet.id(verified) + " at \"edge-1\": done") !=
           std::string::npos;
  }));

  // What is not so is found, mended, and found to be mended.
  fleet.kill("edge-1");
  {
    const deltamirror::Database db(fleet.file("edge-1"), deltamirror::Database::Mode::ReadWrite);
    db.prepare("UPDATE fox SET name = 'other'").run();
  }
  fleet.start_accepting("edge-1");
  const int differs = fleet.ask({"verify", "--name", "edge-1"});
  CHECK(fleet.comes_to(differs, {{"failed", 1}}));
  CHECK(fleet.has_result(differs, "1 row of mirror"));
  CHECK(eventually([&] {
    return fleet.command({"commands", std::to_string(differs)}).exit.code == 1;
  }));
  CHECK(fleet.comes_to(fleet.ask({"reseed", "--table", "fox", "--name", "*"}),
                       {{"done", 1}, {"not accepted", 1}}));
  CHECK(fleet.comes_to(fleet.ask({"sample", "--size", "100%", "--name", "edge-1"}), {{"done", 1}}));
  const int none = fleet.ask({"reseed", "--table", "--whole", "--name", "edge-1"});
  CHECK(fleet.comes_to(none, {{"failed", 1}}));
  // What was wrong, and what to do, for who cannot look at the host.
  CHECK(
      fleet.has_result(none,
                       "edge-1: the mirror has no table \"--whole\"; HINT: \"deltamirror status\" "
                       "names those it has"));
  CHECK(fleet.comes_to(fleet.ask({"snapshot", "--keep", "2", "--name", "edge-1"}), {{"done", 1}}));
  CHECK(eventually([&] { return fleet.told("edge-1")["snapshots"]["count"] == 1; }));
  CHECK(std::filesystem::exists(fleet.dir / "snapshots"));
  // Of those before nothing is done again.
  CHECK(fleet.begun("edge-1", verified) == 0);
  CHECK(fleet.record("edge-1")["commands"].size() == 6);
}

TEST_CASE("commands: the list of the host decides, whatever the server says",
          "[mirror][fleet][commands][security]") {
  CommandedHosts fleet;
  CHECK(run({program("deltamirror"), "run", fleet.file("x"), "--accept-commands", "pause"})
            .exit.code == 2);
  std::vector<std::string> argv = fleet.run_argv("edge-1");
  argv.insert(argv.end(), {"--accept-commands", "shell"});
  const Result refused = run(argv);
  CHECK(refused.exit.code == 2);
  CHECK(refused.err.find("\"shell\" is no command that a host can accept") != std::string::npos);
  fleet.start_accepting("edge-1", "verify");
  CHECK(fleet.is_told("edge-1", "well", 1));
  const int number = fleet.ask({"pause", "--name", "*"});
  CHECK(fleet.comes_to(number, {{"not accepted", 1}}));
  // One who restarts it with more decides that it is done, if it has not expired.
  fleet.kill("edge-1");
  fleet.start_accepting("edge-1", "verify,pause");
  CHECK(fleet.comes_to(number, {{"done", 1}}));
}

TEST_CASE("commands: each verb says what there is, or what is wrong and what to do",
          "[mirror][fleet][commands]") {
  CommandedHosts fleet;
  const std::string url = "http://127.0.0.1:" + std::to_string(fleet.port) + "/fleet";
  CHECK(fleet.command({"commands"}).out ==
        "no commands: nobody has asked the hosts for anything\n");
  CHECK(fleet.command({"commands", "--json"}).out.empty());
  // An address is no directory: nothing is made by that name, and no directory is to be made.
  const std::vector<std::vector<std::string>> of_directory = {{"command", "verify", "--name", "*"},
                                                              {"withdraw", "1"},
                                                              {"publish"},
                                                              {"forget", "edge-1"},
                                                              {"rollout", "status"}};
  for (std::vector<std::string> arguments : of_directory) {
    arguments.insert(arguments.begin(), {program("daystream"), "fleet", url});
    const Result refused = run(arguments);
    CHECK(refused.exit.code == 2);
    CHECK(refused.err.find("is the address of a server, and this takes the fleet's directory\n"
                           "HINT: name the directory") != std::string::npos);
  }
  const Result bad = fleet.command({"command", "sample", "--size", "150%", "--name", "*"});
  CHECK(bad.exit.code == 2);
  CHECK(bad.err ==
        "daystream: invalid --size \"150%\"\nHINT: write it like 1% or 1000, no more "
        "than 100%\n");
  fleet.start_accepting("edge-1", "pause");
  CHECK(fleet.is_told("edge-1", "well", 1));
  CHECK(fleet.command({"command", "verify", "--name", "*"})
            .out.find("of 1 mirror that has reported it is for 1, of which 1 does not accept it") !=
        std::string::npos);
  const int paused = fleet.ask({"pause", "--name", "*"}) + 1;
  CHECK(fleet.comes_to(paused, {{"done", 1}}));
  CHECK(run({program("daystream"), "fleet", url, "commands", std::to_string(paused)})
            .out.find("  done         edge-1: the mirror stands still") != std::string::npos);

  // A file that is damaged is named, and the others are shown all the same.
  fleet.put("commands/new", "{");
  std::filesystem::rename(fleet.fleet() + "/commands/new", fleet.fleet() + "/commands/1.json");
  for (const std::vector<std::string>& asked :
       {std::vector<std::string>{"commands"}, {"commands", "1"}, {"withdraw", "1"}}) {
    const Result damaged = fleet.command(asked);
    CHECK(damaged.exit.code == 3);
    CHECK(damaged.err.find("commands/1.json\" is damaged\nHINT: bring it back") !=
          std::string::npos);
  }
  CHECK(eventually(
      [&] { return fleet.command({"commands"}).out.find("pause: 1 done") != std::string::npos; }));
  CHECK(eventually([&] {
    return fleet.server->err().find("commands/1.json\" is damaged; HINT: ") != std::string::npos;
  }));
}

TEST_CASE("commands: a mirror that is paused stands still, also when it starts again",
          "[mirror][fleet][commands]") {
  CommandedHosts fleet;
  fleet.start_accepting("edge-1");
  CHECK(fleet.is_told("edge-1", "well", 1));
  CHECK(fleet.comes_to(fleet.ask({"pause", "--name", "*", "--author", "ann"}), {{"done", 1}}));
  REQUIRE(eventually([&] { return fleet.says("edge-1", "paused"); }));
  fleet.cluster.execute("INSERT INTO fox VALUES (2, 'b')");
  CHECK(eventually([&] {
    return fleet.status("edge-1")["trouble"].dump().find("as ann has asked") != std::string::npos;
  }));
  CHECK(fleet.is_told("edge-1", "trouble", 1));
  CHECK(fleet.told("edge-1")["paused"]["by"] == "ann");
  // It would not end.
  CHECK(fleet.comes_to(fleet.ask({"reseed", "--table", "fox", "--name", "*"}), {{"failed", 1}}));
  fleet.kill("edge-1");
  fleet.start_accepting("edge-1");
  REQUIRE(eventually([&] { return fleet.says("edge-1", "paused"); }));
  CHECK(fleet.comes_to(fleet.ask({"verify", "--name", "*"}), {{"done", 1}}));
  CHECK(fleet.count("edge-1", "fox") == "1");

  SECTION("until it is to continue") {
    CHECK(fleet.comes_to(fleet.ask({"continue", "--name", "*"}), {{"done", 1}}));
    CHECK(eventually([&] { return fleet.count("edge-1", "fox") == "2"; }));
    CHECK(fleet.is_told("edge-1", "well", 1));
  }
  SECTION("until it takes no commands any more") {
    fleet.kill("edge-1");
    fleet.start("edge-1");
    CHECK(eventually([&] { return fleet.count("edge-1", "fox") == "2"; }));
    CHECK(eventually([&] { return fleet.status("edge-1")["paused"].is_null(); }));
    CHECK(fleet.record("edge-1")["commands"].size() == 3);
  }
  SECTION("and ends when it is told to") {
    fleet.hosts.at("edge-1").signal(SIGTERM);
    CHECK(fleet.hosts.at("edge-1").wait() == Exit{0, 0});
  }
}

TEST_CASE("commands: a restart is one, of the same process, with the same command line",
          "[mirror][fleet][commands]") {
  CommandedHosts fleet;
  fleet.start_accepting("edge-1");
  CHECK(fleet.is_told("edge-1", "well", 1));
  const int number = fleet.ask({"restart", "--name", "*"});
  CHECK(fleet.comes_to(number, {{"done", 1}}));
  CHECK(fleet.hosts.at("edge-1").running());
  CHECK(fleet.begun("edge-1", number) == 1);
  CHECK(fleet.says("edge-1", "started again"));
  fleet.cluster.execute("INSERT INTO fox VALUES (2, 'b')");
  CHECK(eventually([&] { return fleet.count("edge-1", "fox") == "2"; }));
  CHECK(fleet.is_told("edge-1", "well", 1));
  // Descriptors that stay open would be the locks of nobody.
  CHECK(fleet.comes_to(fleet.ask({"restart", "--name", "*"}), {{"done", 1}}));
  CHECK(fleet.comes_to(fleet.ask({"verify", "--name", "*"}), {{"done", 1}}));
  fleet.hosts.at("edge-1").signal(SIGTERM);
  CHECK(fleet.hosts.at("edge-1").wait() == Exit{0, 0});
}

TEST_CASE("commands: one that was begun is not begun again, whoever is killed meanwhile",
          "[mirror][fleet][commands]") {
  CommandedHosts fleet;
  fleet.start_accepting("edge-1");
  CHECK(fleet.is_told("edge-1", "well", 1));

  SECTION("the host, while it is at it") {
    int number = 0;
    {
      const support::Session holder = fleet.locked();
      number = fleet.ask({"verify", "--name", "*"});
      REQUIRE(fleet.is_running("edge-1", number));
      CHECK(fleet.comes_to(number, {{"running", 1}}));
      fleet.kill_and_keep("edge-1");
    }
    fleet.start_accepting("edge-1");
    CHECK(fleet.comes_to(number, {{"interrupted", 1}}));
    CHECK(eventually([&] {
      return fleet.command({"commands", std::to_string(number)}).exit.code == 1;
    }));
    CHECK(fleet.comes_to(fleet.ask({"verify", "--name", "*"}), {{"done", 1}}));
    CHECK(fleet.begun("edge-1", number) == 1);
  }
  SECTION("the host is told to end") {
    const support::Session holder = fleet.locked();
    const int number = fleet.ask({"verify", "--name", "*"});
    REQUIRE(fleet.is_running("edge-1", number));
    fleet.hosts.at("edge-1").signal(SIGTERM);
    CHECK(fleet.hosts.at("edge-1").wait() == Exit{0, 0});
    CHECK(fleet.record("edge-1")["commands"][0]["state"] == "interrupted");
  }
  SECTION("the server, which hears of it later") {
    int number = 0;
    {
      const support::Session holder = fleet.locked();
      number = fleet.ask({"verify", "--name", "*"});
      REQUIRE(fleet.is_running("edge-1", number));
      fleet.kill_server();
    }
    REQUIRE(eventually([&] { return fleet.says("edge-1", "(verify) done"); }));
    // Of what it was told it has lost all.
    std::filesystem::remove_all(fleet.fleet() + "/reports");
    fleet.start_server();
    CHECK(fleet.comes_to(number, {{"done", 1}}));
    CHECK(fleet.begun("edge-1", number) == 1);
  }
  SECTION("somebody withdraws it") {
    const support::Session holder = fleet.locked();
    const int number = fleet.ask({"verify", "--name", "*"});
    REQUIRE(fleet.is_running("edge-1", number));
    REQUIRE(fleet.command({"withdraw", std::to_string(number)}).ok());
    CHECK(fleet.comes_to(number, {{"withdrawn", 1}}));
    CHECK(fleet.command({"withdraw", std::to_string(number)}).exit.code == 2);
  }
  SECTION("it expires before the host is there") {
    fleet.kill("edge-1");
    const int number = fleet.ask({"verify", "--name", "*", "--expires", "1s"});
    REQUIRE(eventually([&] {
      const json found = fleet.shown(number);
      return found.is_object() && found["state"] == "expired";
    }));
    fleet.start_accepting("edge-1");
    CHECK(fleet.comes_to(fleet.ask({"verify", "--name", "*"}), {{"done", 1}}));
    CHECK(fleet.begun("edge-1", number) == 0);
  }
}

TEST_CASE("commands: killed at any moment, a host begins with none of them twice",
          "[mirror][fleet][commands]") {
  CommandedHosts fleet;
  fleet.start_accepting("edge-1");
  CHECK(fleet.is_told("edge-1", "well", 1));
  const auto seed = std::random_device()();
  CAPTURE(seed);
  std::mt19937 random(seed);
  std::vector<int> numbers;
  for (int round = 0; round < 6; ++round) {
    for (const char* const kind : {"pause", "continue", "verify"}) {
      numbers.push_back(fleet.ask({kind, "--name", "*"}));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 4000));
    if (random() % 3 == 0) {
      fleet.kill_server();
      fleet.start_server();
    }
    fleet.kill_and_keep("edge-1");
    fleet.start_accepting("edge-1");
  }
  for (const int number : numbers) {
    CAPTURE(number);
    CHECK(eventually([&] {
      const json mirrors = fleet.shown(number).value("mirrors", json());
      return mirrors == json{{"done", 1}} || mirrors == json{{"interrupted", 1}};
    }));
    CHECK(fleet.begun("edge-1", number) <= 1);
  }
  CHECK(fleet.comes_to(fleet.ask({"continue", "--name", "*"}), {{"done", 1}}));
  fleet.cluster.execute("INSERT INTO fox VALUES (2, 'b')");
  CHECK(eventually([&] { return fleet.count("edge-1", "fox") == "2"; }));
}
