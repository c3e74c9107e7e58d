// README and the users' pages are promises: the examples they show are run here, in their order,
// with the paths and connections of a test in place of those of the text.
//
// A fenced block of `sh` is run by bash, one of `sql` by psql in the streamed database. What stands
// in a comment right before it:
//   <!-- not run: REASON -->                     it cannot be run here
//   <!-- with: STATE -->                         it is run where the test has made that state
//   <!-- in the background, until: CONDITION --> it goes on beside what follows, once CONDITION, a
//                                                command, succeeds
//   <!-- config -->                              of `json`: a configuration without a mistake
#include <catch2/catch.hpp>
#include <csignal>
#include <memory>
#include <regex>
#include <set>
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
         {"var/lib/daystream", "srv/snapshots", "etc/daystream", "etc/deltaflood", "run", "bin"}) {
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
    below_ = folder_;
    make_stubs();
    path_ = folder_ + "/bin:";
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

  // Only what a page shows of such a state, which the test has made.
  void follow_with(const std::string& state, const std::string& page) {
    std::size_t count = 0;
    for (const Example& example : examples_of(page)) {
      if (after(example.note, "with: ") != state) continue;
      CAPTURE(page, example.text);
      run({"", example.language, example.text});
      ++count;
    }
    CHECK(count > 0);
  }

  void follow(const std::string& page) {
    for (const Example& example : examples_of(page)) {
      if (after(example.note, "with: ")) continue;
      CAPTURE(page, example.text);
      run(example);
      for (const auto& process : running_) {
        INFO(process->err());
        REQUIRE(process->running());
      }
    }
  }

  // Changes that the stream has once this returns.
  void change_something(int id = 4711) {
    const std::string key = std::to_string(id);
    cluster_.execute("INSERT INTO flights VALUES (" + key + ", 'boarding', 'BGO', 'OSL')", "prod");
    REQUIRE(eventually([&] {
      return support::run({program("daystream"), "cat", below_ + "/var/lib/daystream/prod",
                           "--where", "id=" + key})
                 .out != "";
    }));
  }

  Cluster& cluster() { return cluster_; }
  const std::string& folder() const { return folder_; }
  // Where "db2" is from then on.
  void name_db2(const Cluster& cluster) { db2_ = cluster.socket_dir(); }
  // Those that a page writes are there from then on.
  void use_paths_below(const std::string& folder) {
    std::filesystem::create_directories(folder + "/var/lib/daystream");
    below_ = folder;
  }
  // Where "service=prod" leads to, and what vouches for stream1.
  void make_service() {
    support::write_file(dir_ / "etc/service",
                        "[prod]\nhost=" + cluster_.socket_dir() + "\ndbname=prod\nuser=postgres\n");
  }
  // deltastream as a service has it.
  void configure_stream() {
    support::write_file(dir_ / "etc/deltaflood/deltastream-prod.json",
                        "{\"dbname\": \"" + cluster_.conninfo("prod", "streamer") +
                            "\", \"slot\": \"prod\", \"create-slot\": true, "
                            "\"if-not-exists\": true}");
  }
  // As a page writes it, in the background, until `ready` succeeds.
  void keep_running(const std::string& command, const std::string& ready) {
    run({"in the background, until: " + ready, "sh", command});
  }
  void bash_here(const std::string& command) { bash(here(command)); }

  // What managed.md takes for granted: who owns the tables there, and who migrates them.
  void make_owner() {
    cluster_.execute(
        "CREATE ROLE owner LOGIN SUPERUSER; CREATE ROLE migrator;"
        "CREATE TABLE crews (id int PRIMARY KEY)",
        "prod");
  }

  // The COMMAND of groups.md: it is done with a transaction once it has its commit line.
  void make_command() {
    const auto command = dir_ / "opt/mail/send";
    std::filesystem::create_directories(command.parent_path());
    support::write_file(command,
                        "#!/bin/sh\n"
                        "exec awk -F '\\t' '/\\t_action\\tcommit/ { print $2 \"/\" $4; fflush() "
                        "}'\n");
    std::filesystem::permissions(command, std::filesystem::perms(0755));
  }

  // May who reads the pages' tables also read ops.crews?
  void grant_crews() {
    cluster_.execute("SELECT deltaflood.grant_seed('mirror', 'ops.crews')", "prod");
  }

 private:
  // In place of systemd, whose services are processes of the test here: ends those that are to end.
  // Who starts them again is the test.
  void make_stubs() const {
    const auto script = [&](const std::string& name, const std::string& text) {
      const auto file = dir_ / "bin" / name;
      support::write_file(file, "#!/bin/bash\n" + text);
      std::filesystem::permissions(file, std::filesystem::perms(0755));
    };
    script("systemctl", R"sh(
host=$(dirname "$0")/..
[ "$1" = start ] && exit 0
for unit; do
  case $unit in
    deltastream@prod) say=(deltastream status "$host/var/lib/daystream/prod") ;;
    deltamirror@flights) say=(deltamirror status "$host/srv/flights.db") ;;
    *) continue ;;
  esac
  pid=$("${say[@]}" --json | sed -n 's/^ *"pid": \([1-9][0-9]*\),$/\1/p')
  [ -z "$pid" ] || kill "$pid"
  while [ -n "$pid" ] && [ -e "/proc/$pid/exe" ]; do sleep 0.1; done
done
)sh");
    script("runuser", "shift 3\nexec \"$@\"\n");
  }

  support::Process::Options options() const {
    return {.env = {{"PATH", path_},
                    {"PGSERVICEFILE", folder_ + "/etc/service"},
                    {"DAYSTREAM_CA", folder_ + "/cert.pem"},
                    {"PGHOST", cluster_.socket_dir()},
                    {"PGUSER", "postgres"},
                    {"PGDATABASE", "prod"}},
            .folder = folder_,
            .own_group = true};
  }

  std::string here(std::string text) const {
    for (const char* const role : {"streamer", "mirror", "postgres", "owner"}) {
      replace_all(text, std::string("host=db1 dbname=prod user=") + role,
                  cluster_.conninfo("prod", role));
    }
    for (const char* const role : {"streamer", "mirror", "postgres"}) {
      replace_all(text, std::string("host=db2 dbname=prod user=") + role,
                  "host=" + db2_ + " dbname=prod user=" + role);
    }
    replace_all(text, "/usr/share/deltaflood", (kRoot / "sql").string());
    for (const char* const folder :
         {"/var/lib/", "/srv/", "/etc/daystream/", "/etc/deltaflood/", "/run/", "/opt/"}) {
      text = std::regex_replace(text, std::regex(std::string("(^|[ =:])") + folder),
                                "$1" + below_ + folder);
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
  std::string folder_, below_, port_, path_, db2_;
  std::vector<std::unique_ptr<Process>> running_;
};

}  // namespace

TEST_CASE("docs: the examples of README, install.md and postgresql.md run", "[pipeline][docs]") {
  Host host;
  host.follow("docs/install.md");
  host.follow("docs/postgresql.md");
  host.follow("README.md");
}

TEST_CASE("docs: the examples of streaming.md and mirroring.md run", "[pipeline][docs]") {
  Host host;
  host.follow("docs/postgresql.md");
  host.grant_crews();
  host.follow("docs/streaming.md");
  host.change_something();
  host.follow("docs/mirroring.md");
}

TEST_CASE("docs: the examples of querying.md, reading.md and monitoring.md run",
          "[pipeline][docs]") {
  Host host;
  host.follow("docs/postgresql.md");
  host.follow("README.md");
  host.change_something();
  host.follow("docs/querying.md");
  host.follow("docs/reading.md");
  host.follow("docs/monitoring.md");
}

TEST_CASE("docs: the examples of runbooks.md run", "[pipeline][docs]") {
  Host host;
  host.follow("docs/postgresql.md");
  host.follow("README.md");
  host.follow("docs/runbooks.md");
}

namespace {

// What the runbooks begin with.
void make_mirror(Host& host) {
  host.follow("docs/postgresql.md");
  host.follow("README.md");
  host.change_something();
}

constexpr const char* kStream =
    "deltastream -d \"host=db1 dbname=prod user=streamer\" -S prod -D /var/lib/daystream/prod";
constexpr const char* kStreams = "deltastream status /var/lib/daystream/prod";

}  // namespace

TEST_CASE("docs: the fail-over of runbooks.md goes as it is written", "[pipeline][docs]") {
  Host host;
  make_mirror(host);
  Cluster standby({.standby_of = &host.cluster()});
  host.name_db2(standby);
  host.cluster().stop();
  standby.promote();
  standby.execute("INSERT INTO flights VALUES (4712, 'after', 'BGO', 'OSL')", "prod");
  host.follow_with("a standby that was promoted", "docs/runbooks.md");
  host.keep_running(
      "deltastream -d \"host=db2 dbname=prod user=streamer\" -S prod "
      "-D /var/lib/daystream/prod",
      kStreams);
  // The mirror that had no connection has ended, and says so with what to do; this is it.
  host.bash_here(
      "while deltamirror status /srv/flights.db | grep -q 'running *true'; do sleep 0.1; done");
  host.bash_here(
      "deltamirror run /srv/flights.db --daystream /var/lib/daystream/prod"
      " -d \"host=db2 dbname=prod user=mirror\" --once");
  host.bash_here(
      "sqlite3 /srv/flights.db 'SELECT status FROM flights WHERE id = 4712' | grep after");
}

TEST_CASE("docs: what runbooks.md says of a lost slot goes as it is written", "[pipeline][docs]") {
  Host host;
  make_mirror(host);
  host.configure_stream();
  host.bash_here("systemctl stop deltastream@prod");
  host.cluster().execute("SELECT pg_drop_replication_slot('prod')", "prod");
  host.cluster().execute("INSERT INTO flights VALUES (4712, 'lost', 'BGO', 'OSL')", "prod");
  host.follow_with("a lost slot", "docs/runbooks.md");
  host.keep_running(kStream, kStreams);
  host.bash_here(
      "deltamirror run /srv/flights.db --daystream /var/lib/daystream/prod"
      " -d \"host=db1 dbname=prod user=mirror\" --once");
  host.bash_here(
      "sqlite3 /srv/flights.db 'SELECT status FROM flights WHERE id = 4712' | grep lost");
}

TEST_CASE("docs: dropping everything leaves nothing, as runbooks.md says", "[pipeline][docs]") {
  Host host;
  make_mirror(host);
  host.follow_with("an end", "docs/runbooks.md");
  host.bash_here("! ls /srv/flights.db* /var/lib/daystream/prod");
  const auto count = [&](const std::string& sql) { return host.cluster().scalar(sql); };
  CHECK(count("SELECT count(*) FROM pg_replication_slots") == "0");
  CHECK(count("SELECT count(*) FROM pg_roles WHERE rolname IN ('streamer', 'mirror')") == "0");
}

TEST_CASE("docs: a stream moves to another host as runbooks.md says", "[pipeline][docs]") {
  Host host;
  make_mirror(host);
  host.make_service();
  // The other host has the same paths, below a folder of its own.
  host.keep_running(
      "daystream serve /var/lib/daystream/prod --listen 0.0.0.0:8447 --tls-cert cert.pem "
      "--tls-key key.pem",
      "curl -sSf --cacert cert.pem https://stream1:8447/healthz");
  host.use_paths_below(host.folder() + "/other");
  host.follow_with("two hosts", "docs/runbooks.md");
  host.keep_running(kStream, "deltastream status /var/lib/daystream/prod");
  host.change_something(4712);
  host.bash_here("daystream verify /var/lib/daystream/prod");
}

TEST_CASE("docs: the examples of network.md run", "[pipeline][docs]") {
  Host host;
  host.follow("docs/postgresql.md");
  host.follow("docs/streaming.md");
  host.change_something();
  host.follow("docs/network.md");
}

TEST_CASE("docs: the examples of fleet.md run", "[pipeline][docs]") {
  Host host;
  host.follow("docs/postgresql.md");
  host.follow("docs/streaming.md");
  host.change_something();
  host.follow("docs/fleet.md");
}

TEST_CASE("docs: the examples of groups.md run", "[pipeline][docs]") {
  Host host;
  host.follow("docs/postgresql.md");
  host.follow("docs/streaming.md");
  host.change_something();
  host.make_command();
  host.follow("docs/groups.md");
}

TEST_CASE("docs: the examples of managed.md run", "[pipeline][docs]") {
  Host host;
  host.make_owner();
  host.follow("docs/managed.md");
}

TEST_CASE("docs: what is shown is run, or the page says why not", "[pipeline][docs]") {
  // Those that the cases above follow.
  const std::set<std::string> followed = {
      "README.md",          "docs/fleet.md",     "docs/groups.md",  "docs/install.md",
      "docs/managed.md",    "docs/mirroring.md", "docs/network.md", "docs/monitoring.md",
      "docs/postgresql.md", "docs/querying.md",  "docs/reading.md", "docs/runbooks.md",
      "docs/streaming.md"};
  // What it shows builds and tests the sources.
  const std::string of_sources = "docs/developers.md";
  std::vector<std::string> pages = {"README.md"};
  for (const auto& entry : std::filesystem::directory_iterator(kRoot / "docs")) {
    if (entry.path().extension() == ".md") {
      pages.push_back("docs/" + entry.path().filename().string());
    }
  }
  for (const std::string& page : pages) {
    if (page == of_sources) continue;
    for (const Example& example : examples_of(page)) {
      CAPTURE(page, example.note, example.text);
      if (example.language != "sh" && example.language != "sql") continue;
      if (const auto why = after(example.note, "not run: ")) {
        CHECK(*why != "");
      } else {
        CHECK((example.note == "" || after(example.note, "with: ") ||
               after(example.note, "in the background, until: ")));
        CHECK(followed.contains(page));
      }
    }
  }
}
