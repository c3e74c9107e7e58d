// Which failures of other systems are waited for, and which need a person.
#include "src/reasons.h"

#include <sqlite3.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "program/postgres.h"
#include "program/postgres_hints.h"
#include "sqlite/sqlite.h"
#include "support/temp_dir.h"

using daystream::ExitCode;
using daystream::Reason;

namespace {

#define NAMED(code) \
  { #code, code }
const std::map<std::string, int> kSqlite = {
    NAMED(SQLITE_BUSY),          NAMED(SQLITE_LOCKED), NAMED(SQLITE_FULL),
    NAMED(SQLITE_IOERR_SHMSIZE), NAMED(SQLITE_PERM),   NAMED(SQLITE_READONLY),
    NAMED(SQLITE_CORRUPT),       NAMED(SQLITE_AUTH),   NAMED(SQLITE_NOTADB)};
const std::map<std::string, int> kErrno = {
    NAMED(EAGAIN),       NAMED(EDQUOT),  NAMED(EMFILE), NAMED(ENFILE), NAMED(ENOMEM),
    NAMED(ENOSPC),       NAMED(EFBIG),   NAMED(EACCES), NAMED(EISDIR), NAMED(ELOOP),
    NAMED(ENAMETOOLONG), NAMED(ENOTDIR), NAMED(EPERM),  NAMED(EROFS)};
#undef NAMED

// The codes in each column of the row of docs/errors.md that begins so.
std::vector<std::vector<std::string>> row_of_page(const std::string& begins) {
  const std::string page = support::read_file(SOURCE_ROOT "/docs/errors.md");
  const std::size_t at = page.find("\n| " + begins);
  REQUIRE(at != std::string::npos);
  const std::string row = page.substr(at + 1, page.find('\n', at + 1) - at - 1);
  std::vector<std::vector<std::string>> columns(1);
  const std::regex code("`([^`]+)`|\\|");
  for (std::sregex_iterator found(row.begin(), row.end(), code), end; found != end; ++found) {
    if ((*found)[1].matched) {
      columns.back().push_back((*found)[1].str());
    } else {
      columns.emplace_back();
    }
  }
  return columns;
}

}  // namespace

TEST_CASE("reasons: the codes are those that the page has, and no others", "[mirror][reasons]") {
  std::map<int, Reason> sqlite;
  std::map<int, Reason> system;
  for (const auto& [begins, reason] :
       std::map<std::string, Reason>{{"is waited for (code 1)", Reason::Away},
                                     {"needs a person (code 3)", Reason::NeedsPerson}}) {
    const auto columns = row_of_page(begins);
    REQUIRE(columns.size() >= 5);
    CHECK(columns[2].size() >= 3);
    for (const std::string& state : columns[2]) {
      CAPTURE(state);
      CHECK(daystream::reason_of_sqlstate(state + std::string(5 - state.size(), '0')) == reason);
    }
    for (const std::string& name : columns[3]) sqlite[kSqlite.at(name)] = reason;
    for (const std::string& name : columns[4]) system[kErrno.at(name)] = reason;
  }
  for (int code = 0; code < 256; ++code) {
    CAPTURE(code);
    const auto known = sqlite.find(code);
    const Reason reason = known == sqlite.end() ? Reason::Failed : known->second;
    CHECK(daystream::reason_of_sqlite(code) == reason);
    CHECK(daystream::reason_of_sqlite(code | (1 << 8)) == reason);
    const auto failed = system.find(code);
    CHECK(daystream::reason_of_errno(code) ==
          (failed == system.end() ? Reason::Failed : failed->second));
  }
  CHECK(sqlite.at(SQLITE_IOERR_SHMSIZE) == daystream::reason_of_sqlite(SQLITE_IOERR_SHMSIZE));
  for (const char* other :
       {"00000", "40001", "55006", "55P03", "57014", "58000", "P0001", "XX000"}) {
    CAPTURE(other);
    CHECK(daystream::reason_of_sqlstate(other) == Reason::Failed);
  }
}

TEST_CASE("reasons: what each error says of itself is what they say", "[mirror][reasons]") {
  const auto check = [](const daystream::Error& error, bool waits, bool waits_at_first,
                        ExitCode code) {
    CAPTURE(error.what());
    CHECK(error.retryable() == waits);
    CHECK(error.retryable_at_first() == waits_at_first);
    CHECK(error.exit_code() == code);
  };
  using daystream::program::SqlError;
  check(SqlError("away", "", "57P03"), true, true, ExitCode::Failed);
  check(SqlError("conflict", "", "40001"), false, false, ExitCode::Failed);
  check(SqlError("denied", "", "42501"), false, false, ExitCode::NeedsPerson);
  check(deltamirror::SqliteError("locked", SQLITE_BUSY_SNAPSHOT), true, true, ExitCode::Failed);
  check(deltamirror::SqliteError("wrong", SQLITE_ERROR), false, false, ExitCode::Failed);
  check(deltamirror::SqliteError("damaged", SQLITE_CORRUPT_INDEX), false, false,
        ExitCode::NeedsPerson);
  // Whoever writes must not write again what may be half there: only who knows better waits.
  check(daystream::IoError("full", ENOSPC), false, false, ExitCode::Failed);
  check(daystream::IoError("denied", EACCES), false, false, ExitCode::NeedsPerson);
  using daystream::ConnectionLost;
  using daystream::program::connection_reason;
  check(ConnectionLost("gone"), true, true, ExitCode::Failed);
  check(ConnectionLost("refused", "", connection_reason("password authentication failed")), true,
        false, ExitCode::NeedsPerson);
  check(ConnectionLost("host", "", connection_reason("no pg_hba.conf entry for host \"h\"")), true,
        false, ExitCode::NeedsPerson);
  // Of two servers one is only away.
  check(ConnectionLost("both", "",
                       connection_reason("Connection refused; password authentication failed")),
        true, true, ExitCode::Failed);
}
