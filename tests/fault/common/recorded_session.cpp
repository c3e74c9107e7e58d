#include "common/recorded_session.h"

#include <fmt/format.h>

#include <algorithm>

#include "support/temp_dir.h"

namespace fault {

using support::StreamContent;
using support::StreamTransaction;

namespace {

void write_history(support::Session& session) {
  session.execute("INSERT INTO t VALUES (1, 'fox', NULL), (2, 'hen', 'x')");
  session.execute("UPDATE t SET b = 'tab\tnewline\nbackslash\\' WHERE a = 1");
  session.execute("UPDATE t SET a = 3 WHERE a = 2");
  session.execute("BEGIN; INSERT INTO t VALUES (4, 'gone', NULL); ROLLBACK");
  session.execute(
      "BEGIN; INSERT INTO t VALUES (5, 'a', NULL); SAVEPOINT s; DELETE FROM t WHERE a = 5;"
      "ROLLBACK TO s; UPDATE t SET b = 'b' WHERE a = 5; COMMIT");
  session.execute(
      "INSERT INTO big SELECT 1, string_agg(md5(i::text), '') FROM "
      "generate_series(1, 80) i");
  session.execute("UPDATE big SET a = 2");  // its value stays where it is: unchanged TOAST
  session.execute("ALTER TABLE t ADD COLUMN d int DEFAULT 7");
  session.execute("INSERT INTO t SELECT i, 'many', NULL, i FROM generate_series(100, 112) i");
  session.execute("TRUNCATE big");
  session.execute("DELETE FROM t WHERE a < 108");
}

// Everything of a transaction that is the same whenever it is received. Not so a table's shape,
// which is told again on each connection.
std::vector<std::string> fingerprint(const StreamTransaction& transaction) {
  std::vector<std::string> out = {support::lsn_text(transaction.lsn) + " xid " + transaction.xid};
  for (const std::string& line : transaction.lines) {
    if (support::stream_key(line, "_action") != "schema") out.push_back(line);
  }
  return out;
}

std::string first_difference(const std::vector<std::string>& wanted,
                             const std::vector<std::string>& found) {
  const auto [a, b] = std::mismatch(wanted.begin(), wanted.end(), found.begin(), found.end());
  if (a == wanted.end() && b == found.end()) return "";
  return fmt::format("in {}: expected \"{}\", found \"{}\"", wanted[0],
                     a == wanted.end() ? "nothing" : *a, b == found.end() ? "nothing" : *b);
}

}  // namespace

RecordedSession::RecordedSession(bool with_bulk) {
  support::Session session = cluster_.session();
  session.execute(
      "CREATE TABLE t (a int PRIMARY KEY, b text, c text);"
      "CREATE TABLE big (a int PRIMARY KEY, b text);"
      "ALTER TABLE big ALTER b SET STORAGE EXTERNAL");
  session.scalar("SELECT slot_name FROM pg_create_logical_replication_slot('base', 'deltaflood')");
  write_history(session);
  if (with_bulk) {
    session.execute(
        "INSERT INTO t SELECT i, repeat('bulk', 200), NULL, i FROM generate_series(1000, 4000) i");
    session.execute("DELETE FROM t WHERE a = 1000");
  }
  end_ = session.scalar("SELECT pg_current_wal_flush_lsn()");

  const support::TempDir dir;
  fresh_slot();
  support::run_ok(deltastream(dir / "d"));
  expected_ = support::check_stream(dir / "d");
  if (expected_.violation) throw std::runtime_error(expected_.violation->text());
  if (expected_.commits().size() < 9) {
    throw std::runtime_error(
        fmt::format("an undisturbed stream has {} commits only", expected_.commits().size()));
  }
}

void RecordedSession::fresh_slot() {
  // A walsender of a client that was killed may hold it for a moment.
  support::Session session = cluster_.session();
  const bool dropped = support::eventually([&] {
    try {
      session.query(
          "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
          "WHERE slot_name = 'try'");
      return true;
    } catch (const daystream::program::SqlError& error) {
      if (error.sqlstate() != "55006") throw;  // object_in_use
      return false;
    }
  });
  if (!dropped) throw std::runtime_error("slot \"try\" stayed in use");
  session.query("SELECT pg_copy_logical_replication_slot('base', 'try')");
}

std::uint64_t RecordedSession::confirmed_flush() {
  return support::parse_lsn(cluster_.scalar(
      "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'try'"));
}

std::vector<std::string> RecordedSession::deltastream(const std::filesystem::path& directory,
                                                      const std::vector<std::string>& more,
                                                      const std::string& conninfo) const {
  std::vector<std::string> argv = {support::program("deltastream"),
                                   "-d",
                                   conninfo.empty() ? cluster_.conninfo() : conninfo,
                                   "-S",
                                   "try",
                                   "-D",
                                   directory.string(),
                                   "-E",
                                   end_};
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

std::string RecordedSession::prefix_complaint(const StreamContent& content) const {
  if (content.violation) return content.violation->text();
  const auto wanted = expected_.commits();
  const auto found = content.commits();
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (i == wanted.size()) return "more than there was: " + fingerprint(*found[i])[0];
    std::string wrong = first_difference(fingerprint(*wanted[i]), fingerprint(*found[i]));
    if (!wrong.empty()) return wrong;
  }
  return "";
}

std::string RecordedSession::complaint(const std::filesystem::path& directory) const {
  const StreamContent content = support::check_stream(directory);
  std::string wrong = prefix_complaint(content);
  if (!wrong.empty()) return wrong;
  const std::size_t missing = expected_.commits().size() - content.commits().size();
  return missing == 0 ? "" : fmt::format("the last {} transactions are missing", missing);
}

}  // namespace fault
