#include "common/stream_judge.h"

#include <fmt/format.h>

#include <algorithm>

namespace fault {

using support::FaultPreload;
using support::StreamContent;

ConfirmedSampler::ConfirmedSampler(const std::string& conninfo, const std::string& slot,
                                   const FaultPreload& faults, int per_second)
    : faults_(faults),
      thread_([this, conninfo, slot, per_second] { run(conninfo, slot, per_second); }) {}

ConfirmedSampler::~ConfirmedSampler() {
  stop();
}

std::vector<ConfirmedSample> ConfirmedSampler::stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  return samples_;
}

void ConfirmedSampler::run(const std::string& conninfo, const std::string& slot, int per_second) {
  std::optional<support::Session> session;
  while (!stop_) {
    std::this_thread::sleep_for(std::chrono::microseconds(1000000 / per_second));
    try {
      if (!session) session.emplace(conninfo);
      const support::Rows rows = session->query(
          "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '" + slot + "'");
      if (rows.empty()) continue;
      const std::uint64_t confirmed = support::parse_lsn(*rows[0][0]);
      samples_.push_back({confirmed, faults_.sync_count()});
    } catch (const daystream::Error&) {
      session.reset();
    }
  }
}

std::string unsafe_confirmation(const std::vector<ConfirmedSample>& samples,
                                const std::vector<FaultPreload::Sync>& syncs,
                                const StreamContent& content) {
  std::map<std::string, std::uint64_t> sizes;
  std::size_t applied = 0;
  std::uint64_t durable = content.transactions.empty() ? 0 : content.transactions.front().lsn;
  auto next = content.transactions.begin();  // the first that was not on disk yet
  for (const ConfirmedSample& sample : samples) {
    for (; applied < sample.sync_count; ++applied) {
      const std::filesystem::path path(syncs[applied].path);
      if (path.extension() != ".tsv") continue;
      std::uint64_t& size = sizes[path.filename()];
      size = std::max(size, syncs[applied].size_bytes);
    }
    for (; next != content.transactions.end(); ++next) {
      const auto size = sizes.find(next->file);
      if (size == sizes.end() || next->end_offset > size->second) break;
      durable = next->lsn;
    }
    if (sample.confirmed > durable) {
      return fmt::format("the slot was confirmed up to {} when the disk had {} (after {} syncs)",
                         support::lsn_text(sample.confirmed), support::lsn_text(durable),
                         sample.sync_count);
    }
  }
  return "";
}

bool is_ledger_line(std::string_view line) {
  return line.starts_with("_table\tledger\t");
}

StreamedLedger streamed_ledger(const StreamContent& content) {
  StreamedLedger out;
  for (const support::StreamTransaction* commit : content.commits()) {
    for (const std::string& line : commit->lines) {
      if (support::stream_key(line, "_table") != "ledger" ||
          support::stream_key(line, "_action") != "insert") {
        continue;
      }
      std::int64_t txid = 0, n = 0;
      bool columns = false;
      for (const auto& [key, value] : support::stream_fields(line)) {
        if (columns && key == "txid") txid = std::stoll(value);
        if (columns && key == "n") n = std::stoll(value);
        columns |= key == "_action";
      }
      out.n_by_lsn[commit->lsn] = n;
      ++out.count_by_txid[txid];
    }
  }
  return out;
}

std::string ledger_complaint(const StreamedLedger& streamed,
                             const std::map<std::int64_t, Outcome>& log) {
  std::int64_t expected = 0;
  for (const auto& [lsn, n] : streamed.n_by_lsn) {
    if (n != ++expected) {
      return fmt::format("at {} the ledger goes on with n = {} after {}", support::lsn_text(lsn), n,
                         expected - 1);
    }
  }
  for (const auto& [txid, count] : streamed.count_by_txid) {
    if (count != 1) return fmt::format("transaction {} is there {} times", txid, count);
    const auto known = log.find(txid);
    if (known == log.end() || known->second == Outcome::Failed) {
      return fmt::format("transaction {} is there, but it failed", txid);
    }
  }
  for (const auto& [txid, outcome] : log) {
    if (outcome == Outcome::Ok && streamed.count_by_txid.count(txid) == 0) {
      return fmt::format("transaction {} was committed, but is missing", txid);
    }
  }
  return "";
}

}  // namespace fault
