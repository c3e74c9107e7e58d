// The locks that keep tables as they are while they are copied.
#pragma once

#include <libpq-fe.h>

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "daystream/error.h"
#include "daystream/stop.h"
#include "program/postgres.h"
#include "program/repeats.h"
#include "seed/seed_table.h"
#include "seed/transaction_settings.h"

namespace deltamirror {

// LOCK TABLE asks for a right to the whole table. Where there is one to some columns, a query that
// names none of them takes the same lock; but it would take the snapshot first. So another
// connection does it before, and holds the lock until this one has it as well: cross_bridge().
//
// Who holds a table is waited for, however long; the log says so, and a stop is heard meanwhile.
//
// Somebody may then wait for one of our connections and hold up the other, a circle that the server
// cannot see: neither waits for long, and all is tried again.
//
// Lifetime: borrows connection and settings, and is used in a transaction of the connection.
class TableLocks {
 public:
  TableLocks(PGconn* pg, std::string conninfo, const TransactionSettings& settings,
             daystream::Stop stop)
      : pg_(pg), conninfo_(std::move(conninfo)), settings_(settings), stop_(std::move(stop)) {}

  // Whether the session goes on without a table that cannot be locked.
  using PassOver = std::function<bool(std::size_t table, const daystream::Error& error)>;
  // Before anything takes the snapshot, and then with the snapshot there. False: it is to be tried
  // again, without a table that had to be passed over, or after a wait; the transaction has failed.
  bool take(const std::vector<SeedTable>& tables, const PassOver& pass_over);
  bool cross_bridge(const std::vector<SeedTable>& tables, const PassOver& pass_over);
  void drop_bridge() noexcept { bridge_.reset(); }

 private:
  void lock(PGconn* pg, const SourceRelation& relation, const std::string& sql);
  bool each(const std::vector<SeedTable>& tables, const PassOver& pass_over,
            const std::function<void(const SourceRelation&)>& lock);

  PGconn* const pg_;
  const std::string conninfo_;
  const TransactionSettings& settings_;
  const daystream::Stop stop_;
  daystream::program::Repeats said_;
  daystream::program::PgConn bridge_;  // holds locks until the session's connection does
};

}  // namespace deltamirror
