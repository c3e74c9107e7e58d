// Rows move in and out of filters, and histories grow, while deltamirror is killed at random.
#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "common/seed.h"
#include "common/streaming.h"
#include "support/cluster.h"
#include "support/process.h"
#include "support/sqlite_reader.h"
#include "support/temp_dir.h"

using namespace fault;
using Strings = std::vector<std::string>;

namespace {

// p: only its key is logged. q: whole old rows. f: no key. h: a history. l: latest per day.
constexpr const char* kTables = R"(
  CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
  CREATE TABLE p(id int PRIMARY KEY, n int, t text, m mood, big text, d timestamptz, x numeric);
  CREATE TABLE q(LIKE p INCLUDING ALL);
  CREATE TABLE f(LIKE p);
  CREATE TABLE h(LIKE p INCLUDING ALL);
  CREATE TABLE l(LIKE p INCLUDING ALL);
  ALTER TABLE q REPLICA IDENTITY FULL;
  ALTER TABLE f REPLICA IDENTITY FULL;
  ALTER TABLE p ALTER big SET STORAGE EXTERNAL;
  ALTER TABLE q ALTER big SET STORAGE EXTERNAL;
  ALTER TABLE h ALTER big SET STORAGE EXTERNAL;
  ALTER TABLE l ALTER big SET STORAGE EXTERNAL;
  CREATE PROCEDURE change(count int) LANGUAGE plpgsql AS $$
    DECLARE
      tab text;
      k int;
      r float;
    BEGIN
      FOR i IN 1..count LOOP
        tab := (ARRAY['p', 'q', 'f', 'h', 'l'])[1 + floor(random() * 5)];
        k := floor(random() * 300);
        r := random();
        IF r < 0.3 THEN
          EXECUTE format('INSERT INTO %I SELECT $1, CASE WHEN random() < 0.9 THEN random() * 100 END,
            CASE WHEN random() < 0.9 THEN chr(96 + (random() * 5)::int) || repeat(''ä'', (random() * 2)::int) END,
            (ARRAY[''sad'', ''ok'', ''happy'', NULL]::mood[])[1 + floor(random() * 4)],
            CASE WHEN random() < 0.7 THEN repeat(md5($1::text), 90) END,
            now() - random() * interval ''10 days'', (random() * 1000)::numeric(10, 2)
            WHERE %L = ''f'' OR NOT EXISTS (SELECT 1 FROM %I WHERE id = $1)', tab, tab, tab) USING k;
        ELSIF r < 0.6 THEN
          EXECUTE format('UPDATE %I SET n = CASE WHEN random() < 0.9 THEN random() * 100 END WHERE id = $1', tab) USING k;
        ELSIF r < 0.75 THEN
          EXECUTE format('UPDATE %I SET t = chr(96 + (random() * 5)::int), x = random() * 900,
            m = (ARRAY[''sad'', ''ok'', ''happy'', NULL]::mood[])[1 + floor(random() * 4)],
            d = d + random() * interval ''1 day'' WHERE id = $1', tab) USING k;
        ELSIF r < 0.8 THEN
          EXECUTE format('UPDATE %I SET big = repeat(md5(random()::text), 90) WHERE id = $1', tab) USING k;
        ELSIF r < 0.85 THEN
          EXECUTE format('UPDATE %I SET id = 1000 + (SELECT coalesce(max(id), 0) FROM %I), n = random() * 100 WHERE id = $1', tab, tab) USING k;
        ELSIF r < 0.999 THEN
          EXECUTE format('DELETE FROM %I WHERE id = $1 OR id >= 1000 AND id %% 7 = $1 %% 7', tab) USING k;
        ELSE
          EXECUTE format('TRUNCATE %I', tab);
        END IF;
        IF random() < 0.2 THEN COMMIT; END IF;
      END LOOP;
    END $$)";

constexpr const char* kWhere[] = {"n BETWEEN 20 AND 60 AND (t <> 'c' OR t IS NULL)",
                                  "NOT (n < 50 OR t LIKE 'b_%') OR m IN ('happy') AND x >= 499.50",
                                  "n IS NULL OR t >= 'c'"};

struct Subsets {
  Subsets() : mirror(dir / "mirror.db") {
    cluster.execute(kTables);
    cluster.execute("CALL change(2000)");
    stream.emplace(Strings{support::program("deltastream"), "-d", cluster.conninfo(), "-S", "m",
                           "-D", dir / "stream", "--create-slot"});
    wait_until_streaming(dir / "stream", *stream);
    const nlohmann::json config = {
        {"tables",
         {{{"table", "p"},
           {"columns", {"n", "id", "t", "d"}},
           {"rename", {{"n", "number"}}},
           {"where", kWhere[0]}},
          {{"table", "q"}, {"as", "qq"}, {"where", kWhere[1]}},
          {{"table", "f"}, {"where", kWhere[2]}},
          {{"table", "h"}, {"mode", "history"}, {"indexes", nlohmann::json::array({"id"})}},
          {{"table", "l"}, {"mode", "latest-per-day"}}}}};
    std::ofstream(dir / "config.json") << config.dump(2);
    support::run_ok({support::program("deltamirror"), "seed", mirror, "-d", cluster.conninfo(),
                     "--daystream", dir / "stream", "--config", dir / "config.json"});
  }

  Strings run_command() const {
    return {support::program("deltamirror"),
            "run",
            mirror,
            "--daystream",
            dir / "stream",
            "-d",
            cluster.conninfo()};
  }
  Strings source(const std::string& table, const std::string& columns, const std::string& where) {
    Strings out;
    for (const auto& row : cluster.query("SELECT concat_ws('|', " + columns + ") FROM " + table +
                                         " WHERE " + where)) {
      out.push_back(row[0].value_or(""));
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  Strings here(const std::string& from, const std::string& columns) const {
    support::SqliteReader reader(mirror);
    Strings out;
    for (const auto& row : reader.query("SELECT " + columns + " FROM " + from)) {
      std::string text;
      for (const auto& cell : row) {
        if (cell) text += (text.empty() ? "" : "|") + *cell;
      }
      out.push_back(text);
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  support::TempDir dir;
  support::Cluster cluster;
  std::optional<support::Process> stream;
  std::filesystem::path mirror;
};

// The rows that a history comes to, by doing again what it tells.
Strings replayed(const std::filesystem::path& mirror) {
  support::SqliteReader reader(mirror);
  std::map<std::string, std::map<std::string, std::string>> rows;
  std::string replaced;
  const Strings columns = {"id", "n", "t", "m", "big", "d", "x"};
  for (const auto& line :
       reader.query("SELECT _action, _unchanged, id, n, t, m, big, d, x FROM h ORDER BY _c, _s")) {
    const std::string& action = *line[0];
    if (action == "truncate" || action == "rewrite") rows.clear();
    if (action == "replace") replaced = *line[2];
    if (action == "delete") REQUIRE(rows.erase(*line[2]) == 1);
    if (action != "insert" && action != "seed" && action != "update") continue;
    std::map<std::string, std::string> row;
    const std::string old = replaced.empty() ? *line[2] : replaced;
    const auto there = rows.find(old);
    REQUIRE((there != rows.end()) == (action == "update"));
    const nlohmann::json unchanged =
        line[1] ? nlohmann::json::parse(*line[1]) : nlohmann::json::array();
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const bool same =
          std::find(unchanged.begin(), unchanged.end(), columns[i]) != unchanged.end();
      if (same && there->second.contains(columns[i])) row[columns[i]] = there->second[columns[i]];
      if (!same && line[i + 2]) row[columns[i]] = *line[i + 2];
    }
    if (there != rows.end()) rows.erase(there);
    REQUIRE(rows.emplace(*line[2], row).second);
    replaced.clear();
  }
  Strings out;
  for (const auto& [id, row] : rows) {
    std::string text;
    for (const std::string& column : columns) {
      const auto value = row.find(column);
      if (value != row.end()) text += (text.empty() ? "" : "|") + value->second;
    }
    out.push_back(text);
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

TEST_CASE("deltamirror: rows move in and out of filters, and histories tell all, under kills",
          "[fault][deltamirror][subset]") {
  Random random("subset");
  Subsets s;
  const std::string all =
      "id, n, t, m, big, to_char(d AT TIME ZONE 'UTC', "
      "'YYYY-MM-DD HH24:MI:SS') || rtrim(rtrim(to_char(d, '.US'), '0'), '.'), x";
  const int changes = long_form() ? 2000 : 500;
  int kills = 0;
  for (int round = 0, count = rounds(6, 50); round < count; ++round) {
    CAPTURE(round, kills);
    support::Process load({"psql", "-qX", "-d", s.cluster.conninfo(), "-c",
                           "CALL change(" + std::to_string(changes) + ")"});
    std::optional<support::Process> owner;
    do {
      owner.emplace(s.run_command());
      if (const auto end = owner->wait(std::chrono::milliseconds(50 + random.below(400)))) {
        INFO(owner->err());
        FAIL("run ended");
      }
      owner->signal(SIGKILL);
      owner->wait();
      ++kills;
    } while (load.running());
    REQUIRE(load.wait() == support::Exit{0, 0});
    owner.emplace(s.run_command());
    const std::string lsn = s.cluster.scalar("SELECT pg_current_wal_flush_lsn()");
    const support::Result caught = support::run(
        {support::program("deltamirror"), "wait", s.mirror, "--lsn", lsn, "--timeout", "60"});
    INFO(owner->err());
    REQUIRE(caught.ok());

    const std::string day =
        "to_char(d AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || "
        "rtrim(rtrim(to_char(d, '.US'), '0'), '.')";
    CHECK(s.here("p", "number, id, t, d") == s.source("p", "n, id, t, " + day, kWhere[0]));
    CHECK(s.here("qq", "id, n, t, m, big, d, x") == s.source("q", all, kWhere[1]));
    CHECK(s.here("f", "id, n, t, m, big, d, x") == s.source("f", all, kWhere[2]));
    CHECK(replayed(s.mirror) == s.source("h", all, "true"));
    CHECK(s.here("(SELECT *, max(_day) FROM l GROUP BY id) WHERE _action NOT IN ('delete', "
                 "'truncate')",
                 "id, n, t, m, big, d, x") == s.source("l", all, "true"));
    owner->signal(SIGTERM);
    CHECK(owner->wait() == support::Exit{0, 0});
  }
  // What no row's line tells.
  s.cluster.execute(
      "ALTER TABLE h ADD z int DEFAULT 7; ALTER TABLE l ADD z int DEFAULT 7;"
      "ALTER TABLE l RENAME t TO said");
  const std::string lsn = s.cluster.scalar("SELECT pg_current_wal_flush_lsn()");
  support::Process owner(s.run_command());
  CHECK(support::run(
            {support::program("deltamirror"), "wait", s.mirror, "--lsn", lsn, "--timeout", "60"})
            .ok());
  CHECK(s.here("h WHERE _action = 'schema'", "z, id") == Strings{"7"});
  CHECK(s.here("(SELECT *, max(_day) FROM l GROUP BY id) WHERE _action NOT IN ('delete', "
               "'truncate')",
               "id, said, z") == s.source("l", "id, said, z", "true"));
  owner.signal(SIGTERM);
  CHECK(owner.wait() == support::Exit{0, 0});
  const support::Result verified =
      support::run({support::program("deltamirror"), "verify", s.mirror, "-d", s.cluster.conninfo(),
                    "--daystream", s.dir / "stream"});
  INFO(verified.out << verified.err);
  CHECK(verified.ok());
}
