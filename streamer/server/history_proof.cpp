#include "server/history_proof.h"

#include <fmt/format.h>

#include <algorithm>

#include "daystream/error.h"
#include "daystream/line.h"
#include "daystream/reader.h"

namespace deltastream {

using daystream::Action;
using daystream::Lsn;

namespace {

// What comes again whenever its transaction does.
bool is_row(Action action) noexcept {
  return action == Action::Insert || action == Action::Update || action == Action::Delete ||
         action == Action::Replace || action == Action::Truncate;
}

bool has_row(daystream::Transaction& transaction) {
  daystream::Line line;
  while (transaction.next_line(line)) {
    if (is_row(daystream::parse_change(line.body).action)) return true;
  }
  return false;
}

}  // namespace

HistoryProof::HistoryProof(const std::filesystem::path& directory, daystream::Position since,
                           Lsn confirmed, Lsn end)
    : pending_(confirmed < end), confirmed_(confirmed), begin_(end), end_(end) {
  if (!pending_) return;
  begin_ = confirmed;
  try {
    daystream::Reader reader(directory, {daystream::Position::begin(), confirmed});
    Lsn before = confirmed;
    while (daystream::Transaction* transaction = reader.next()) {
      const Lsn after = std::max(before, transaction->lsn());
      if (transaction->kind() == daystream::Transaction::Kind::Gap ||
          transaction->position() <= since) {
        expected_.reset();
        begin_ = after;
      } else if (transaction->kind() == daystream::Transaction::Kind::Transaction &&
                 transaction->lsn() > confirmed && has_row(*transaction)) {
        const daystream::Change& commit = transaction->end();
        expected_ = Commit{commit.lsn, commit.xid, commit.time_us};
        begin_ = before;
      }
      before = after;
    }
    pending_ = begin_ < end;
  } catch (const daystream::PositionGone&) {
    // The slot is so far behind that the days after it are deleted here: nothing can be compared.
    pending_ = false;
    begin_ = end;
  }
}

bool HistoryProof::take(std::string_view lines) {
  const bool keep = !expected_;
  while (pending_ && !lines.empty()) {
    const std::size_t size = std::min(lines.find('\n'), lines.size());
    const daystream::Change change = daystream::parse_change(lines.substr(0, size));
    lines.remove_prefix(std::min(size + 1, lines.size()));
    if (change.action == Action::Commit) {
      take_commit({change.lsn, change.xid, change.time_us});
      in_transaction_ = has_row_ = false;
    } else {
      in_transaction_ = true;
      has_row_ = has_row_ || is_row(change.action);
    }
  }
  return keep;
}

void HistoryProof::take_commit(const Commit& commit) {
  if (commit.lsn > end_) return passed(commit.lsn);
  if (expected_ && commit == *expected_) {
    expected_.reset();
    if (commit.lsn == end_) pending_ = false;
  } else if (has_row_) {
    diverged(commit.lsn);
  } else {
    passed(commit.lsn);
  }
}

void HistoryProof::take_keepalive(Lsn lsn) {
  if (!in_transaction_) passed(lsn);
}

// Everything before `lsn` has come.
void HistoryProof::passed(Lsn lsn) {
  if (expected_ && lsn >= expected_->lsn) diverged(lsn);
  if (lsn >= end_) pending_ = false;
}

void HistoryProof::diverged(Lsn lsn) const {
  throw daystream::NeedsPerson(
      fmt::format("diverged: at {} the server's history is not that of this daystream, which goes "
                  "to {}{}",
                  lsn.text(), end_.text(),
                  expected_ ? fmt::format(" and has transaction {} at {}", expected_->xid,
                                          expected_->lsn.text())
                            : ""),
      "the server was restored from an older copy and has gone on since: begin a new daystream in "
      "another directory, with a new slot, and re-seed its mirrors");
}

}  // namespace deltastream
