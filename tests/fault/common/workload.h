// Writers whose transactions can be judged from the outside: a bank, its ledger, and a total order.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/cluster.h"
#include "support/row_compare.h"

namespace fault {

// What became of a transaction, as its client knows it.
enum class Outcome { Ok, Failed, Unknown };

// Tables acct(id, bal), ledger(txid, n, src, dst, amt, note), seq(id, n, h), misc(id, v, note,
// flag) and bulk(id, v).
//
// Class A transactions move money, add their ledger row, and count seq.n up under its row lock, so
// that n is the commit order without holes; seq.h is a running hash over them. Class B transactions
// work on rows of misc that only their client touches: key changes, updates that leave a TOASTed
// note unchanged, NULL flips, rollbacks to savepoints, rollbacks, two-phase commits; a few change
// many rows of bulk at once.
class Workload {
 public:
  static constexpr int kAccounts = 20;
  static constexpr int kBalance = 1000;  // of each account at first

  // Makes the tables in database "postgres".
  explicit Workload(const support::Cluster&);
  ~Workload();  // stops

  // `clients` threads, each with a session that it makes again when the server is away. They pause
  // between transactions so that all of them together make about `per_second`; 0: no pause.
  void start(int clients, std::uint64_t seed, int per_second = 0);
  void stop();  // waits for the clients' last outcomes

  std::uint64_t ok_count() const noexcept { return ok_count_.load(); }
  // By ledger.txid, of class A transactions.
  std::map<std::int64_t, Outcome> log() const;

  static const std::vector<support::ComparedTable>& tables();
  // The next value of seq.h.
  static std::int64_t next_hash(std::int64_t hash, std::int64_t txid, std::int64_t src,
                                std::int64_t dst, std::int64_t amount);

 private:
  void run(int client, std::uint64_t seed, int pause_us);
  void transfer(support::Session&, std::int64_t txid, std::uint64_t random);
  static void finish_prepared(support::Session&, int client);
  void misc(support::Session&, int client, std::uint64_t random);
  void bulk(support::Session&, int client);

  const std::string conninfo_;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> ok_count_{0};
  mutable std::mutex mutex_;
  std::map<std::int64_t, Outcome> log_;
  std::vector<std::thread> threads_;
  std::int64_t generation_ = 0;  // of start() calls: ids are never used twice
};

}  // namespace fault
