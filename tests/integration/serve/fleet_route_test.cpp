// Configurations that a server offers to mirrors: GET /fleet/NAME.
#include <catch2/catch.hpp>
#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>

#include "program/sqlite.h"
#include "server_process.h"
#include "stream_fixture.h"
#include "support/scratch_dir.h"

using namespace daystream;
using namespace daystream::test;
using namespace serve_test;
using support::eventually;
using support::run;
using support::run_ok;

namespace {

struct Offered : WrittenStream {
  Offered() : writer_(writer()) {
    writer_.mark(Lsn{0x1000}, {1, 1, {}});
    writer_.flush();
    spill(fleet / "base.json", R"({"tables": [{"table": "flights"}]})");
    spill(fleet / "eu.json", R"({"on_trouble": "keep"})");
    spill(fleet / "fleet.json",
          R"({"mirrors": [{"name": "edge-*", "use": ["base.json"]},
                          {"labels": {"region": "eu", "tier": "1"}, "use": ["eu.json"]}]})");
    publish();
  }
  std::string publish() const {
    return run_ok({support::program("daystream"), "fleet", fleet.path(), "publish"});
  }
  // Another revision, with a table of this name.
  void publish_with(const std::string& table) const {
    spill(fleet / "base.json", "{\"tables\": [{\"table\": \"" + table + "\"}]}");
    publish();
  }
  std::vector<std::string> options(std::vector<std::string> more = {}) const {
    more.insert(more.end(), {"--fleet", fleet.path()});
    return more;
  }
  std::string tokens() const { return (fleet / "tokens").string(); }
  std::string make_token(const std::string& name, std::vector<std::string> more) const {
    more.insert(more.begin(), {support::program("daystream"), "token", tokens(), name});
    std::string token = run_ok(more);
    token.pop_back();
    return token;
  }
  static support::Result ask(const std::string& url, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"curl", "-sSi", "-g"});
    more.push_back(url);
    return run(more);
  }
  static std::unique_ptr<Process> hold(const std::string& url) {
    return std::make_unique<Process>(std::vector<std::string>{"curl", "-sS", "-g", url});
  }

  support::ScratchDir fleet;
  Writer writer_;
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A report as a mirror makes it.
nlohmann::json report(const std::string& state, int revision, const std::string& trouble = {}) {
  nlohmann::json out = {{"state", state},
                        {"host", "host-a"},
                        {"labels", {{"region", "eu"}}},
                        {"config", {{"revision", revision}, {"wanted_revision", revision}}},
                        {"trouble", nlohmann::json::array()},
                        {"lag_seconds", 0.25}};
  if (!trouble.empty()) out["trouble"].push_back(trouble);
  return out;
}

// The status that a request with this token is answered with.
std::string code_of(const std::string& url, const std::string& token,
                    const std::vector<std::string>& more = {}) {
  std::vector<std::string> argv = {"curl", "-sS",          "-o", "/dev/null",
                                   "-w",   "%{http_code}", "-H", "Authorization: Bearer " + token};
  argv.insert(argv.end(), more.begin(), more.end());
  argv.push_back(url);
  return run(argv).out;
}

std::string tell(const std::string& url, const std::string& body, const std::string& token = "x") {
  return code_of(url + "/report", token, {"--data-binary", body});
}

nlohmann::json json_of(const std::string& url) {
  return nlohmann::json::parse(body_of(url), nullptr, false);
}

std::vector<std::string> names_of(const nlohmann::json& fleet) {
  std::vector<std::string> out;
  for (const auto& mirror : fleet["mirrors"]) out.push_back(mirror["name"]);
  return out;
}

// Of a connection whose request the server has taken, as nothing says so from outside.
std::string open_descriptors(Process& process) {
  return run({"bash", "-c", "ls /proc/" + std::to_string(process.pid()) + "/fd | wc -l"}).out;
}

}  // namespace

TEST_CASE("fleet: a mirror is told what it is to hold by the newest revision", "[serve][fleet]") {
  const Offered offered;
  ServerProcess server({offered.directory.path()}, offered.options());
  const auto first = Offered::ask(server.url("/fleet/edge-1"));
  CHECK(has(first.out, "200 OK"));
  CHECK(has(first.out, "Daystream-Revision: 1"));
  CHECK(has(first.out, "ETag: \"1\""));
  CHECK(body_of(server.url("/fleet/edge-1")) ==
        "{\n  \"tables\": [\n    {\n      \"table\": \"flights\"\n    }\n  ]\n}\n");
  CHECK(has(body_of(server.url("/fleet/edge-1?label=tier%3D1&label=region%3Deu")), "keep"));
  CHECK_FALSE(has(body_of(server.url("/fleet/edge-1?label=region%3Deu")), "keep"));
  CHECK(
      has(Offered::ask(server.url("/fleet/edge-1"), {"-H", "If-None-Match: \"1\""}).out, " 304 "));

  CHECK(outcome_of(server.url("/fleet/core")) == "404 no-configuration");
  // A rule for some labels alone gives what is no configuration: nobody gets that.
  CHECK(outcome_of(server.url("/fleet/core?label=region%3Deu&label=tier%3D1")) ==
        "404 no-configuration");
  CHECK(outcome_of(server.url("/fleet/edge-1?lable=a%3Db")) == "400 bad-request");
  CHECK(outcome_of(server.url("/fleet/edge-1?label=a")) == "400 bad-request");
  CHECK(outcome_of(server.url("/fleet/edge-1?after=1&wait=301")) == "400 bad-request");
  CHECK(outcome_of(server.url("/fleet/edge-1"), "POST") == "405 method");
  CHECK(outcome_of(server.url("/fleet")) == "200");

  SECTION("what is being edited is offered to nobody") {
    spill(offered.fleet / "base.json", R"({"tables": [{"tab)");
    server.process().signal(SIGHUP);
    CHECK(has(body_of(server.url("/fleet/edge-1")), "flights"));
  }
  SECTION("a revision that is damaged leaves the one before in force") {
    spill(offered.fleet / "revisions/2.json", "{");
    CHECK(eventually([&] { return has(server.process().err(), "revision 1 stays in force"); }));
    CHECK(has(body_of(server.url("/fleet/edge-1")), "flights"));
  }
}

TEST_CASE("fleet: an answer that is held comes with the next revision, at once", "[serve][fleet]") {
  const Offered offered;
  ServerProcess server({offered.directory.path()}, offered.options());
  std::vector<std::unique_ptr<Process>> waiting;
  for (int i = 0; i < 50; ++i) {
    waiting.push_back(
        Offered::hold(server.url("/fleet/edge-" + std::to_string(i) + "?after=1&wait=300")));
  }
  // Some go away meanwhile.
  REQUIRE(eventually([&] { return std::stoi(open_descriptors(server.process())) > 60; }));
  for (int i = 0; i < 10; ++i) waiting[i]->signal(SIGKILL);
  for (const auto& each : waiting) CHECK(each->out().empty());

  offered.publish_with("aircraft");
  for (int i = 10; i < 50; ++i) {
    CHECK(waiting[i]->wait(std::chrono::seconds(20)) == support::Exit{0, 0});
    CHECK(has(waiting[i]->out(), "aircraft"));
  }
  // Who knows another one than the newest is not held, whichever is the greater.
  CHECK(has(body_of(server.url("/fleet/edge-1?after=1&wait=300")), "aircraft"));
  CHECK(has(body_of(server.url("/fleet/edge-1?after=7&wait=300")), "aircraft"));
  // The time is over: what there is.
  CHECK(has(Offered::ask(server.url("/fleet/edge-1?after=2&wait=1")).out, "Daystream-Revision: 2"));
  // One that no rule is about hears of the next revision, too.
  const auto core = Offered::hold(server.url("/fleet/core?after=2&wait=300"));
  offered.publish_with("crews");
  CHECK(core->wait(std::chrono::seconds(20)) == support::Exit{0, 0});
  CHECK(has(core->out(), "no-configuration"));

  SECTION("one that says more, or half of it, is no reason to end") {
    RawConnection more(server.port());
    more.send("GET /fleet/edge-1?after=3&wait=300 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    more.send("GET /fleet/edge-1 HTTP/1.1\r\nHost: localhost\r\n\r\n" + std::string(100000, 'x'));
    CHECK(outcome_of(server.url("/healthz")) == "200");
    offered.publish_with("more");
    CHECK(has(more.read_all(), "Daystream-Revision: 4"));
  }
  SECTION("the server ends while they wait") {
    const auto held = Offered::hold(server.url("/fleet/edge-1?after=3&wait=300"));
    CHECK(outcome_of(server.url("/healthz")) == "200");
    server.process().signal(SIGTERM);
    CHECK(server.process().wait() == support::Exit{0, 0});
    CHECK(held->wait().code != 0);
  }
}

TEST_CASE("fleet: a token reads the configurations that it names, and no other",
          "[serve][fleet][security]") {
  const Offered offered;
  const std::string own = offered.make_token("edge-1", {"--fleet", "edge-1"});
  const std::string all = offered.make_token("all", {"--fleet", "none,edge-*"});
  const std::string stream = offered.make_token("stream", {"--streams", "test"});
  ServerProcess server({offered.directory.path()}, offered.options({"--tokens", offered.tokens()}));
  const auto ask = [&](const std::string& token, const std::string& path) {
    return code_of(server.url(path), token);
  };
  CHECK(ask(own, "/fleet/edge-1") == "200");
  CHECK(ask(own, "/fleet/edge-2") == "403");
  CHECK(ask(own, "/fleet/core") == "403");
  CHECK(ask(own, "/fleet/edge-2?after=1&wait=300") == "403");
  CHECK(ask(all, "/fleet/edge-2") == "200");
  CHECK(ask(all, "/fleet/core") == "403");
  CHECK(ask(stream, "/fleet/edge-1") == "403");
  CHECK(ask(own, "/test/extent") == "200");
  CHECK(ask(all, "/fleet/edge-1%00") == "400");
  CHECK(ask(all, "/fleet/edge-1%1b%5b2J") == "400");
  CHECK(ask("x", "/fleet/edge-1") == "401");
  CHECK(outcome_of(server.url("/fleet/edge-1")) == "401 unauthorized");
  CHECK(run({support::program("daystream"), "token", offered.tokens(), "x", "--fleet", "a b"})
            .exit.code == 2);
}

TEST_CASE("fleet: what mirrors report is shown, those in trouble first, and outlives the server",
          "[serve][fleet][reports]") {
  const Offered offered;
  std::optional<ServerProcess> server(
      std::in_place, std::vector<std::string>{offered.directory.path()}, offered.options());
  const auto url = [&](const std::string& path) { return server->url(path); };
  CHECK(names_of(json_of(url("/fleet"))).empty());
  CHECK(tell(url("/fleet/edge-1"), report("well", 1).dump()) == "200");
  CHECK(tell(url("/fleet/edge-2"), report("trouble", 1, "its disk is full").dump()) == "200");
  CHECK(tell(url("/fleet/edge-3"), report("copying", 1, "table a is copying").dump()) == "200");
  CHECK(tell(url("/fleet/edge-4"), report("stopped", 1, "a gap").dump()) == "200");
  CHECK(tell(url("/fleet/edge-5"), report("refused", 1, "no column").dump()) == "200");

  const nlohmann::json fleet = json_of(url("/fleet"));
  CHECK(fleet["revision"] == 1);
  CHECK(names_of(fleet) ==
        std::vector<std::string>{"edge-4", "edge-5", "edge-2", "edge-3", "edge-1"});
  CHECK(fleet["states"] == nlohmann::json{{"stopped", 1},
                                          {"refused", 1},
                                          {"trouble", 1},
                                          {"silent", 0},
                                          {"copying", 1},
                                          {"well", 1}});
  CHECK(fleet["mirrors"][0]["labels"]["region"] == "eu");
  CHECK(fleet["mirrors"][0]["lag_seconds"] == 0.25);
  const nlohmann::json two = json_of(url("/fleet?most=2"));
  CHECK(names_of(two) == std::vector<std::string>{"edge-4", "edge-5"});
  CHECK(two["left_out"] == 3);
  CHECK(names_of(json_of(url("/fleet?search=disk"))) == std::vector<std::string>{"edge-2"});
  CHECK(names_of(json_of(url("/fleet?search=region%3Deu"))).size() == 5);
  CHECK(names_of(json_of(url("/fleet?search=region%3Dus"))).empty());
  CHECK(names_of(json_of(url("/fleet?search=well"))) == std::vector<std::string>{"edge-1"});

  const std::string metrics = body_of(url("/metrics"));
  CHECK(has(metrics, "\ndaystream_fleet_mirrors{state=\"stopped\"} 1\n"));
  CHECK(has(metrics, "\ndaystream_fleet_revision_mirrors{revision=\"1\"} 5\n"));
  CHECK(has(metrics, "\ndaystream_fleet_revision 1\n"));
  CHECK_FALSE(has(metrics, "edge-2"));

  // What is no report is none, whoever sends it.
  CHECK(tell(url("/fleet/edge-1"), "{") == "400");
  CHECK(tell(url("/fleet/edge-1"), "[]") == "400");
  CHECK(tell(url("/fleet/edge-1"), R"({"state": "fine", "trouble": []})") == "400");
  CHECK(tell(url("/fleet/edge-1"), R"({"state": "silent", "trouble": []})") == "400");
  CHECK(tell(url("/fleet/edge-1"), R"({"state": "well", "trouble": {}})") == "400");
  CHECK(tell(url("/fleet/edge-1"), report("well", 1, std::string(40000, 'x')).dump()) == "400");
  CHECK(tell(url("/fleet/" + std::string(101, 'x')), report("well", 1).dump()) == "400");
  const std::string odd =
      R"({"state": "well", "trouble": [7], "labels": [1], "config": 3, "host": {}, "lag_seconds": "x"})";
  CHECK(tell(url("/fleet/odd"), odd) == "200");
  CHECK(json_of(url("/fleet"))["mirrors"].size() == 6);
  CHECK(outcome_of(url("/fleet?seek=x")) == "400 bad-request");

  const std::string directory = offered.fleet.path();
  const auto status = [&](const std::string& where, std::vector<std::string> more = {}) {
    std::vector<std::string> argv = {support::program("daystream"), "fleet", where, "status"};
    argv.insert(argv.end(), more.begin(), more.end());
    return run(argv);
  };
  const auto shown = status(url("/fleet"));
  CHECK(shown.exit.code == 1);
  CHECK(has(shown.out, "revision 1, 6 mirrors: "));
  CHECK(shown.out.find("stopped  edge-4") < shown.out.find("trouble  edge-2"));
  CHECK(has(shown.out, "its disk is full"));

  // Killed just after, it has kept what was said, and what became of each.
  CHECK(tell(url("/fleet/edge-2"), report("well", 1).dump()) == "200");
  REQUIRE(eventually([&] { return json_of(url("/fleet/edge-2/report"))["events"].size() == 2; }));
  server->process().signal(SIGKILL);
  server->process().wait();
  const auto kept = status(directory, {"--json"});
  CHECK(nlohmann::json::parse(kept.out)["states"]["well"] == 3);
  CHECK(has(status(directory, {"edge-2"}).out, "\"host\": \"host-a\""));
  CHECK(status(directory, {"edge-9"}).exit.code == 2);
  {
    const program::Database db((offered.fleet / "reports/reports.db").string(),
                               program::Database::Mode::ReadWrite);
    db.prepare("UPDATE heard SET at = at - 60").run();
  }
  CHECK(has(status(directory).out, "silent for 6"));
  const auto forget = [&](const std::string& name) {
    return run({support::program("daystream"), "fleet", directory, "forget", name});
  };
  CHECK(forget("edge-3").ok());
  CHECK(forget("edge-3").exit.code == 2);
  // Nobody is missed before he could be heard.
  server.emplace(std::vector<std::string>{offered.directory.path()}, offered.options());
  CHECK(json_of(url("/fleet"))["states"]["silent"] == 0);
  CHECK(json_of(url("/fleet"))["states"]["well"] == 3);
  CHECK(json_of(url("/fleet"))["mirrors"].size() == 5);
  // One that reports is there; one that was forgotten while the server runs is not.
  CHECK(tell(url("/fleet/edge-1"), report("well", 1).dump()) == "200");
  REQUIRE(eventually([&] { return status(directory, {"edge-1"}).ok(); }));
  CHECK(forget("edge-1").exit.code == 2);
  CHECK(forget("edge-5").ok());
  CHECK(eventually([&] { return json_of(url("/fleet"))["mirrors"].size() == 4; }));
}

TEST_CASE("fleet: a mirror is told at once what it is to do, and what became of it is kept",
          "[serve][fleet][commands]") {
  const Offered offered;
  std::optional<ServerProcess> server(
      std::in_place, std::vector<std::string>{offered.directory.path()}, offered.options());
  const std::string directory = offered.fleet.path();
  const auto give = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {support::program("daystream"), "fleet", directory});
    return run(more);
  };
  const auto answer = [&](const std::string& name, const nlohmann::json& outcomes) {
    nlohmann::json told = report("well", 1);
    told["accept_commands"] = {"verify", "pause"};
    told["commands"] = outcomes;
    return nlohmann::json::parse(run({"curl", "-sS", "--data-binary", told.dump(),
                                      server->url("/fleet/" + name + "/report")})
                                     .out);
  };
  CHECK(answer("edge-1", nlohmann::json::array()) == nlohmann::json::object());
  CHECK(has(Offered::ask(server->url("/fleet/edge-1")).out, "Daystream-Commands: 0"));

  const auto held = Offered::hold(server->url("/fleet/edge-1?after=1&wait=300&commands=0"));
  const auto other = Offered::hold(server->url("/fleet/edge-2?after=1&wait=300&commands=0"));
  CHECK(give({"command", "verify"}).exit.code == 2);
  CHECK(give({"command", "reboot", "--name", "*"}).exit.code == 2);
  CHECK(give({"command", "verify", "--name", "*", "--table", "a"}).exit.code == 2);
  REQUIRE(eventually([&] { return give({"status", "edge-1"}).ok(); }));
  const auto given = give({"command", "verify", "--name", "edge-1", "--author", "ann"});
  CHECK(has(given.out, "command 1: verify, until "));
  CHECK(has(given.out, "of 1 mirror that has reported it is for 1"));
  CHECK(held->wait(std::chrono::seconds(20)) == support::Exit{0, 0});
  CHECK(has(Offered::ask(server->url("/fleet/edge-1")).out, "Daystream-Commands: 1"));
  CHECK(other->running());
  const nlohmann::json orders = answer("edge-1", nlohmann::json::array());
  REQUIRE(orders["commands"].size() == 1);
  CHECK(orders["commands"][0]["kind"] == "verify");
  const std::string id = orders["commands"][0]["id"];
  // An answer that was lost is given again.
  CHECK(answer("edge-1", nlohmann::json::array()) == orders);
  CHECK(answer("edge-2", nlohmann::json::array()) == nlohmann::json::object());

  const auto outcome = [&](const std::string& state) {
    return nlohmann::json::array({{{"id", id},
                                   {"state", state},
                                   {"result", "0 rows differ \x1b[2J"},
                                   {"at", "2026-11-21T10:15:04Z"}}});
  };
  CHECK(answer("edge-1", outcome("running")) == nlohmann::json::object());
  CHECK(answer("edge-1", outcome("done")) == nlohmann::json::object());
  CHECK(json_of(server->url("/fleet"))["commands"][0]["mirrors"] == nlohmann::json{{"done", 1}});
  CHECK(has(server->process().err(), "command " + id + " at \"edge-1\": done: 0 rows differ"));
  CHECK(has(body_of(server->url("/metrics")), "\ndaystream_fleet_commands{state=\"done\"} 1\n"));
  REQUIRE(eventually([&] { return has(give({"commands", "1"}).out, "done"); }));
  server->process().signal(SIGKILL);
  server->process().wait();
  const auto shown = give({"commands", "1"});
  CHECK(shown.ok());
  CHECK(has(shown.out, "open by ann for edge-1: verify: 1 done\n  done         edge-1: 0 rows"));
  CHECK_FALSE(has(shown.out, "\x1b"));
  CHECK(give({"commands", "2"}).exit.code == 2);

  // One that begins again asks nobody twice; one that is withdrawn is asked of nobody.
  server.emplace(std::vector<std::string>{offered.directory.path()}, offered.options());
  CHECK(answer("edge-1", nlohmann::json::array()) == nlohmann::json::object());
  CHECK(give({"command", "pause", "--label", "region=e?"}).ok());
  REQUIRE(eventually([&] { return !answer("edge-2", nlohmann::json::array()).empty(); }));
  CHECK(give({"withdraw", "2"}).ok());
  CHECK(eventually([&] { return answer("edge-1", nlohmann::json::array()).empty(); }));
  CHECK(has(give({"commands"}).out, "withdrawn by "));
  const auto remote =
      run({support::program("daystream"), "fleet", server->url("/fleet"), "commands", "--json"});
  CHECK(nlohmann::json::parse(remote.out.substr(0, remote.out.find('\n')))["kind"] == "pause");
  spill(offered.fleet / "commands/3.json", "{");
  CHECK(eventually([&] { return has(server->process().err(), "3.json\" is damaged"); }));
}

TEST_CASE("fleet: without a place to keep reports the server goes on, and says so",
          "[serve][fleet][reports]") {
  const Offered offered;
  spill(offered.fleet / "reports", "in the way");
  ServerProcess server({offered.directory.path()}, offered.options());
  CHECK(has(server.process().err(), "what mirrors report is not kept"));
  CHECK(tell(server.url("/fleet/edge-1"), report("well", 1).dump()) == "200");
  CHECK(names_of(json_of(server.url("/fleet"))) == std::vector<std::string>{"edge-1"});
  CHECK(eventually([&] { return has(server.process().err(), "could not keep what mirrors"); }));
}

TEST_CASE("fleet: a token reports for the mirrors that it names, and sees no others",
          "[serve][fleet][reports][security]") {
  const Offered offered;
  const std::string own = offered.make_token("edge-1", {"--fleet", "edge-1"});
  const std::string all = offered.make_token("all", {"--fleet", "*"});
  const std::string stream = offered.make_token("stream", {"--streams", "test"});
  ServerProcess server({offered.directory.path()}, offered.options({"--tokens", offered.tokens()}));
  const std::string good = report("well", 1).dump();
  CHECK(tell(server.url("/fleet/edge-1"), good, own) == "200");
  CHECK(tell(server.url("/fleet/edge-2"), good, own) == "403");
  CHECK(tell(server.url("/fleet/edge-1"), good, stream) == "403");
  CHECK(tell(server.url("/fleet/edge-1"), good, "y") == "401");
  CHECK(tell(server.url("/fleet/edge-2"), good, all) == "200");
  const auto names = [&](const std::string& token) {
    return run({"curl", "-sS", "-H", "Authorization: Bearer " + token, server.url("/fleet")}).out;
  };
  CHECK_FALSE(has(names(own), "edge-2"));
  CHECK(has(names(own), "edge-1"));
  CHECK(has(names(all), "edge-2"));
  CHECK(has(names(stream), "may not read how mirrors are"));
  // Nor by their number.
  const auto metrics = [&](const std::string& token) {
    return run({"curl", "-sS", "-H", "Authorization: Bearer " + token, server.url("/metrics")}).out;
  };
  CHECK(has(metrics(all), "\ndaystream_fleet_mirrors{state=\"well\"} 2\n"));
  CHECK(has(metrics(own), "\ndaystream_fleet_mirrors{state=\"well\"} 1\n"));
  CHECK(has(metrics(stream), "\ndaystream_up"));
  CHECK_FALSE(has(metrics(stream), "daystream_fleet_"));
  // Nor what others are asked to do.
  CHECK(run({support::program("daystream"), "fleet", offered.fleet.path(), "command", "verify",
             "--name", "*"})
            .ok());
  REQUIRE(eventually([&] { return has(names(all), "\"kind\": \"verify\""); }));
  CHECK(has(names(own), "\"commands\": null"));
  const auto code = [&](const std::string& token, const std::string& path) {
    return code_of(server.url(path), token);
  };
  CHECK(code(own, "/fleet/edge-2/report") == "403");
  CHECK(code(all, "/fleet/edge-2/report") == "200");
}

TEST_CASE("fleet: a server that cannot offer configurations does not start", "[serve][fleet]") {
  const Offered offered;
  const auto start = [&](const std::string& stream, const std::string& fleet) {
    return run({support::program("daystream"), "serve", stream, "--fleet", fleet, "--listen",
                "127.0.0.1:0"});
  };
  const std::string directory = offered.directory.path();
  const auto named = start("fleet=" + directory, offered.fleet.path());
  CHECK(named.exit.code == 2);
  CHECK(has(named.err, "a daystream is called \"fleet\", as the configurations of --fleet"));
  support::ScratchDir empty;
  const auto none = start(directory, empty.path());
  CHECK(none.exit.code == 2);
  CHECK(has(none.err, "has no revision yet"));
  CHECK(start(directory, empty / "none").exit.code == 2);
}
