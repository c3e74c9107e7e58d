#include "common/workload.h"

#include <fmt/format.h>

#include <optional>
#include <random>

namespace fault {

using support::Session;

namespace {

constexpr std::int64_t kModulus = 1000000007;
constexpr int kMiscRows = 40;     // of each client
constexpr int kBulkRows = 15000;  // more than a Writer keeps in memory

// One round trip a transaction, so that many of them meet each fault.
const char* const kSchema = R"(
CREATE TABLE acct (id int PRIMARY KEY, bal bigint NOT NULL);
CREATE TABLE ledger (txid bigint PRIMARY KEY, n bigint NOT NULL, src int, dst int, amt int,
                     note text);
CREATE TABLE seq (id int PRIMARY KEY, n bigint NOT NULL, h bigint NOT NULL);
CREATE TABLE misc (id bigint PRIMARY KEY, v bigint, note text, flag bool);
CREATE TABLE bulk (id bigint PRIMARY KEY, v text);
ALTER TABLE misc ALTER note SET STORAGE EXTERNAL;
INSERT INTO seq VALUES (1, 0, 0);
CREATE FUNCTION transfer(tx bigint, s int, d int, a int, size int) RETURNS void LANGUAGE plpgsql AS
$$
DECLARE at bigint;
BEGIN
  UPDATE seq SET n = n + 1,
    h = (h * 31 + tx % 1000003 * 7 + s * 5 + d * 3 + a) % 1000000007 WHERE id = 1
    RETURNING n INTO at;
  UPDATE acct SET bal = bal - a WHERE id = s;
  UPDATE acct SET bal = bal + a WHERE id = d;
  INSERT INTO ledger VALUES (tx, at, s, d, a, repeat(chr(97 + (tx % 26)::int), size));
END
$$;
)";

}  // namespace

Workload::Workload(const support::Cluster& cluster) : conninfo_(cluster.conninfo()) {
  Session session(conninfo_);
  session.execute(kSchema);
  session.execute(fmt::format("INSERT INTO acct SELECT i, {} FROM generate_series(1, {}) i",
                              kBalance, kAccounts));
}

Workload::~Workload() {
  stop();
}

const std::vector<support::ComparedTable>& Workload::tables() {
  static const std::vector<support::ComparedTable> all = {{"public.acct", ""},
                                                          {"public.ledger", ""},
                                                          {"public.seq", ""},
                                                          {"public.misc", ""},
                                                          {"public.bulk", ""}};
  return all;
}

std::int64_t Workload::next_hash(std::int64_t hash, std::int64_t txid, std::int64_t src,
                                 std::int64_t dst, std::int64_t amount) {
  return (hash * 31 + txid % 1000003 * 7 + src * 5 + dst * 3 + amount) % kModulus;
}

void Workload::start(int clients, std::uint64_t seed, int per_second) {
  stop();
  stop_ = false;
  ++generation_;
  const int pause_us = per_second == 0 ? 0 : 1000000 * clients / per_second;
  for (int client = 0; client < clients; ++client) {
    threads_.emplace_back([this, client, seed, pause_us] {
      run(client, seed + static_cast<std::uint64_t>(client), pause_us);
    });
  }
}

void Workload::stop() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

std::map<std::int64_t, Outcome> Workload::log() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

void Workload::run(int client, std::uint64_t seed, int pause_us) {
  std::mt19937_64 random(seed);
  std::optional<Session> session;
  const std::int64_t base = (generation_ * 100 + client) * 10'000'000;
  for (std::int64_t i = 0; !stop_; ++i) {
    if (pause_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(pause_us));
    const bool bank = random() % 2 == 0;
    const std::int64_t txid = base + i;
    const auto tell = [&](Outcome outcome) {
      if (outcome == Outcome::Ok) ++ok_count_;
      if (!bank) return;
      const std::lock_guard lock(mutex_);
      log_[txid] = outcome;
    };
    try {
      if (!session) {
        session.emplace(conninfo_);
        finish_prepared(*session, client);
      }
    } catch (const daystream::Error&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the server is away
      continue;
    }
    try {
      if (bank) {
        transfer(*session, txid, random());
      } else {
        misc(*session, client, random());
      }
      tell(Outcome::Ok);
    } catch (const daystream::program::SqlError& error) {
      // Whatever the server says about a running statement, it did not commit it; when it says
      // that it goes away (class 57), the answer may have been lost behind it.
      tell(error.sqlstate().starts_with("57") ? Outcome::Unknown : Outcome::Failed);
      session.reset();
    } catch (const daystream::Error&) {
      tell(Outcome::Unknown);
      session.reset();
    }
  }
  try {
    if (!session) session.emplace(conninfo_);
    finish_prepared(*session, client);
  } catch (const daystream::Error&) {
    // The server is away; whoever starts us again finishes it.
  }
}

// What a crash left between PREPARE and COMMIT would hold its rows forever.
void Workload::finish_prepared(Session& session, int client) {
  for (const support::Row& row : session.query(fmt::format(
           "SELECT gid FROM pg_prepared_xacts WHERE gid LIKE 'two\\_{}\\_%'", client))) {
    session.execute("COMMIT PREPARED '" + *row[0] + "'");
  }
}

void Workload::transfer(Session& session, std::int64_t txid, std::uint64_t random) {
  const auto account = [&](std::uint64_t r) { return 1 + r % kAccounts; };
  // Some notes are large enough for a TOAST table.
  const std::uint64_t size = random % 16 == 0 ? random / 16 % 20000 : random / 16 % 40;
  session.execute(fmt::format("SELECT transfer({}, {}, {}, {}, {})", txid, account(random >> 10),
                              account(random >> 20), (random >> 30) % 100, size));
}

// All of the client's rows come, or all of them go.
void Workload::bulk(Session& session, int client) {
  session.execute(fmt::format(
      "WITH gone AS (DELETE FROM bulk WHERE id / 1000000 = {0} RETURNING 1) "
      "INSERT INTO bulk SELECT {0} * 1000000 + i, repeat('b', 60) FROM generate_series(1, {1}) i "
      "WHERE NOT EXISTS (SELECT FROM bulk WHERE id / 1000000 = {0}) "
      "AND (SELECT count(*) FROM gone) = 0",
      client, kBulkRows));
}

void Workload::misc(Session& session, int client, std::uint64_t random) {
  if (random % 257 == 0) return bulk(session, client);
  const auto id = static_cast<std::int64_t>(client * 1000000 + (random >> 8) % kMiscRows);
  const auto other = static_cast<std::int64_t>(client * 1000000 + (random >> 20) % kMiscRows);
  const std::string insert = fmt::format(
      "INSERT INTO misc VALUES ({0}, {1}, repeat('n', {2}), {1} % 2 = 0) ON CONFLICT (id) DO "
      "UPDATE SET v = misc.v + 1",
      id, random % 1000, random % 8 == 0 ? 9000 : random % 30);
  switch (random % 8) {
    case 0:
    case 1:
      session.execute(insert);
      break;
    case 2:  // the note stays where it is
      session.execute(fmt::format("UPDATE misc SET v = v + 1 WHERE id = {}", id));
      break;
    case 3:  // a key change, with an unchanged note
      session.execute(
          fmt::format("BEGIN; DELETE FROM misc WHERE id = {1} AND {0} <> {1};"
                      "UPDATE misc SET id = {1} WHERE id = {0}; COMMIT",
                      id, other));
      break;
    case 4:
      session.execute(fmt::format(
          "UPDATE misc SET flag = CASE WHEN flag IS NULL THEN true END, v = NULLIF(v, 3) "
          "WHERE id = {}",
          id));
      break;
    case 5:
      session.execute(
          fmt::format("BEGIN; {}; SAVEPOINT s; DELETE FROM misc WHERE id >= {} AND id "
                      "< {}; ROLLBACK TO s; UPDATE misc SET v = 7 WHERE id = {}; COMMIT",
                      insert, client * 1000000, client * 1000000 + kMiscRows, other));
      break;
    case 6:
      session.execute(fmt::format("BEGIN; {}; ROLLBACK", insert));
      break;
    case 7:
      session.execute(
          fmt::format("BEGIN; {}; DELETE FROM misc WHERE id = {}; "
                      "PREPARE TRANSACTION 'two_{}_{}'",
                      insert, other, client, generation_));
      session.execute(fmt::format("COMMIT PREPARED 'two_{}_{}'", client, generation_));
      break;
  }
}

}  // namespace fault
