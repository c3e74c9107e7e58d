// A mirror by URL asks for the rows of its tables only, and is the same as one beside the stream:
// with a real PostgreSQL whose tables change their names.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>

#include "../pipeline/pipeline.h"
#include "server_process.h"

using namespace pipeline;
using serve_test::body_of;
using serve_test::ServerProcess;
using support::eventually;

namespace {

// Tables `a`, `b` and `c d` are followed, the others are not.
struct Busy : Pipeline {
  explicit Busy(const std::vector<std::string>& stream_options = {}) {
    for (const char* table : {"a", "b", "\"c d\"", "other"}) {
      execute(fmt::format("CREATE TABLE {} (id bigserial PRIMARY KEY, t text)", table));
    }
    execute("CREATE TABLE noise (id bigserial PRIMARY KEY, t text)");
    start_stream(stream_options);
  }
  static std::string rows(const std::string& table, int count) {
    return fmt::format("INSERT INTO {} (t) SELECT '{} ' || g FROM generate_series(1, {}) g; ",
                       table, table.front() == '"' ? "odd" : table, count);
  }
  Process run_mirror(const std::string& name, const std::string& source,
                     std::vector<std::string> more = {}) {
    more.insert(more.begin(), {support::program("deltamirror"), "run", mirror(name), "--daystream",
                               source, "-d", conninfo()});
    return Process(more);
  }
  void wait_for(const std::string& name, Process& process) {
    const auto result =
        support::run({support::program("deltamirror"), "wait", mirror(name), "--lsn",
                      scalar("SELECT pg_current_wal_lsn()"), "--timeout", "60"},
                     {}, std::chrono::seconds{90});
    INFO(process.err());
    REQUIRE(result.ok());
  }
};

nlohmann::json only_follower(const ServerProcess& server) {
  const auto followers =
      nlohmann::json::parse(body_of(server.url("/status")))["streams"][0]["followers"];
  return followers.size() == 1 ? followers[0] : nlohmann::json();
}

}  // namespace

TEST_CASE("mirrors: by URL one with its tables only is as one beside the stream",
          "[remote][tables]") {
  Busy p;
  std::random_device device;
  const unsigned seed = device();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto below = [&](unsigned end) { return static_cast<unsigned>(random() % end); };
  ServerProcess server({"app=" + p.daystream().string()});
  p.seed({"a", "b", "\"c d\""}, "near");
  p.seed({"a", "b", "\"c d\""}, "far");
  Process near = p.run_mirror("near", p.daystream());
  Process far = p.run_mirror("far", server.url("/app"));
  // The names that the followed tables have now.
  std::vector<std::string> names = {"a", "b", "\"c d\""};
  int fresh = 0;
  for (int round = 0; round < 30; ++round) {
    std::string& one = names[below(3)];
    std::string& two = names[below(3)];
    bool copied_anew = false;
    std::string sql = "BEGIN; " + Busy::rows("noise", 300);
    const bool is_renamed = one.starts_with("\"New");
    switch (below(7)) {
      case 0: {  // another name, and rows at once under it
        const std::string name = fmt::format("\"New {}\"", ++fresh);
        sql += Busy::rows(one, 3) + fmt::format("ALTER TABLE {} RENAME TO {}; ", one, name);
        one = name;
        sql += Busy::rows(one, 3);
        break;
      }
      case 1:  // two followed ones exchange their names
        if (&one == &two) break;
        sql += Busy::rows(one, 1) + Busy::rows(two, 2) +
               fmt::format(
                   "ALTER TABLE {0} RENAME TO x; ALTER TABLE {1} RENAME TO {0}; "
                   "ALTER TABLE x RENAME TO {1}; ",
                   one, two) +
               Busy::rows(one, 3) + Busy::rows(two, 4);
        break;
      case 2:                   // one that is not followed takes the name
        if (is_renamed) break;  // another table under that name is nobody\'s wish
        sql += Busy::rows("other", 5) +
               fmt::format(
                   "ALTER TABLE {0} RENAME TO x; ALTER TABLE other RENAME TO {0}; "
                   "ALTER TABLE x RENAME TO other; ",
                   one) +
               Busy::rows(one, 2) + Busy::rows("other", 2);
        copied_anew = true;
        break;
      case 3:  // made again
        if (is_renamed) break;
        sql += fmt::format("DROP TABLE {0}; CREATE TABLE {0} (id bigserial PRIMARY KEY, t text); ",
                           one);
        copied_anew = true;
        break;
      case 4:
        sql += fmt::format("ALTER TABLE {} ADD COLUMN c{} text DEFAULT 'x'; ", one, ++fresh);
        break;
      case 5:
        sql += fmt::format("TRUNCATE {}; ", one) + Busy::rows(one, 4);
        break;
      default:
        sql += fmt::format("UPDATE {} SET t = t || '!' WHERE id % 3 = 0; ", one);
    }
    for (const std::string& name : names) sql += Busy::rows(name, 1 + static_cast<int>(below(5)));
    sql += "DELETE FROM " + names[below(3)] + " WHERE id % 7 = 3; ";
    p.execute(sql + "COMMIT");
    if (!copied_anew && round % 10 != 9) continue;
    p.wait_for("near", near);
    p.wait_for("far", far);
    for (const std::string& name : names) {
      CAPTURE(round, sql);
      const std::string here = name.front() == '"' ? name : "\"" + name + "\"";
      // A table that is copied is not there until it is as PostgreSQL has it.
      for (const char* mirror : {"near", "far"}) {
        CHECK(eventually([&] {
          try {
            return difference(p, here, p.mirror(mirror)).empty();
          } catch (const std::exception&) {
            return false;
          }
        }));
      }
    }
  }
  const auto follower = only_follower(server);
  CAPTURE(follower.dump(), far.err());
  CHECK_FALSE(follower.value("tables", "").empty());
  CHECK(follower.value("tables", "").find("noise") == std::string::npos);
  for (Process* process : {&near, &far}) {
    process->signal(SIGTERM);
    CHECK(process->wait() == support::Exit{0, 0});
  }
}

TEST_CASE("mirrors: by URL a table that is added while it runs is asked for", "[remote][tables]") {
  Busy p;
  ServerProcess server({"app=" + p.daystream().string()});
  p.execute(Busy::rows("b", 1000));
  p.seed({"a"}, "far");
  const auto config = p.folder() / "tables.json";
  const auto write = [&](const std::string& tables) {
    std::ofstream(config) << "{\"tables\": [" << tables << "]}";
  };
  write(R"({"table": "a"})");
  Process far = p.run_mirror("far", server.url("/app"), {"--config", config});
  REQUIRE(eventually([&] {
    const auto follower = only_follower(server);
    return follower.is_object() && follower["tables"] == "a";
  }));
  write(R"({"table": "a"}, {"table": "public.b"})");
  far.signal(SIGHUP);
  // Rows come all the time: before the table is copied, meanwhile, and after.
  REQUIRE(eventually([&] {
    p.execute(Busy::rows("a", 2) + Busy::rows("b", 2) + Busy::rows("noise", 20));
    const auto follower = only_follower(server);
    return follower.is_object() && follower["tables"] == "a,b";
  }));
  p.execute(Busy::rows("b", 2));
  p.wait_for("far", far);
  CHECK(difference(p, "a", p.mirror("far")).empty());
  CHECK(difference(p, "b", p.mirror("far")).empty());
  // The other way by a request.
  support::run_ok({support::program("deltamirror"), "seed", p.mirror("far"), "--table", "other"});
  p.execute(Busy::rows("other", 2));
  p.wait_for("far", far);
  CHECK(difference(p, "other", p.mirror("far")).empty());
  far.signal(SIGTERM);
  CHECK(far.wait() == support::Exit{0, 0});
}

TEST_CASE("mirrors: a server that keeps a table from one says so before anything is applied",
          "[remote][tables][security]") {
  Busy p;
  p.seed({"a", "b"}, "far");
  const auto keys = p.folder() / "keys";
  std::filesystem::create_directory(keys);
  const auto token = [&](const std::string& name, const std::string& tables) {
    std::ofstream(keys / name) << support::run_ok(
        {support::program("daystream"), "token", keys / "tokens", name, "--tables", tables});
    Process::Options options;
    options.env = {{"DAYSTREAM_TOKEN_FILE", keys / name}};
    return options;
  };
  const auto both = token("both", "a,b");
  const auto one = token("one", "a");
  ServerProcess server({"app=" + p.daystream().string()}, {"--tokens", keys / "tokens"});
  p.execute(Busy::rows("a", 5) + Busy::rows("b", 5));
  const std::vector<std::string> run = {support::program("deltamirror"),
                                        "run",
                                        p.mirror("far"),
                                        "--daystream",
                                        server.url("/app"),
                                        "--once"};
  std::vector<std::string> stopping = run;
  stopping.insert(stopping.end(), {"--on-trouble", "stop"});
  const auto refused = support::run(stopping, one);
  CHECK(refused.exit.code == 3);
  CHECK(refused.err.find("does not hold table public.b") != std::string::npos);
  CHECK(sqlite_rows(p.mirror("far"), "a", "1").empty());
  REQUIRE(eventually([&] {
    return support::run(run, both).ok() && difference(p, "a", p.mirror("far")).empty() &&
           difference(p, "b", p.mirror("far")).empty();
  }));
}

TEST_CASE("mirrors: by URL a partitioned table hears what becomes of its partitions",
          "[remote][tables][partition]") {
  Busy p({"--partition-root"});
  p.execute(
      "CREATE TABLE top (id int PRIMARY KEY, t text) PARTITION BY RANGE (id);"
      "CREATE TABLE low PARTITION OF top FOR VALUES FROM (0) TO (100);"
      "CREATE TABLE high PARTITION OF top FOR VALUES FROM (100) TO (200);"
      "INSERT INTO top SELECT g, 'x' FROM generate_series(0, 199) g");
  p.seed({"top"}, "all");
  p.seed({"top"}, "limited");
  const auto keys = p.folder() / "keys";
  std::filesystem::create_directory(keys);
  std::ofstream(keys / "token") << support::run_ok(
      {support::program("daystream"), "token", keys / "tokens", "edge", "--tables", "top"});
  Process::Options options;
  options.env = {{"DAYSTREAM_TOKEN_FILE", keys / "token"}};
  ServerProcess open({"app=" + p.daystream().string()});
  ServerProcess closed({"app=" + p.daystream().string()}, {"--tokens", keys / "tokens"});
  Process all = p.run_mirror("all", open.url("/app"));
  Process limited({support::program("deltamirror"), "run", p.mirror("limited"), "--daystream",
                   closed.url("/app"), "-d", p.conninfo()},
                  options);
  for (const char* sql : {"TRUNCATE high", "UPDATE top SET t = t || '!' WHERE id % 3 = 0",
                          "ALTER TABLE top DETACH PARTITION low"}) {
    CAPTURE(sql, all.err(), limited.err());
    p.execute(sql);
    p.wait_for("all", all);
    p.wait_for("limited", limited);
    CHECK(difference(p, "top", p.mirror("all")).empty());
    CHECK(difference(p, "top", p.mirror("limited")).empty());
  }
}
