#include "pipeline.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <set>
#include <stdexcept>

namespace pipeline {

namespace fs = std::filesystem;
using support::eventually;
using support::program;
using support::run_ok;

Pipeline::Pipeline(const Cluster::Options& options) : cluster_(options) {
  cluster_.create_database(kDatabase);
}

void Pipeline::start_stream(const std::vector<std::string>& more) {
  std::vector<std::string> argv = {program("deltastream"),
                                   "-d",
                                   conninfo(),
                                   "-S",
                                   "app",
                                   "-D",
                                   daystream().string(),
                                   "--create-slot",
                                   "--if-not-exists"};
  argv.insert(argv.end(), more.begin(), more.end());
  stream_.emplace(argv);
  if (!eventually([&] { return fs::exists(daystream() / "durable") || !stream_->running(); }) ||
      !stream_->running()) {
    throw std::runtime_error("deltastream did not start: " + stream_->err());
  }
}

std::vector<std::string> Pipeline::seed_command(const std::vector<std::string>& tables,
                                                const std::string& name) const {
  std::vector<std::string> argv = {
      program("deltamirror"), "seed", mirror(name).string(), "-d", conninfo(), "--daystream",
      daystream().string()};
  for (const std::string& table : tables) argv.insert(argv.end(), {"--table", table});
  return argv;
}

void Pipeline::seed(const std::vector<std::string>& tables, const std::string& name) const {
  run_ok(seed_command(tables, name));
}

void Pipeline::start_mirror() {
  mirror_process_.emplace(std::vector<std::string>{program("deltamirror"), "run", mirror().string(),
                                                   "--daystream", daystream().string()});
}

void Pipeline::expect_running() {
  if (stream_ && !stream_->running()) {
    throw std::runtime_error("deltastream has ended: " + stream_->err());
  }
  if (mirror_process_ && !mirror_process_->running()) {
    throw std::runtime_error("deltamirror has ended: " + mirror_process_->err());
  }
}

void Pipeline::wait_until_caught_up(const std::string& name) {
  expect_running();
  // Flushed up to here is at least every commit that has been answered.
  const std::string lsn = scalar("SELECT pg_current_wal_lsn()");
  run_ok({program("deltamirror"), "wait", mirror(name).string(), "--lsn", lsn, "--timeout", "60"},
         {}, std::chrono::seconds{90});
}

void create_pgbench_tables(Pipeline& pipeline) {
  pipeline.cluster().run_tool("pgbench", {"-i", "-q", "-s", "1", Pipeline::kDatabase});
  pipeline.execute("ALTER TABLE pgbench_history ADD id bigserial PRIMARY KEY");
}

Process start_pgbench(const Pipeline& pipeline) {
  const Pipeline& p = pipeline;
  return Process({Cluster::tool("pgbench"), "-n", "-c", "2", "-T", "86400", "-d", p.conninfo()},
                 {.env = {{"PGCONNECT_TIMEOUT", "10"}}});
}

Rows postgres_rows(const Pipeline& pipeline, const std::string& table,
                   const std::string& order_by) {
  support::Session session(pipeline.conninfo());
  session.execute("SET timezone = 'UTC'; SET extra_float_digits = 3");
  Rows rows = session.query(fmt::format("SELECT * FROM {} ORDER BY {}", table, order_by));
  const Rows booleans = session.query(
      fmt::format("SELECT row_number() OVER (ORDER BY attnum) - 1, atttypid = 'bool'::regtype FROM "
                  "pg_attribute WHERE attrelid = '{}'::regclass AND attnum > 0 AND NOT "
                  "attisdropped ORDER BY attnum",
                  table));
  for (std::size_t column = 0; column < booleans.size(); ++column) {
    if (booleans[column][1] != "t") continue;
    for (Row& row : rows) {
      if (row[column]) row[column] = row[column] == "t" ? "1" : "0";
    }
  }
  return rows;
}

Rows postgres_rows_of(const Pipeline& pipeline, const std::string& query) {
  return support::Session(pipeline.conninfo()).query(query);
}

namespace {

struct CloseDatabase {
  void operator()(sqlite3* db) const noexcept { sqlite3_close(db); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* s) const noexcept { sqlite3_finalize(s); }
};

}  // namespace

Rows sqlite_rows(const fs::path& file, const std::string& table, const std::string& order_by,
                 std::chrono::milliseconds busy_timeout) {
  sqlite3* raw = nullptr;
  const int opened = sqlite3_open_v2(file.c_str(), &raw, SQLITE_OPEN_READONLY, nullptr);
  const std::unique_ptr<sqlite3, CloseDatabase> db(raw);
  if (opened != SQLITE_OK) throw std::runtime_error("could not open " + file.string());
  sqlite3_busy_timeout(db.get(), static_cast<int>(busy_timeout.count()));
  sqlite3_stmt* prepared = nullptr;
  const std::string sql = fmt::format("SELECT * FROM {} ORDER BY {}", table, order_by);
  const int result = sqlite3_prepare_v2(db.get(), sql.c_str(), -1, &prepared, nullptr);
  const std::unique_ptr<sqlite3_stmt, FinalizeStatement> statement(prepared);
  if (result != SQLITE_OK) throw std::runtime_error(sqlite3_errmsg(db.get()));

  Rows rows;
  int step = SQLITE_ROW;
  while ((step = sqlite3_step(prepared)) == SQLITE_ROW) {
    Row& row = rows.emplace_back();
    for (int i = 0; i < sqlite3_column_count(prepared); ++i) {
      if (sqlite3_column_type(prepared, i) == SQLITE_NULL) {
        row.emplace_back(std::nullopt);
      } else {
        const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(prepared, i));
        row.emplace_back(
            std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(prepared, i))));
      }
    }
  }
  if (step != SQLITE_DONE) throw std::runtime_error(sqlite3_errmsg(db.get()));
  return rows;
}

namespace {

std::string text_of(const Row& row) {
  std::string out;
  for (const auto& value : row) out += value.value_or("NULL") + "|";
  return out;
}

}  // namespace

std::string difference(const Pipeline& pipeline, const std::string& table, const fs::path& mirror) {
  // Sorted here, as PostgreSQL and SQLite may sort a text differently.
  Rows expected = postgres_rows(pipeline, table, "1");
  Rows found = sqlite_rows(mirror, table, "1");
  std::sort(expected.begin(), expected.end());
  std::sort(found.begin(), found.end());
  const auto [e, f] = std::mismatch(expected.begin(), expected.end(), found.begin(), found.end());
  if (e == expected.end() && f == found.end()) return "";
  return fmt::format("{}: PostgreSQL has {} rows, the mirror {}; first difference: {} / {}", table,
                     expected.size(), found.size(), e == expected.end() ? "no row" : text_of(*e),
                     f == found.end() ? "no row" : text_of(*f));
}

namespace {

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> out;
  std::size_t begin = 0;
  for (;;) {
    const std::size_t tab = line.find('\t', begin);
    out.push_back(line.substr(begin, tab - begin));
    if (tab == std::string::npos) return out;
    begin = tab + 1;
  }
}

std::uint64_t lsn_value(const std::string& text) {
  const std::size_t slash = text.find('/');
  return (std::stoull(text.substr(0, slash), nullptr, 16) << 32U) |
         std::stoull(text.substr(slash + 1), nullptr, 16);
}

struct LineFacts {
  std::string second;
  std::pair<long long, long long> position;
  std::string verb;
  std::string lsn;
};

// Nullopt: this is no line.
std::optional<LineFacts> facts_of(const std::string& line) {
  const std::vector<std::string> fields = split(line);
  if (fields.size() < 6 || fields[0] != "_c" || fields[2] != "_s") return std::nullopt;
  LineFacts facts{fields[1], {std::stoll(fields[1]), std::stoll(fields[3])}, {}, {}};
  for (std::size_t i = 4; i + 1 < fields.size(); i += 2) {
    if (fields[i] == "_lsn") facts.lsn = fields[i + 1];
    if (fields[i] == "_action") {
      facts.verb = fields[i + 1];
      break;
    }
  }
  return facts;
}

}  // namespace

DaystreamCounts check_daystream(const fs::path& dir) {
  std::set<fs::path> days;
  for (const auto& entry : fs::directory_iterator(dir)) {
    if (entry.path().extension() == ".tsv") days.insert(entry.path());
  }
  DaystreamCounts counts;
  std::pair<long long, long long> last{0, -1};
  std::uint64_t last_commit = 0;
  std::optional<std::string> open_second;  // of the transaction whose lines these are
  for (const fs::path& day : days) {
    std::ifstream in(day);
    for (std::string line; std::getline(in, line);) {
      ++counts.lines;
      const auto broken = [&](const std::string& what) {
        throw std::runtime_error(day.string() + ": " + what + ": " + line);
      };
      const std::optional<LineFacts> facts = facts_of(line);
      if (!facts) broken("not a line");
      if (facts->position <= last) broken("the position does not increase");
      last = facts->position;
      if (facts->verb == "mark") {
        ++counts.marks;
        if (open_second) broken("a mark inside a transaction");
      } else if (facts->verb == "abort") {
        ++counts.aborts;
        open_second.reset();
      } else {
        if (open_second && *open_second != facts->second) broken("a transaction over two seconds");
        open_second = facts->second;
        if (facts->verb == "commit") {
          ++counts.commits;
          if (lsn_value(facts->lsn) <= last_commit) broken("the commit LSN does not increase");
          last_commit = lsn_value(facts->lsn);
          open_second.reset();
        }
      }
    }
  }
  return counts;
}

}  // namespace pipeline
