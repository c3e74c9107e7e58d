// README and the users' pages are promises: the examples they show are run here, in their order,
// with the paths and connections of a test in place of those of the text.
//
// A fenced block of `sh` is run by bash, one of `sql` by psql in the streamed database. What stands
// in a comment right before it:
//   <!-- not run: REASON -->                     it cannot be run here
//   <!-- in the background, until: CONDITION --> it goes on beside what follows, once CONDITION, a
//                                                command, succeeds
//   <!-- config -->                              of `json`: a configuration without a mistake
#include <catch2/catch.hpp>
#include <csignal>
#include <memory>
#include <regex>
#include <sstream>

#include "pipeline.h"
#include "support/free_port.h"

namespace {

using namespace pipeline;
using support::eventually;
using support::program;

const std::filesystem::path kRoot = std::filesystem::path(PIPELINE_SOURCE_DIR) / "../../..";

struct Example {
  std::string note;  // what the comment says
  std::string language;
  std::string text;
};

std::vector<Example> examples_of(const std::string& page) {
  std::istringstream lines(support::read_file(kRoot / page));
  std::vector<Example> examples;
  bool inside = false;
  std::string before, line;
  while (std::getline(lines, line)) {
    if (inside && line == "```") {
      inside = false;
    } else if (inside) {
      examples.back().text += line + "\n";
    } else if (line.starts_with("```")) {
      inside = true;
      Example& example = examples.emplace_back();
      example.language = line.substr(3);
      if (before.starts_with("<!-- ")) example.note = before.substr(5, before.size() - 5 - 4);
    }
    before = line;
  }
  REQUIRE_FALSE(inside);
  return examples;
}

std::optional<std::string> after(const std::string& text, const std::string& prefix) {
  if (!text.starts_with(prefix)) return std::nullopt;
  return text.substr(prefix.size());
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

// A host on which the pages are followed: a server with the tables they speak of, and folders.
class Host {
 public:
  Host() {
    for (const char* const folder :
         {"var/lib/daystream", "srv/snapshots", "etc/daystream", "run"}) {
      std::filesystem::create_directories(dir_ / folder);
    }
    cluster_.create_database("prod");
    cluster_.create_database("copy");
    for (const char* const database : {"prod", "copy"}) {
      cluster_.execute(
          "CREATE SCHEMA ops;"
          "CREATE TABLE flights (id int PRIMARY KEY, status text, origin text, destination text);"
          "CREATE TABLE ops.aircraft (tail text PRIMARY KEY, type text, seats int);"
          "CREATE TABLE ops.crews (flight int, seat int, name text, PRIMARY KEY (flight, seat));"
          "INSERT INTO flights VALUES (1, 'delayed', 'OSL', 'AMS'), (2, 'scheduled', 'AMS', 'OSL');"
          "INSERT INTO ops.aircraft VALUES ('LN-DYA', 'B738', 189)",
          database);
    }
    folder_ = dir_.path().string();
    port_ = std::to_string(support::free_port());
    for (const char* const name : {"deltastream", "daystream", "deltamirror"}) {
      path_ += std::filesystem::path(program(name)).parent_path().string() + ":";
    }
    path_ += std::getenv("PATH");
    bash(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        "  -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem "
        "&& chmod 600 key.pem");
  }
  ~Host() {
    // The last first: who follows should not see who it follows go.
    while (!running_.empty()) {
      running_.back()->signal_group(SIGTERM);
      running_.back()->wait(std::chrono::seconds(20));
      running_.back()->signal_group(SIGKILL);
      running_.pop_back();
    }
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  void follow(const std::string& page) {
    for (const Example& example : examples_of(page)) {
      CAPTURE(page, example.text);
      run(example);
      for (const auto& process : running_) {
        INFO(process->err());
        REQUIRE(process->running());
      }
    }
  }

  // Changes that the stream has once this returns.
  void change_something() {
    cluster_.execute("INSERT INTO flights VALUES (4711, 'boarding', 'BGO', 'OSL')", "prod");
    REQUIRE(eventually([&] {
      return support::run({program("daystream"), "cat", folder_ + "/var/lib/daystream/prod",
                           "--where", "id=4711"})
                 .out != "";
    }));
  }

  // May who reads the pages' tables also read ops.crews?
  void grant_crews() {
    cluster_.execute("SELECT deltaflood.grant_seed('mirror', 'ops.crews')", "prod");
  }

 private:
  support::Process::Options options() const {
    return {.env = {{"PATH", path_},
                    {"PGHOST", cluster_.socket_dir()},
                    {"PGUSER", "postgres"},
                    {"PGDATABASE", "prod"}},
            .folder = folder_,
            .own_group = true};
  }

  std::string here(std::string text) const {
    for (const char* const role : {"streamer", "mirror", "postgres"}) {
      replace_all(text, std::string("host=db1 dbname=prod user=") + role,
                  cluster_.conninfo("prod", role));
    }
    for (const char* const folder : {"/var/lib/", "/srv/", "/etc/daystream/", "/run/"}) {
      text = std::regex_replace(text, std::regex(std::string("(^|[ =:])") + folder),
                                "$1" + folder_ + folder);
    }
    replace_all(text, "0.0.0.0:8447", "127.0.0.1:" + port_);
    replace_all(text, "stream1:8447", "localhost:" + port_);
    return text;
  }

  void bash(const std::string& text) {
    const support::Result result =
        support::run({"bash", "-euo", "pipefail", "-c", text}, options());
    INFO(result.out << result.err);
    REQUIRE(result.ok());
  }

  void run(const Example& example) {
    if (example.language == "json") {
      if (example.note != "config") return;
      support::write_file(dir_ / "page.json", example.text);
      return bash("deltamirror config check page.json");
    }
    if (example.language != "sh" && example.language != "sql") return;
    if (after(example.note, "not run: ")) return;
    const std::string text = here(example.text);
    if (example.language == "sql") {
      const support::Result result =
          support::run({"psql", "-Xv", "ON_ERROR_STOP=1", "-c", text}, options());
      INFO(result.err);
      REQUIRE(result.ok());
      return;
    }
    if (const auto condition = after(example.note, "in the background, until: ")) {
      running_.push_back(std::make_unique<Process>(
          std::vector<std::string>{"bash", "-euo", "pipefail", "-c", text}, options()));
      const std::string ready = here(*condition);
      REQUIRE(eventually([&] {
        return !running_.back()->running() || support::run({"bash", "-c", ready}, options()).ok();
      }));
      return;
    }
    REQUIRE(example.note == "");
    bash(text);
  }

  support::TempDir dir_;
  Cluster cluster_;
  std::string folder_, port_, path_;
  std::vector<std::unique_ptr<Process>> running_;
};

}  // namespace

TEST_CASE("docs: the examples of README and install.md run", "[pipeline][docs]") {
  Host host;
  host.follow("docs/install.md");
  host.follow("README.md");
}

TEST_CASE("docs: the examples of streaming.md and mirroring.md run", "[pipeline][docs]") {
  Host host;
  host.follow("docs/install.md");
  host.grant_crews();
  host.follow("docs/streaming.md");
  host.change_something();
  host.follow("docs/mirroring.md");
}

TEST_CASE("docs: the examples of querying.md, reading.md and monitoring.md run",
          "[pipeline][docs]") {
  Host host;
  host.follow("docs/install.md");
  host.follow("README.md");
  host.change_something();
  host.follow("docs/querying.md");
  host.follow("docs/reading.md");
  host.follow("docs/monitoring.md");
}

TEST_CASE("docs: the examples of runbooks.md run", "[pipeline][docs]") {
  Host host;
  host.follow("docs/install.md");
  host.follow("README.md");
  host.follow("docs/runbooks.md");
}

TEST_CASE("docs: the examples of network.md run", "[pipeline][docs]") {
  Host host;
  host.follow("docs/install.md");
  host.follow("docs/streaming.md");
  host.change_something();
  host.follow("docs/network.md");
}

TEST_CASE("docs: what cannot be run says why, and each page's examples are looked at",
          "[pipeline][docs]") {
  for (const char* const page : {"README.md", "docs/install.md", "docs/streaming.md",
                                 "docs/mirroring.md", "docs/querying.md", "docs/reading.md",
                                 "docs/network.md", "docs/monitoring.md", "docs/runbooks.md"}) {
    CAPTURE(page);
    std::size_t run = 0;
    for (const Example& example : examples_of(page)) {
      CAPTURE(example.note, example.text);
      if (example.language != "sh" && example.language != "sql") continue;
      const auto why = after(example.note, "not run: ");
      CHECK((example.note == "" || (why && *why != "") ||
             after(example.note, "in the background, until: ")));
      run += why ? 0 : 1;
    }
    CHECK(run > 0);
  }
}
