// Decoding ends when it is told to, in the middle of whatever it does: cancelled, terminated, or
// shut down with the server.
#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>

#include "decoding.h"
#include "support/wait.h"
#include "walsender.h"

using namespace plugin_test;

namespace {

constexpr int kRows = 100000;

// One transaction that takes seconds to decode.
void fill(const Source& source) {
  source.execute("CREATE TABLE t (a int PRIMARY KEY, b text)");
  source.execute("INSERT INTO t SELECT i, repeat('x', 40) FROM generate_series(1, " +
                 std::to_string(kRows) + ") i");
}

// Whether the slot's reader has spilled: it has come far into the transaction, or past its end.
bool has_spilled(const support::Cluster& server, const std::string& slot) {
  return server.scalar("SELECT count(*) > 0 FROM pg_ls_dir('pg_replslot/" + slot +
                       "') f WHERE f LIKE '%.spill'") == "t";
}

std::size_t lines_of(const std::filesystem::path& file) {
  std::ifstream lines(file);
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line);) ++count;
  return count;
}

}  // namespace

// Cancelled when lines already come: a result that spills to a temporary file shows that they do.
TEST_CASE("guest: decoding can be cancelled at any time", "[plugin][cancel]") {
  const Source source;
  fill(source);
  const std::string temporary =
      "SELECT count(*) > 0 FROM pg_ls_dir('base/pgsql_tmp', true, false) f WHERE f LIKE ";
  const auto cancel_when = [&](const Options& options, const std::string& condition) {
    auto session = source.session();
    session.execute("SET work_mem = '64kB'; SET logical_decoding_work_mem = '64kB'");
    std::string sql =
        "SELECT count(*) FROM pg_logical_slot_peek_changes('" + source.database() + "', NULL, NULL";
    for (const auto& [name, value] : options) sql += ", '" + name + "', '" + value + "'";
    const std::string pid = std::to_string(session.backend_pid());
    session.send(sql + ")");
    REQUIRE(support::eventually([&] {
      if (condition != "rows") return has_spilled(cluster(), source.database());
      return source.scalar(temporary + "'pgsql_tmp" + pid + ".%'") == "t";
    }));
    REQUIRE(source.scalar("SELECT pg_cancel_backend(" + pid + ")") == "t");
    CHECK_THROWS_WITH(session.finish(), Catch::Contains("canceling statement"));
    CHECK(session.scalar("SELECT 1") == "1");
  };
  cancel_when({}, "rows");
  cancel_when({{"batch-bytes", "1000"}}, "rows");
  // All of it filtered: nothing is ever written.
  cancel_when({{"tables", "other"}}, "spilled");
  // The slot is as it was.
  CHECK(source.scalar("SELECT count(*) FROM pg_logical_slot_peek_changes('" + source.database() +
                      "', NULL, NULL)") == std::to_string(kRows));
}

TEST_CASE("guest: a walsender can be terminated in the middle of a transaction",
          "[plugin][cancel]") {
  const Source source;
  fill(source);
  for (const Options& options :
       {Options{}, Options{{"batch-bytes", "65536"}}, Options{{"tables", "other"}}}) {
    const bool filtered = options.size() == 1 && options[0].first == "tables";
    Walsender walsender(cluster(), source.database(), source.database(), options,
                        "-c logical_decoding_work_mem=64kB");
    int rows = 0;
    const auto count = [&rows](const std::string& message) {
      rows += static_cast<int>(std::count(message.begin(), message.end(), '\n')) + 1;
    };
    if (filtered) {
      REQUIRE(support::eventually([&] { return has_spilled(cluster(), source.database()); }));
    } else {
      count(walsender.next(support::kPatience).value());
    }
    REQUIRE(source.scalar("SELECT pg_terminate_backend(" + std::to_string(walsender.backend_pid()) +
                          ")") == "t");
    const auto drain = [&] {
      while (const auto message = walsender.next(support::kPatience)) count(*message);
    };
    CHECK_THROWS_WITH(drain(), Catch::Contains("terminating connection"));
    CHECK(rows < kRows);
    REQUIRE(support::eventually([&] {
      return source.scalar("SELECT active FROM pg_replication_slots WHERE slot_name = '" +
                           source.database() + "'") == "f";
    }));
  }
  // The slot is as it was.
  CHECK(source.peek().size() == kRows);
}

// PostgreSQL sends what is committed before it ends, and waits for the client to confirm it.
TEST_CASE("guest: a fast shutdown ends while a large transaction streams", "[plugin][cancel]") {
  support::Cluster server;
  const support::TempDir folder;
  server.execute("CREATE TABLE t (a int PRIMARY KEY, b text)");
  server.execute(
      "SELECT pg_create_logical_replication_slot(s, 'deltaflood') FROM "
      "unnest('{all,filtered}'::text[]) s");
  server.execute("INSERT INTO t SELECT i, repeat('x', 40) FROM generate_series(1, " +
                 std::to_string(kRows) + ") i");
  server.execute("ALTER DATABASE postgres SET logical_decoding_work_mem = '64kB'");
  auto all =
      start_receiver(server, "postgres", "all",
                     {{"batch-bytes", "65536"}, {"include-transaction", "on"}}, folder / "all");
  auto filtered = start_receiver(server, "postgres", "filtered", {{"exclude-tables", "t"}},
                                 folder / "filtered");
  REQUIRE(support::eventually(
      [&] { return has_spilled(server, "all") && has_spilled(server, "filtered"); }));
  server.stop(support::Cluster::Shutdown::Fast);
  REQUIRE(all.wait(support::kPatience));
  REQUIRE(filtered.wait(support::kPatience));
  CHECK(lines_of(folder / "all") == kRows + 1);
  CHECK(lines_of(folder / "filtered") == 0);
}
