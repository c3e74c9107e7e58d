// What is wrong with a stream or a mirror is told everywhere, and told to be over when it is.
#include <sqlite3.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "../pipeline/pipeline.h"
#include "server_process.h"
#include "stream_fixture.h"
#include "support/free_port.h"
#include "support/scratch_dir.h"
#include "support/small_disk.h"

using daystream::test::spill;
using pipeline::Pipeline;
using serve_test::body_of;
using serve_test::outcome_of;
using serve_test::ServerProcess;
using support::eventually;
using support::Process;

namespace {

std::string metrics(const ServerProcess& server) {
  return body_of(server.url("/metrics"));
}

bool says(const ServerProcess& server, const std::string& line) {
  return metrics(server).find(line + "\n") != std::string::npos;
}

nlohmann::json first_stream(const ServerProcess& server) {
  return nlohmann::json::parse(body_of(server.url("/status")))["streams"][0];
}

std::string text_of(const std::string& path) {
  return support::run_ok({"cat", std::string(SOURCE_ROOT) + path});
}

// A table `fox` and its stream.
struct Streamed : Pipeline {
  Streamed() {
    execute("CREATE TABLE fox (id int PRIMARY KEY)");
    start_stream();
  }
};

// A server of that, and a mirror that nothing runs yet.
struct Seeded {
  Seeded() { p.seed({"fox"}); }
  Streamed p;
  ServerProcess server{{"app=" + p.daystream().string()}};
};

}  // namespace

TEST_CASE("health: a deltastream that hangs, is killed and comes again", "[serve][health]") {
  Streamed p;
  ServerProcess server({"app=" + p.daystream().string()});
  REQUIRE(eventually([&] { return says(server, "daystream_up{stream=\"app\"} 1"); }));
  CHECK(outcome_of(server.url("/healthz/streams")) == "200");
  CHECK(eventually([&] {
    return metrics(server).find("\ndaystream_retained_wal_bytes{") != std::string::npos;
  }));

  p.stream().signal(SIGSTOP);
  REQUIRE(eventually([&] { return says(server, "daystream_up{stream=\"app\"} 0"); }));
  CHECK(outcome_of(server.url("/healthz/streams")).substr(0, 3) == "503");
  CHECK(outcome_of(server.url("/healthz")) == "200");
  // An old number does not pass for a new one.
  CHECK(metrics(server).find("\ndaystream_retained_wal_bytes{") == std::string::npos);
  const nlohmann::json silent = first_stream(server);
  CHECK(silent["streamer"]["state"] == "silent");
  CHECK(silent["streamer"]["retained_wal_bytes"].is_null());
  CHECK(silent["streamer"]["bytes_per_second"].is_null());
  CHECK(silent["streamer"]["updated_at"].is_string());
  CHECK(silent["trouble"][0].get<std::string>().find("silent for") != std::string::npos);

  p.stream().signal(SIGCONT);
  REQUIRE(eventually([&] { return says(server, "daystream_up{stream=\"app\"} 1"); }));
  CHECK(first_stream(server)["trouble"].empty());
  p.stream().signal(SIGKILL);
  p.stream().wait();
  REQUIRE(eventually([&] { return says(server, "daystream_up{stream=\"app\"} 0"); }));
  p.start_stream();
  REQUIRE(eventually([&] { return says(server, "daystream_up{stream=\"app\"} 1"); }));
  CHECK(outcome_of(server.url("/healthz/streams")) == "200");
}

TEST_CASE("health: a status file that says anything hides nobody's status", "[serve][health]") {
  daystream::test::WrittenStream stream;
  daystream::Writer writer = stream.writer();
  writer.mark(daystream::Lsn{0x1000}, {1, 1, {}});
  writer.flush();
  spill(stream.directory.path() / "status.json",
        R"({"state": 7, "updated_at": "x", "lag_seconds": []})");
  ServerProcess server({stream.directory.path()});
  CHECK(first_stream(server)["streamer"]["state"] == "silent");
  CHECK(says(server, "daystream_up{stream=\"test\"} 0"));
}

TEST_CASE("health: a mirror that hangs is told, and one that is level is not late",
          "[serve][health]") {
  Seeded seeded;
  Pipeline& p = seeded.p;
  const ServerProcess& server = seeded.server;
  Process mirror(
      {support::program("deltamirror"), "run", p.mirror(), "--daystream", server.url("/app")});
  p.execute("INSERT INTO fox VALUES (1)");
  const auto of_mirror = [&](const std::string& name) -> std::string {
    const std::regex line("\n" + name + "\\{[^}]*kind=\"mirror\"[^}]*\\} ([0-9.e+-]+)\n");
    std::smatch found;
    const std::string text = metrics(server);
    return std::regex_search(text, found, line) ? found[1].str() : "";
  };
  REQUIRE(eventually([&] { return of_mirror("daystream_copy_lag_seconds") == "0"; }));
  CHECK(of_mirror("daystream_copy_up") == "1");
  mirror.signal(SIGSTOP);
  p.execute("INSERT INTO fox VALUES (2)");
  REQUIRE(eventually([&] { return of_mirror("daystream_copy_up") == "0"; }));
  CHECK(first_stream(server)["copies"][0]["trouble"][0].get<std::string>().find("silent") == 0);
  // On its own host, too: a process that is there and does not answer is no health.
  const auto hangs = support::run({support::program("deltamirror"), "status", p.mirror()});
  CHECK(hangs.exit.code == 1);
  CHECK(hangs.out.find("owns the mirror and does not answer: it hangs") != std::string::npos);
  mirror.signal(SIGCONT);
  REQUIRE(eventually([&] { return of_mirror("daystream_copy_up") == "1"; }));
  REQUIRE(eventually([&] { return of_mirror("daystream_copy_lag_seconds") == "0"; }));
  // Nor does how late it was with its last commit come back with each mark of an idle source.
  const auto end = [&] { return first_stream(server)["durable"].dump(); };
  for (int mark = 0; mark < 2; ++mark) {
    const std::string before = end();
    REQUIRE(eventually([&] {
      CHECK(std::stod(of_mirror("daystream_copy_lag_seconds")) < 5);
      return end() != before;
    }));
    CHECK(std::stod(of_mirror("daystream_copy_lag_seconds")) < 5);
  }
}

TEST_CASE("health: a mirror that waits says for what, and gets later meanwhile",
          "[serve][health]") {
  Seeded seeded;
  Pipeline& p = seeded.p;
  const ServerProcess& server = seeded.server;
  const Process mirror(
      {support::program("deltamirror"), "run", p.mirror(), "--daystream", server.url("/app")});
  const auto copy = [&] {
    const nlohmann::json copies = first_stream(server)["copies"];
    return copies.empty() ? nlohmann::json{{"trouble", {"not there"}}, {"lag_seconds", -1}}
                          : copies[0];
  };
  p.execute("INSERT INTO fox VALUES (1)");
  REQUIRE(eventually([&] { return copy()["lag_seconds"] == 0 && copy()["trouble"].empty(); }));
  {
    sqlite3* other = nullptr;
    REQUIRE(sqlite3_open(p.mirror().c_str(), &other) == SQLITE_OK);
    REQUIRE(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) == SQLITE_OK);
    p.execute("INSERT INTO fox VALUES (2)");
    CHECK(eventually([&] {
      const nlohmann::json trouble = copy()["trouble"];
      return !trouble.empty() &&
             trouble[0].get<std::string>().find("database is locked") != std::string::npos;
    }));
    CHECK(metrics(server).find("\ndaystream_copy_up{") != std::string::npos);
    CHECK(std::regex_search(metrics(server), std::regex("\ndaystream_copy_up\\{[^}]*\\} 0\n")));
    const double lag = copy()["lag_seconds"].get<double>();
    CHECK(eventually([&] { return copy()["lag_seconds"].get<double>() > lag + 2; }));
    sqlite3_close(other);
  }
  CHECK(eventually([&] { return copy()["trouble"].empty() && copy()["lag_seconds"] == 0; }));
}

TEST_CASE("health: from commit to durable is known of a stream that is written all the time",
          "[serve][health]") {
  daystream::test::WrittenStream stream;
  daystream::Writer writer = stream.writer();
  writer.mark(daystream::test::lsn_of(0), {1, 1, {}});
  writer.flush();
  ServerProcess server({stream.directory.path()});
  // What is durable is never the same twice, and ends in a mark each time.
  int last = 0;
  CHECK(eventually([&] {
    ++last;
    writer.append(daystream::test::transaction(last));
    writer.mark(daystream::test::lsn_of(last), {1, 1, {}});
    writer.flush();
    return metrics(server).find("\ndaystream_commit_lag_seconds{stream=\"test\"} ") !=
           std::string::npos;
  }));
}

TEST_CASE("health: a slot that was invalidated and a mirror that was killed are told until mended",
          "[serve][health]") {
  Pipeline p;
  p.execute("CREATE TABLE fox (id int PRIMARY KEY, t text)");
  p.start_stream();
  ServerProcess server({"app=" + p.daystream().string()});
  p.seed({"fox"});
  const std::vector<std::string> follow = {support::program("deltamirror"),
                                           "run",
                                           p.mirror(),
                                           "-d",
                                           p.conninfo(),
                                           "--daystream",
                                           server.url("/app")};
  std::optional<Process> mirror(follow);
  const auto copy_is = [&](const char* value) {
    const std::regex up("\ndaystream_copy_up\\{[^}]*\\} " + std::string(value) + "\n");
    return std::regex_search(metrics(server), up);
  };
  REQUIRE(eventually([&] { return copy_is("1"); }));
  mirror->signal(SIGKILL);
  mirror->wait();
  REQUIRE(eventually([&] { return copy_is("0"); }));
  CHECK(first_stream(server)["copies"][0]["trouble"][0].get<std::string>().find("silent") == 0);

  p.stream().signal(SIGTERM);
  p.stream().wait();
  p.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
  p.execute("SELECT pg_reload_conf()");
  REQUIRE(eventually([&] {
    p.execute("INSERT INTO fox SELECT coalesce(max(id), 0) + 1, '' FROM fox");
    p.execute("SELECT pg_switch_wal()");
    p.execute("CHECKPOINT");
    return p.scalar("SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'app'") ==
           "lost";
  }));
  const std::vector<std::string> again = {
      support::program("deltastream"), "-d", p.conninfo(), "-S", "app", "-D",
      p.daystream().string()};
  CHECK(support::run(again).exit == support::Exit{3, 0});
  REQUIRE(eventually([&] {
    const auto trouble = first_stream(server)["trouble"];
    return !trouble.empty() && trouble[0].get<std::string>().find("is lost") != std::string::npos;
  }));
  CHECK(says(server, "daystream_up{stream=\"app\"} 0"));
  CHECK(outcome_of(server.url("/healthz/streams")).substr(0, 3) == "503");

  // It is over with both.
  std::vector<std::string> recreate = again;
  recreate.push_back("--recreate-slot");
  CHECK(support::run(recreate).ok());
  const Process stream(again);
  mirror.emplace(follow);
  CHECK(eventually([&] {
    return says(server, "daystream_up{stream=\"app\"} 1") && copy_is("1") &&
           outcome_of(server.url("/healthz/streams")) == "200" &&
           first_stream(server)["trouble"].empty();
  }));
}

TEST_CASE("health: a disk that fills while nothing comes is told, and that it has room again",
          "[serve][health]") {
  Pipeline p;
  const support::SmallDisk disk(p.folder(), "64m");
  if (!disk.mounted()) {
    WARN("mounting a small file system needs root: not tested");
    return;
  }
  p.execute("CREATE TABLE fox (id int PRIMARY KEY)");
  p.start_stream();
  p.seed({"fox"});
  const ServerProcess server({"app=" + p.daystream().string()});
  const Process mirror(
      {support::program("deltamirror"), "run", p.mirror(), "--daystream", server.url("/app")});
  const auto status_of = [](const std::string& program, const std::string& what) {
    return support::run({support::program(program), "status", what});
  };
  const auto all_is_well = [&] {
    const nlohmann::json stream = first_stream(server);
    return stream["trouble"].empty() && stream["copies"].size() == 1 &&
           stream["copies"][0]["trouble"].empty() &&
           outcome_of(server.url("/healthz/streams")) == "200" &&
           status_of("deltastream", p.daystream()).ok() &&
           status_of("deltamirror", p.mirror()).ok();
  };
  REQUIRE(eventually(all_is_well));
  REQUIRE(disk.leave_free(0));
  // Of a mirror SQLite's own words may be first, if it had to write.
  const auto full = [](const nlohmann::json& who) {
    return who["trouble"].dump().find("disk is full") != std::string::npos;
  };
  CHECK(eventually([&] {
    const nlohmann::json stream = first_stream(server);
    return full(stream) && full(stream["copies"][0]);
  }));
  CHECK(outcome_of(server.url("/healthz/streams")).substr(0, 3) == "503");
  CHECK(std::regex_search(metrics(server),
                          std::regex("\ndaystream_disk_free_bytes\\{[^}]*\\} [0-9]{1,5}\n")));
  for (const auto& [program, what] :
       {std::pair("deltastream", p.daystream()), std::pair("deltamirror", p.mirror())}) {
    const support::Result told = status_of(program, what);
    CAPTURE(told.out);
    CHECK(told.exit.code == 1);
    CHECK(told.out.find("TROUBLE: the disk is full: ") != std::string::npos);
    CHECK(told.out.find("; HINT: make room there") != std::string::npos);
  }
  // The stream is written for as long as nothing comes: no reason for its mirror to wait.
  CHECK(says(server, "daystream_up{stream=\"app\"} 1"));
  REQUIRE(disk.resize("64m"));
  CHECK(eventually(all_is_well));
}

TEST_CASE("health: a mirror whose stream nobody writes is not well, though it has all of it",
          "[serve][health]") {
  Pipeline p;
  p.execute("CREATE TABLE fox (id int PRIMARY KEY)");
  support::ScratchDir folder;
  const std::string file = folder / "mirror.prom";
  p.start_stream();
  p.seed({"fox"});
  Process mirror({support::program("deltamirror"), "run", p.mirror(), "--daystream",
                  p.daystream().string(), "--metrics-file", file});
  const auto status = [&] {
    return support::run({support::program("deltamirror"), "status", p.mirror()});
  };
  const auto up = [&](const char* value) {
    const std::string line = "\ndeltamirror_up{mirror=\"" + p.mirror().string() + "\"} " + value;
    return std::filesystem::exists(file) &&
           support::run_ok({"cat", file}).find(line + "\n") != std::string::npos;
  };
  REQUIRE(eventually([&] { return up("1"); }));
  CHECK(status().exit.code == 0);
  p.stream().signal(SIGKILL);
  p.stream().wait();
  REQUIRE(eventually([&] { return status().exit.code == 1; }));
  const std::string told = status().out;
  CHECK(told.find("TROUBLE: the stream of source \"daystream\" is not written: deltastream ") == 0);
  CHECK(told.find("; HINT: ") != std::string::npos);
  CHECK(eventually([&] { return up("0"); }));
  p.start_stream();
  CHECK(eventually([&] { return status().exit.code == 0 && up("1"); }));
}

TEST_CASE("metrics: files tell of a stream and a mirror where nothing is served",
          "[serve][health]") {
  Pipeline p;
  p.execute("CREATE TABLE fox (id int PRIMARY KEY)");
  support::ScratchDir folder;
  const std::string of_stream = folder / "stream.prom";
  const std::string of_mirror = folder / "mirror.prom";
  const auto says = [](const std::string& file, const std::string& line) {
    return std::filesystem::exists(file) &&
           ("\n" + support::run_ok({"cat", file})).find("\n" + line) != std::string::npos;
  };
  p.start_stream({"--metrics-file", of_stream});
  p.seed({"fox"});
  const std::vector<std::string> run = {support::program("deltamirror"),
                                        "run",
                                        p.mirror(),
                                        "--daystream",
                                        p.daystream().string(),
                                        "--metrics-file",
                                        of_mirror};
  std::optional<Process> mirror(run);
  const std::string name = std::filesystem::absolute(p.mirror()).lexically_normal();
  const std::string labels = "{mirror=\"" + name + "\"";
  REQUIRE(eventually([&] { return says(of_mirror, "deltamirror_up" + labels + "} 1\n"); }));
  REQUIRE(eventually([&] { return says(of_stream, "daystream_up{stream=\"daystream\"} 1\n"); }));
  CHECK(eventually([&] { return says(of_stream, "daystream_retained_wal_bytes{"); }));
  CHECK(eventually([&] { return says(of_mirror, "deltamirror_complete_timestamp_seconds{"); }));
  CHECK(says(of_mirror, "deltamirror_tables" + labels + ",state=\"following\"} 1\n"));
  // The collector is another user.
  for (const std::string& file : {of_stream, of_mirror}) {
    const auto mode = std::filesystem::status(file).permissions();
    CHECK((mode & std::filesystem::perms::others_read) != std::filesystem::perms::none);
  }
  // One scrape has the files of all.
  support::Process::Options options;
  options.input = support::run_ok({"cat", of_stream, of_mirror});
  const auto checked = support::run({"promtool", "check", "metrics"}, options);
  INFO(checked.err << checked.out);
  CHECK(checked.ok());
  // What alerts ask of a mirror is there.
  const std::string alerts = text_of("/daystream/serve/monitoring/alerts.yml");
  const std::regex asked("deltamirror_[a-z_]+");
  for (std::sregex_iterator i(alerts.begin(), alerts.end(), asked), end; i != end; ++i) {
    CAPTURE(i->str());
    CHECK(says(of_mirror, "# TYPE " + i->str() + " "));
  }
  // A clean end is told, and so is an unclean one by the next status.
  mirror->signal(SIGTERM);
  mirror->wait();
  CHECK(says(of_mirror, "deltamirror_up" + labels + "} 0\n"));
  p.stream().signal(SIGTERM);
  p.stream().wait();
  CHECK(says(of_stream, "daystream_up{stream=\"daystream\"} 0\n"));
  const auto status =
      support::run({support::program("deltastream"), "status", p.daystream().string()});
  CHECK(status.exit == support::Exit{1, 0});
  CHECK(status.out.find("TROUBLE: deltastream is stopped (since ") == 0);
}

TEST_CASE("metrics: Prometheus' own checker and rules take them", "[serve][health]") {
  Streamed p;
  const support::ScratchDir fleet;
  spill(fleet / "all.json", R"({"tables": [{"table": "flights"}]})");
  spill(fleet / "fleet.json", R"({"mirrors": [{"use": ["all.json"]}]})");
  REQUIRE(support::run({support::program("daystream"), "fleet", fleet.path(), "publish"}).ok());
  ServerProcess server({"app=" + p.daystream().string()}, {"--fleet", fleet.path()});
  REQUIRE(eventually([&] { return says(server, "daystream_up{stream=\"app\"} 1"); }));
  CHECK(outcome_of(server.url("/app/copies?copy=a%22b%5Cc&kind=mirror&position=1/1&lag_ms=5"),
                   "POST") == "200");
  const std::string text = metrics(server);
  CHECK(text.find("copy=\"a\\\"b\\\\c\"") != std::string::npos);

  support::Process::Options options;
  options.input = text;
  const auto checked = support::run({"promtool", "check", "metrics"}, options);
  INFO(checked.err << checked.out);
  CHECK(checked.ok());

  support::ScratchDir folder;
  spill(folder / "alerts.yml", text_of("/daystream/serve/monitoring/alerts.yml"));
  spill(folder / "test.yml", text_of("/tests/integration/serve/alerts_test.yml"));
  const auto rules = support::run({"promtool", "test", "rules", (folder / "test.yml")});
  INFO(rules.err << rules.out);
  CHECK(rules.ok());

  // What alerts and the dashboard ask for is there.
  std::set<std::string> asked;
  const std::regex name("daystream_[a-z_]+");
  for (const char* file :
       {"/daystream/serve/monitoring/alerts.yml", "/daystream/serve/monitoring/dashboard.json"}) {
    const std::string whole = text_of(file);
    for (std::sregex_iterator i(whole.begin(), whole.end(), name), end; i != end; ++i) {
      asked.insert(i->str());
    }
  }
  CHECK(asked.size() > 10);
  for (const std::string& metric : asked) {
    CAPTURE(metric);
    CHECK(text.find("# TYPE " + metric + " ") != std::string::npos);
  }
}

TEST_CASE(
    "alerts: a Prometheus tells that a stream hangs and a mirror was killed, and that it is over",
    "[serve][health]") {
  if (!support::run({"sh", "-c", "command -v prometheus"}).ok()) {
    WARN("prometheus is not installed: no alert was seen");
    return;
  }
  Seeded seeded;
  Pipeline& p = seeded.p;
  const ServerProcess& server = seeded.server;
  const std::vector<std::string> follow = {support::program("deltamirror"), "run", p.mirror(),
                                           "--daystream", server.url("/app")};
  std::optional<Process> mirror(follow);

  support::ScratchDir folder;
  const std::string address = "127.0.0.1:" + std::to_string(support::free_port());
  spill(folder / "alerts.yml", text_of("/daystream/serve/monitoring/alerts.yml"));
  spill(folder / "prometheus.yml",
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        "scrape_configs:\n"
        "  - job_name: daystream\n"
        "    static_configs: [{targets: [\"127.0.0.1:" +
            std::to_string(server.port()) + "\"]}]\nrule_files: [alerts.yml]\n");
  const Process prometheus({"prometheus", "--config.file=" + (folder / "prometheus.yml").string(),
                            "--storage.tsdb.path=" + (folder / "data").string(),
                            "--web.listen-address=" + address, "--log.level=error"});
  // What Prometheus says of `expression` now: labels and values of its series.
  const auto series = [&](const std::string& expression) {
    const auto said = support::run({"curl", "-sSfG", "http://" + address + "/api/v1/query",
                                    "--data-urlencode", "query=" + expression});
    return said.ok() ? nlohmann::json::parse(said.out)["data"]["result"] : nlohmann::json();
  };
  const auto is_firing = [&](const std::string& alert) {
    const auto found = series("ALERTS{alertstate=\"firing\",alertname=\"" + alert + "\"}");
    return found.is_array() && !found.empty();
  };
  REQUIRE(eventually([&] {
    return series("daystream_up == 1").size() == 1 && series("daystream_copy_up == 1").size() == 1;
  }));
  CHECK_FALSE(is_firing("DaystreamDown"));
  CHECK_FALSE(is_firing("DeltamirrorSilent"));

  const auto began = std::chrono::steady_clock::now();
  p.stream().signal(SIGSTOP);
  mirror->signal(SIGKILL);
  mirror->wait();
  REQUIRE(eventually([&] { return is_firing("DaystreamDown") && is_firing("DeltamirrorSilent"); }));
  const auto took = std::chrono::steady_clock::now() - began;
  if (took > std::chrono::seconds(15)) {
    WARN("told after " << std::chrono::duration<double>(took).count() << " s: is it busy here?");
  }
  p.stream().signal(SIGCONT);
  mirror.emplace(follow);
  CHECK(eventually([&] { return !is_firing("DaystreamDown") && !is_firing("DeltamirrorSilent"); }));
}
