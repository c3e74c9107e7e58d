#include "common/invariant_reader.h"

#include <fmt/format.h>

#include "common/workload.h"
#include "support/stream_checker.h"

namespace fault {

using support::SqliteReader;

namespace {

constexpr int kSnapshotsPerConnection = 50;
constexpr std::size_t kMostViolations = 10;

std::int64_t number(const std::optional<std::string>& text) {
  return text ? std::stoll(*text) : -1;
}

}  // namespace

InvariantReader::InvariantReader(std::filesystem::path mirror)
    : mirror_(std::move(mirror)), thread_([this] { run(); }) {}

InvariantReader::~InvariantReader() {
  stop();
}

void InvariantReader::pause() {
  std::unique_lock lock(mutex_);
  paused_ = true;
  changed_.wait(lock, [&] { return idle_ || stop_; });
}

void InvariantReader::resume() {
  const std::lock_guard lock(mutex_);
  n_ = hash_ = 0;
  paused_ = false;
  changed_.notify_all();
}

// False: to stop.
bool InvariantReader::wait_while_paused() {
  std::unique_lock lock(mutex_);
  idle_ = paused_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return !paused_ || stop_; });
  idle_ = false;
  return !stop_;
}

void InvariantReader::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

std::vector<std::string> InvariantReader::violations() const {
  const std::lock_guard lock(mutex_);
  return violations_;
}

std::vector<InvariantReader::Seen> InvariantReader::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

std::vector<std::string> InvariantReader::look_once(const std::filesystem::path& mirror) {
  InvariantReader looker(mirror, Idle{});
  SqliteReader reader(mirror);
  reader.execute("BEGIN");
  looker.look(reader);
  reader.execute("COMMIT");
  return looker.violations_;
}

void InvariantReader::say(const std::string& what) {
  const std::lock_guard lock(mutex_);
  if (violations_.size() < kMostViolations) violations_.push_back(what);
}

void InvariantReader::run() {
  while (wait_while_paused()) {
    try {
      SqliteReader reader(mirror_);
      for (int i = 0; i < kSnapshotsPerConnection && !stop_ && !paused_; ++i) {
        reader.execute("BEGIN");
        look(reader);
        reader.execute("COMMIT");
        ++snapshots_;
      }
    } catch (const std::exception& error) {
      say(error.what());
      if (violations().size() < kMostViolations) continue;
      const std::lock_guard lock(mutex_);
      stop_ = true;
      changed_.notify_all();
    }
  }
}

void InvariantReader::look(SqliteReader& reader) {
  const support::Row seq = reader.query("SELECT n, h FROM seq")[0];
  const std::int64_t n = number(seq[0]);
  const std::string at = fmt::format("at n = {}: ", n);
  const std::string total = reader.scalar("SELECT sum(bal) FROM acct");
  if (total != std::to_string(Workload::kAccounts * Workload::kBalance)) {
    say(at + "the sum of all balances is " + total);
  }
  const std::string count = reader.scalar("SELECT count(*) FROM ledger");
  if (count != std::to_string(n)) say(at + "the ledger has " + count + " rows");
  if (n < n_) say(at + fmt::format("the mirror went back from {}", n_));
  std::int64_t expected_n = n_;
  for (const support::Row& row : reader.query(
           fmt::format("SELECT n, txid, src, dst, amt FROM ledger WHERE n > {} ORDER BY n", n_))) {
    if (number(row[0]) != ++expected_n) {
      say(at + fmt::format("the ledger has {} where {} should be", number(row[0]), expected_n));
      return;
    }
    hash_ =
        Workload::next_hash(hash_, number(row[1]), number(row[2]), number(row[3]), number(row[4]));
  }
  if (expected_n != n) say(at + fmt::format("the ledger ends at {}", expected_n));
  if (hash_ != number(seq[1])) say(at + "the running hash is not the ledger's");
  // Dear, so only now and then: every balance is what the ledger makes it.
  if (snapshots_.load() % 16 == 0) {
    const support::Rows wrong = reader.query(fmt::format(
        "WITH moved(id, by) AS (SELECT src, -amt FROM ledger UNION ALL SELECT dst, amt FROM ledger)"
        "SELECT acct.id FROM acct LEFT JOIN moved ON moved.id = acct.id GROUP BY acct.id "
        "HAVING max(acct.bal) <> {} + coalesce(sum(moved.by), 0)",
        Workload::kBalance));
    if (!wrong.empty()) say(at + "the balance of account " + *wrong[0][0] + " is not the ledger's");
  }
  const support::Row at_row =
      reader.query("SELECT lsn, consistent_at FROM _deltamirror_checkpoint")[0];
  const std::uint64_t lsn = support::parse_lsn(at_row[0].value());
  // Until its replay has passed it, a seed's rows are as of consistent_at, not of its checkpoint.
  const bool replayed = lsn >= support::parse_lsn(at_row[1].value());
  if (replayed && (n != n_ || seen_.empty())) {
    const std::lock_guard lock(mutex_);
    seen_.push_back({n, lsn});
  }
  n_ = n;
}

}  // namespace fault
