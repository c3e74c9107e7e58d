#include "apply/mirror_commit.h"

#include <algorithm>

namespace deltamirror {

MirrorCommit::MirrorCommit(Database& db, const std::string& source)
    : db_(db), writer_(db), committed_(load_checkpoint(db, source)), reached_(committed_) {}

void MirrorCommit::begin() {
  if (open_ == nullptr) open_ = std::make_unique<WriteTransaction>(db_);
}

void MirrorCommit::roll_back() noexcept {
  open_.reset();
  reached_ = committed_;
  commit_time_us_ = 0;
  complete_to_us_ = 0;
  pending_changes_ = 0;
  pending_bytes_ = 0;
}

void MirrorCommit::take(daystream::Position position, daystream::Lsn lsn) {
  reached_.position = position;
  reached_.lsn = std::max(reached_.lsn, lsn);
}

void MirrorCommit::take_commit_time(std::int64_t time_us) {
  if (time_us != 0) commit_time_us_ = time_us;
  take_complete_to(time_us);
}

void MirrorCommit::take_complete_to(std::int64_t time_us) {
  complete_to_us_ = std::max(complete_to_us_, time_us);
}

std::string MirrorCommit::commit_time() const {
  return commit_time_us_ != 0 ? timestamp_of(commit_time_us_) : reached_.commit_time;
}

void MirrorCommit::commit() {
  reached_.commit_time = commit_time();
  if (complete_to_us_ != 0) {
    reached_.complete_to = std::max(reached_.complete_to, timestamp_of(complete_to_us_));
  }
  reached_.applied_at = timestamp_now();
  writer_.save(reached_);
  open_->commit();
  open_.reset();
  committed_ = reached_;
  pending_changes_ = 0;
  pending_bytes_ = 0;
}

}  // namespace deltamirror
