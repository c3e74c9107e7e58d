// The page at `/`: in a headless browser where there is one, and as a document everywhere.
#include <catch2/catch.hpp>
#include <csignal>

#include "server_process.h"
#include "sharing/file_store.h"
#include "src/calendar.h"
#include "stream_fixture.h"
#include "support/scratch_dir.h"

using namespace daystream;
using namespace daystream::test;
using namespace serve_test;
using support::eventually;

namespace {

struct Shown : WrittenStream {
  Shown() : writer_(writer()) {
    writer_.mark(Lsn{0x1000}, {1, 1, {}});
    for (int i = 1; i <= 30; ++i) {
      now += i % 11 == 0 ? 86400 : 1;
      writer_.append(transaction(i, 3));
    }
    writer_.flush();
  }
  Writer writer_;
};

// The page as a browser has it once its scripts have run. No sandbox, as tests may run as root; it
// loads nothing but our own page.
std::string loaded(const ServerProcess& server) {
  const support::ScratchDir profile;
  return support::run({"chromium", "--headless", "--no-sandbox", "--disable-gpu",
                       "--disable-dev-shm-usage", "--user-data-dir=" + profile.path().string(),
                       "--virtual-time-budget=3000", "--dump-dom", server.url("/")},
                      {}, std::chrono::seconds{120})
      .out;
}

struct PublishedFleet {
  PublishedFleet() {
    spill(directory / "fleet.json", R"({"mirrors": [{"with": {"tables": [{"table": "a"}]}}]})");
    support::run_ok({support::program("daystream"), "fleet", directory.path(), "publish"});
  }
  support::ScratchDir directory;
};

struct ShownFleet : Shown {
  // The status code that a mirror's report gets.
  std::string tell(const std::string& name, const std::string& report) const {
    return support::run_ok({"curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary",
                            report, server.url("/fleet/" + name + "/report")});
  }
  PublishedFleet fleet;
  ServerProcess server{{directory.path()}, {"--fleet", fleet.directory.path()}};
};

}  // namespace

TEST_CASE("page: one document, that nothing from elsewhere gets into", "[serve][page]") {
  Shown shown;
  support::ScratchDir keys;
  spill(keys / "tokens", "");
  std::filesystem::permissions(keys / "tokens", std::filesystem::perms::owner_read);
  ServerProcess server({shown.directory.path()}, {"--tokens", keys / "tokens"});
  // It says nothing by itself, so it needs no token; what it asks for does.
  const std::string answer =
      support::run_ok({"curl", "-sS", "-i", "--path-as-is", server.url("/")});
  CHECK(answer.find("HTTP/1.1 200") == 0);
  CHECK(answer.find("Content-Type: text/html; charset=utf-8") != std::string::npos);
  CHECK(answer.find("Content-Security-Policy: default-src 'none'; script-src 'sha256-") !=
        std::string::npos);
  CHECK(answer.find("'unsafe-inline'") == std::string::npos);
  const std::string html = answer.substr(answer.find("<!DOCTYPE html>"));
  for (const char* outside : {"src=\"", "http://", "https://", "@import", "url(", "style=\""}) {
    CAPTURE(outside);
    // (The namespace of SVG is a name, not a place.)
    const auto at = html.find(outside);
    CHECK((at == std::string::npos || html.compare(at, 18, "http://www.w3.org/") == 0));
  }
  CHECK(html.find("prefers-color-scheme: dark") != std::string::npos);
  CHECK(outcome_of(server.url("/status")) == "401 unauthorized");
  CHECK(outcome_of(server.url("/history")) == "401 unauthorized");
}

TEST_CASE("page: a browser shows streams, followers and mirrors, and runs its script",
          "[serve][page]") {
  const auto found = support::run({"sh", "-c", "command -v chromium"});
  Shown shown;
  ServerProcess server({shown.directory.path()});
  RawConnection follower(server.port());
  follower.send("GET /test/stream HTTP/1.1\r\nHost: x\r\nDaystream-Host: edge7\r\n\r\n");
  REQUIRE(follower.read_some(12) == "HTTP/1.1 200");
  CHECK(outcome_of(server.url("/test/copies?copy=edge8:/srv/a.db&kind=mirror&position=1507550402/1"
                              "&lag_ms=1234"),
                   "POST") == "200");
  sharing::FileStore::create(shown.directory.path() / ".groups/mailers",
                             {sharing::By::Key, 3, "", Position::begin(), ""});
  // The server looks for groups now and then.
  CHECK(eventually(
      [&] { return body_of(server.url("/status")).find("mailers") != std::string::npos; }));
  CHECK(body_of(server.url("/history")).find("\"test\":{\"bytes_per_second\":[") !=
        std::string::npos);
  if (!found.ok()) {
    WARN("chromium is not installed: the page was not loaded");
    return;
  }
  const std::string document = loaded(server);
  CHECK(document.find("<h2>test</h2>") != std::string::npos);
  CHECK(document.find("edge7") != std::string::npos);
  CHECK(document.find("edge8:/srv/a.db") != std::string::npos);
  CHECK(document.find("1.2 s") != std::string::npos);
  CHECK(document.find(">mailers</td>") != std::string::npos);
  CHECK(document.find("parts without a worker") != std::string::npos);
  // Nothing has come since 2017, and that is said first.
  CHECK(document.find("● 1 in trouble") != std::string::npos);
  CHECK(document.find("nothing has come for") != std::string::npos);
  CHECK(document.find("<title>(1) test") != std::string::npos);
}

TEST_CASE("page: a browser shows the mirrors of a fleet, those in trouble first", "[serve][page]") {
  if (!support::run({"sh", "-c", "command -v chromium"}).ok()) {
    WARN("chromium is not installed: the page was not loaded");
    return;
  }
  const ShownFleet shown;
  CHECK(
      shown.tell("edge-1",
                 R"({"state": "well", "trouble": [], "labels": {"region": "eu"}, "lag_seconds": 0.5,
                     "config": {"revision": 1}})") == "200");
  CHECK(
      shown.tell(
          "edge-2",
          R"({"state": "trouble", "trouble": ["<b>its disk</b> is full"], "lag_seconds": null})") ==
      "200");
  for (int i = 0; i < 120; ++i) {
    CHECK(shown.tell("more-" + std::to_string(i), R"({"state": "well", "trouble": []})") == "200");
  }
  const std::string document = loaded(shown.server);
  CHECK(document.find("● 2 in trouble") != std::string::npos);
  const auto trouble = document.find("edge-2");
  const auto well = document.find("edge-1");
  REQUIRE(trouble != std::string::npos);
  REQUIRE(well != std::string::npos);
  CHECK(trouble < well);
  CHECK(document.find("&lt;b&gt;its disk") != std::string::npos);
  CHECK(document.find("region=eu") != std::string::npos);
  CHECK(document.find("and 102 more: search for them") != std::string::npos);
}

TEST_CASE("page: no host's report hides the other mirrors, or steers what is shown",
          "[serve][page][security]") {
  const ShownFleet shown;
  // What a script that takes it for text or a number trips over: it is left out.
  int odd = 0;
  for (const std::string& member :
       {R"("host": {"toString": 1})", R"("host": ["h", "good"])", R"("labels": "abc")",
        R"("labels": {"a": {"toString": 1}})", R"("config": {"revision": {"toString": 1}})",
        R"("config": [])", R"("size_bytes": [1])", R"("disk_free_bytes": "1")",
        R"("lag_seconds": {})"}) {
    CAPTURE(member);
    CHECK(shown.tell("odd-" + std::to_string(++odd),
                     R"({"state": "well", "trouble": [{"toString": 1}, ["a"]], )" + member + "}") ==
          "200");
  }
  CHECK(shown.tell("edge-2", R"({"state": "trouble", "host": "<img src=x onerror=alert(1)>",
                           "trouble": ["</td><script>document.title='taken'</script>"],
                           "labels": {"<b>": "\"><svg onload=alert(1)>", "a": "x\u202ey"},
                           "config": null, "lag_seconds": 1e300})") == "200");
  const std::string told = body_of(shown.server.url("/fleet"));
  CHECK(told.find("toString") == std::string::npos);
  CHECK(told.find("x\\\\xe2\\\\x80\\\\xaey") != std::string::npos);
  CHECK(told.find("\u202e") == std::string::npos);
  if (!support::run({"sh", "-c", "command -v chromium"}).ok()) {
    WARN("chromium is not installed: the page was not loaded");
    return;
  }
  const std::string document = loaded(shown.server);
  CHECK(document.find("● 2 in trouble") != std::string::npos);
  CHECK(document.find("&lt;img src=x") != std::string::npos);
  CHECK(document.find("<img") == std::string::npos);
  CHECK(document.find("<svg onload") == std::string::npos);
  CHECK(document.find("<title>taken") == std::string::npos);
  CHECK(document.find("odd-9") != std::string::npos);
}

TEST_CASE("page: with nothing wrong it says that it is live", "[serve][page]") {
  if (!support::run({"sh", "-c", "command -v chromium"}).ok()) {
    WARN("chromium is not installed: the page was not loaded");
    return;
  }
  Shown shown;
  spill(shown.directory.path() / "status.json",
        "{\"state\": \"streaming\", \"updated_at\": \"" +
            daystream::utc_text(daystream::at_second(std::time(nullptr) + 3600)) + "\"}");
  ServerProcess server({shown.directory.path()});
  const std::string document = loaded(server);
  CHECK(document.find("● live") != std::string::npos);
}
