#include "seed/table_locks.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <string>
#include <string_view>

#include "program/hint.h"

namespace deltamirror {

using daystream::Error;
using daystream::program::exec;
using daystream::program::SqlError;

namespace {

constexpr const char* kShortWaits = "SET LOCAL lock_timeout = '1s'";
// Shorter waits are everyday.
constexpr std::chrono::milliseconds kUntilSaid{2000};

// Locks the table as any query does, with a right to any column of it.
std::string touch_sql(const SourceRelation& relation) {
  return fmt::format("SELECT 1 FROM {} LIMIT 0", from_item(relation));
}

// The server's words have a table's name without its schema, and so has the hint that is made of
// them.
SqlError with_grant(const SqlError& error, const SourceRelation& relation, const char* role) {
  constexpr const char* kOfTable[] = {"for table ", "for view ", "for materialized view "};
  const std::string_view words = error.what();
  for (const char* kind : kOfTable) {
    if (words.find(std::string("permission denied ") + kind) == words.npos) continue;
    return {error.what(),
            fmt::format("as its owner: GRANT SELECT ON {} TO {};", relation.name.sql(),
                        daystream::program::quote_identifier(role)),
            error.sqlstate()};
  }
  return error;
}

}  // namespace

bool TableLocks::take(const std::vector<SeedTable>& tables, const PassOver& pass_over) {
  const bool bridged = each(tables, pass_over, [&](const SourceRelation& relation) {
    if (relation.may_lock) return;
    if (!bridge_) {
      bridge_ = daystream::program::connect(conninfo_, "deltamirror");
      exec(bridge_.get(), "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY");
      settings_.set(bridge_.get());
      exec(bridge_.get(), kShortWaits);
    }
    lock(bridge_.get(), relation, touch_sql(relation));
  });
  if (!bridged) return false;
  if (bridge_) exec(pg_, kShortWaits);
  return each(tables, pass_over, [&](const SourceRelation& relation) {
    if (!relation.may_lock) return;
    lock(pg_, relation, fmt::format("LOCK TABLE {} IN ACCESS SHARE MODE", relation.name.sql()));
  });
}

bool TableLocks::cross_bridge(const std::vector<SeedTable>& tables, const PassOver& pass_over) {
  if (!bridge_) return true;
  const bool crossed = each(tables, pass_over, [&](const SourceRelation& relation) {
    if (!relation.may_lock) lock(pg_, relation, touch_sql(relation));
  });
  if (!crossed) return false;
  exec(pg_, "SET LOCAL lock_timeout = 0");
  bridge_.reset();
  return true;
}

void TableLocks::lock(PGconn* pg, const SourceRelation& relation, const std::string& sql) {
  daystream::program::send(pg, sql);
  while (
      !daystream::program::is_answered(pg, std::chrono::steady_clock::now() + kUntilSaid, stop_)) {
    const auto text = said_.met(daystream::program::with_hint(
        fmt::format("waiting for table \"{}\": another transaction holds a lock on it",
                    relation.name.display()),
        "pg_blocking_pids() over pg_stat_activity names it"));
    if (text) spdlog::info("{}", *text);
  }
  if (stop_.requested()) {
    throw Error("stopped before all tables were locked", "the same command does it again");
  }
  daystream::program::take_answer(pg, sql);
}

bool TableLocks::each(const std::vector<SeedTable>& tables, const PassOver& pass_over,
                      const std::function<void(const SourceRelation&)>& lock) {
  for (std::size_t i = 0; i < tables.size(); ++i) {
    if (tables[i].relation.oid == 0) continue;
    try {
      lock(tables[i].relation);
    } catch (const SqlError& e) {
      if (e.sqlstate() == "55P03") return false;  // lock_not_available
      const SqlError whole = with_grant(e, tables[i].relation, PQuser(pg_));
      if (!pass_over(i, whole)) throw whole;
      return false;
    } catch (const Error& e) {
      if (!pass_over(i, e)) throw;
      return false;
    }
  }
  return true;
}

}  // namespace deltamirror
