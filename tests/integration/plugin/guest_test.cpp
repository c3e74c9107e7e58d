// What would hurt the server: rows as large as PostgreSQL takes, transactions and streams as long
// as they come. DELTAFLOOD_FAULT_LONG=1 runs them at full size.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "decoding.h"
#include "support/wait.h"
#include "walsender.h"

using namespace plugin_test;

namespace {

// Only how long a failing test takes.
constexpr std::chrono::minutes kLongPatience{60};

// The largest of the sizes here whose line, two digits a byte, is below the server's 1 GB.
constexpr int kCarriedMegabytes = 520;

bool is_long() {
  return std::getenv("DELTAFLOOD_FAULT_LONG") != nullptr;
}

// The hex digits of repeat('0123456789abcdef', …), as a line has them; npos: all as they should be.
std::size_t first_wrong(std::string_view hex) {
  constexpr std::string_view period = "30313233343536373839616263646566";
  for (std::size_t i = 0; i < hex.size(); ++i) {
    if (hex[i] != period[i % period.size()]) return i;
  }
  return std::string_view::npos;
}

// `megabytes` of bytea, out of line or compressed, then a small row: either the whole row or a line
// that says it cannot be, and in both cases what comes later.
void check_large_row(int megabytes, const std::string& storage, const std::string& batch_bytes) {
  CAPTURE(megabytes, storage, batch_bytes);
  const Source source;
  const support::TempDir folder;
  source.execute("CREATE TABLE big (a int PRIMARY KEY, b bytea)");
  source.execute("ALTER TABLE big ALTER b SET STORAGE " + storage);
  const std::string size = std::to_string(megabytes) + "000000";
  source.execute("INSERT INTO big VALUES (1, convert_to(repeat('0123456789abcdef', " + size +
                 " / 16), 'UTF8'))");
  source.execute("INSERT INTO big VALUES (2, 'later')");
  const std::string end = source.scalar("SELECT pg_logical_emit_message(false, 'end', '')");
  auto process = start_receiver(cluster(), source.database(), source.database(),
                                {{"batch-bytes", batch_bytes}}, folder / "lines", end);
  const auto exit = process.wait(kLongPatience);
  INFO(process.err());
  REQUIRE(exit == support::Exit{0, 0});
  std::ifstream lines(folder / "lines");
  std::string line;
  REQUIRE(std::getline(lines, line));
  if (megabytes <= kCarriedMegabytes) {
    const std::string before = "\t_action\tinsert\ta\t1\tb\t\\\\x";
    const auto at = line.find(before);
    REQUIRE(at < 100);
    const auto value = std::string_view(line).substr(at + before.size());
    CHECK(value.size() == std::stoul(size) * 2);
    CHECK(first_wrong(value) == std::string_view::npos);
  } else {
    REQUIRE(line.size() < 1000);
    const Fields fields(line);
    CHECK(fields.action == "oversize");
    CHECK(fields.head("_verb") == "insert");
    CHECK(std::stoul(fields.head("_size").value()) > 2UL * std::stoul(size));
    CHECK(fields.column("a") == "1");
    CHECK_FALSE(fields.column("b"));
  }
  REQUIRE(std::getline(lines, line));
  CHECK(Fields(line).column("b") == "\\\\x6c61746572");
  CHECK_FALSE(std::getline(lines, line));
}

// The most memory that a process ever had resident, in KiB.
std::size_t peak_kib(const std::string& pid) {
  std::ifstream status("/proc/" + pid + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::stoul(line.substr(6));
  }
  throw std::runtime_error("could not read the memory of process " + pid);
}

// Streams `first`, then the much longer `rest`, over one walsender, and returns its peak after
// each. Few shared buffers, as they count as resident.
std::pair<std::size_t, std::size_t> peaks(const std::string& first, const std::string& rest) {
  const support::Cluster server{support::Cluster::Options{
      .config = {"shared_buffers = 4MB", "logical_decoding_work_mem = 1MB", "max_wal_size = 32GB",
                 "checkpoint_timeout = 1h", "wal_buffers = 1MB"}}};
  const support::TempDir folder;
  server.execute("CREATE TABLE t (a bigint PRIMARY KEY, b text)");
  server.execute("SELECT pg_create_logical_replication_slot('flat', 'deltaflood')");
  auto process = start_receiver(
      server, "postgres", "flat",
      {{"batch-bytes", "65536"}, {"include-transaction", "on"}, {"include-schema", "on"}},
      "/dev/null");
  const auto peak_after = [&](const std::string& sql) {
    server.execute(sql);
    const std::string end = server.scalar("SELECT pg_current_wal_insert_lsn()");
    const std::string sent = "SELECT coalesce(max(sent_lsn) >= '" + end +
                             "', false) FROM pg_stat_replication WHERE state = 'streaming'";
    const bool reached = support::eventually(kLongPatience, [&] {
      if (!process.running()) throw std::runtime_error("pg_recvlogical: " + process.err());
      return server.scalar(sent) == "t";
    });
    REQUIRE(reached);
    return peak_kib(server.scalar("SELECT pid FROM pg_stat_replication"));
  };
  const std::size_t early = peak_after(first);
  return {early, peak_after(rest)};
}

std::string transactions(int from, int count) {
  return "DO $$ BEGIN FOR i IN " + std::to_string(from) + ".." + std::to_string(from + count - 1) +
         " LOOP INSERT INTO t VALUES (i, 'row'); COMMIT; END LOOP; END $$";
}

std::string one_transaction(int from, int count) {
  return "INSERT INTO t SELECT i, 'row ' || i FROM generate_series(" + std::to_string(from) + ", " +
         std::to_string(from + count - 1) + ") i";
}

}  // namespace

TEST_CASE("guest: large rows are carried or told, and later ones come", "[plugin][large]") {
  const std::string batch_bytes = GENERATE("0", "65536");
  if (is_long()) {
    for (const int megabytes : {100, 400, 520, 540}) {
      check_large_row(megabytes, "EXTERNAL", batch_bytes);
    }
    check_large_row(400, "EXTENDED", batch_bytes);
  } else {
    check_large_row(16, "EXTERNAL", batch_bytes);
    check_large_row(16, "EXTENDED", batch_bytes);
  }
}

// Twenty columns of 27 MB, each the same compressed datum: little in the log, and the line is known
// to be too long without making it.
TEST_CASE("guest: a row of 540 MB is one line that says so", "[plugin][large]") {
  const Source source;
  source.execute("CREATE TABLE part (b bytea)");
  source.execute("INSERT INTO part VALUES (convert_to(repeat('x', 27000000), 'UTF8'))");
  std::string columns;
  std::string values;
  for (int i = 0; i < 20; ++i) {
    columns += ", b" + std::to_string(i) + " bytea";
    values += ", b";
  }
  source.execute("CREATE TABLE big (a int PRIMARY KEY" + columns + ")");
  source.execute("INSERT INTO big SELECT 1" + values + " FROM part");
  source.execute("INSERT INTO big VALUES (2, 'later')");
  for (const std::string batch_bytes : {"0", "65536"}) {
    const Lines lines = source.receive({{"tables", "big"}, {"batch-bytes", batch_bytes}});
    REQUIRE(lines.size() == 2);
    const Fields fields(lines[0]);
    CHECK(fields.action == "oversize");
    CHECK(fields.head("_verb") == "insert");
    CHECK(std::stoul(fields.head("_size").value()) > 2UL * 540000000);
    CHECK(fields.columns.size() == 1);
    CHECK(fields.column("a") == "1");
    CHECK(Fields(lines[1]).column("b0") == "\\\\x6c61746572");
  }
}

// A bit string's text takes a byte a bit: of 2^30 bits it is beyond what the server allocates,
// while the value, of zeroes, takes next to nothing in the log.
TEST_CASE("guest: a value whose text cannot be made is one line that says so", "[plugin][large]") {
  const Source source;
  source.execute("CREATE TABLE big (a int PRIMARY KEY, b varbit, c text)");
  source.execute(
      "DO $$ DECLARE v varbit := B'0'; BEGIN FOR i IN 1..30 LOOP v := v || v; END LOOP; "
      "INSERT INTO big VALUES (1, v, 'with it'); END $$");
  source.execute("UPDATE big SET c = 'unchanged'; UPDATE big SET b = B'1'; DELETE FROM big");
  const Lines lines = source.receive({{"batch-bytes", "65536"}});
  REQUIRE(lines.size() == 4);
  const Fields fields(lines[0]);
  CHECK(fields.action == "oversize");
  CHECK(fields.head("_verb") == "insert");
  CHECK(std::stoul(fields.head("_size").value()) >= 1000000000UL);
  CHECK(fields.columns.size() == 1);
  CHECK(fields.column("a") == "1");
  CHECK_FALSE(Fields(lines[1]).column("b"));
  CHECK(Fields(lines[1]).column("c") == "unchanged");
  CHECK(Fields(lines[2]).column("b") == "1");
  CHECK(Fields(lines[3]).action == "delete");
}

TEST_CASE("guest: memory does not grow with the number of transactions", "[plugin][memory]") {
  const int count = is_long() ? 1000000 : 20000;
  const auto [early, late] = peaks(transactions(1, 4000), transactions(4001, count));
  INFO("peak resident KiB: " << early << ", then " << late);
  if (is_long()) WARN("peak resident KiB: " << early << ", after a million more " << late);
  CHECK(late < early + 4096);
}

TEST_CASE("guest: memory does not grow with the rows of a transaction", "[plugin][memory]") {
  const int count = is_long() ? 10000000 : 150000;
  const auto [early, late] = peaks(one_transaction(1, 50000), one_transaction(50001, count));
  INFO("peak resident KiB: " << early << ", then " << late);
  if (is_long()) WARN("peak resident KiB: " << early << ", after ten million rows " << late);
  CHECK(late < early + 4096);
}

// An excluded table is filled and emptied: the walsender decodes for much longer than it may be
// without a reply, spilled to disk and read again, and has nothing to send. Two transactions, so it
// stands at two records of the log for long and asks again and again at each, which it does only
// where the plugin tells of progress.
//
// Not with pg_recvlogical: it waits a second at least between statuses, so when it was last heard
// is up to two seconds ago, and a pause of the server's own can end the connection. There is one
// after the last change, without a callback: the spilled files of ten million changes are removed
// (1.6 s seen on a busy disk, during which the server neither asks nor looks for replies).
TEST_CASE("guest: a long filtered transaction streams on past wal_sender_timeout",
          "[plugin][progress]") {
  const Source source;
  source.execute(
      "CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE other (a int PRIMARY KEY, b text)");
  source.execute("INSERT INTO t VALUES (1)");
  source.execute("ALTER DATABASE " + source.database() + " SET wal_sender_timeout = '" +
                 (is_long() ? "1s" : "500ms") + "'");
  // How many rows keep a server busy for so long is a matter of the machine.
  const int wanted = is_long() ? 10 : 1;
  const int least = is_long() ? 10'000'000 : 400'000;
  int asked_again = 0;
  for (int rows = least; asked_again < wanted && rows <= 16 * least; rows *= 2) {
    source.execute("INSERT INTO other SELECT i, repeat('x', 50) FROM generate_series(1, " +
                   std::to_string(rows) + ") i");
    source.execute("DELETE FROM other");
    source.execute("UPDATE t SET a = a + 1");
    {
      Walsender walsender(cluster(), source.database(), source.database(),
                          {{"exclude-tables", "other"}}, "-c logical_decoding_work_mem=64kB");
      for (std::string a; a != source.scalar("SELECT a FROM t");) {
        const auto line = walsender.next(kLongPatience);
        REQUIRE(line);
        a = Fields(*line).column("a").value_or("");
      }
      asked_again = walsender.asked_again();
    }
    REQUIRE(support::eventually([&] {
      return source.scalar("SELECT active FROM pg_replication_slots WHERE slot_name = '" +
                           source.database() + "'") == "f";
    }));
  }
  if (is_long()) WARN("asked again, standing at one record: " << asked_again);
  CHECK(asked_again >= wanted);
}
