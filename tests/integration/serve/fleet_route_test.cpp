// Configurations that a server offers to mirrors: GET /fleet/NAME.
#include <catch2/catch.hpp>
#include <csignal>
#include <memory>

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
  CHECK(outcome_of(server.url("/fleet")) == "404 no-such-stream");

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
  const std::string tokens = (offered.fleet / "tokens").string();
  const auto make = [&](const std::string& name, std::vector<std::string> more) {
    more.insert(more.begin(), {support::program("daystream"), "token", tokens, name});
    std::string token = run_ok(more);
    token.pop_back();
    return token;
  };
  const std::string own = make("edge-1", {"--fleet", "edge-1"});
  const std::string all = make("all", {"--fleet", "none,edge-*"});
  const std::string stream = make("stream", {"--streams", "test"});
  ServerProcess server({offered.directory.path()}, offered.options({"--tokens", tokens}));
  const auto ask = [&](const std::string& token, const std::string& path) {
    return run({"curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H",
                "Authorization: Bearer " + token, server.url(path)})
        .out;
  };
  CHECK(ask(own, "/fleet/edge-1") == "200");
  CHECK(ask(own, "/fleet/edge-2") == "403");
  CHECK(ask(own, "/fleet/core") == "403");
  CHECK(ask(own, "/fleet/edge-2?after=1&wait=300") == "403");
  CHECK(ask(all, "/fleet/edge-2") == "200");
  CHECK(ask(all, "/fleet/core") == "403");
  CHECK(ask(stream, "/fleet/edge-1") == "403");
  CHECK(ask(own, "/test/extent") == "200");
  CHECK(ask("x", "/fleet/edge-1") == "401");
  CHECK(outcome_of(server.url("/fleet/edge-1")) == "401 unauthorized");
  CHECK(run({support::program("daystream"), "token", tokens, "x", "--fleet", "a b"}).exit.code ==
        2);
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
