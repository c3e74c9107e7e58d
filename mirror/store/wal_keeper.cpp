#include "store/wal_keeper.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <filesystem>

#include "program/disk_space.h"

namespace deltamirror {

namespace {

using std::chrono::steady_clock;
namespace program = daystream::program;

constexpr std::chrono::hours kBetweenAnalyses{6};
// Far behind, which costs more memory (store/mirror_file.h), begins and ends at so many bytes that
// are not applied yet.
constexpr std::uint64_t kFarBehindBytes = 64ull << 20;
constexpr std::uint64_t kNearlyLevelBytes = 4ull << 20;
// With less room than this the log is kept short, whatever it costs.
constexpr std::uint64_t kRoomBehind = 4ull * kBehindLogPages * 4096;

}  // namespace

std::uint64_t file_size(const std::string& path) noexcept {
  struct stat facts {};
  return stat(path.c_str(), &facts) == 0 ? static_cast<std::uint64_t>(facts.st_size) : 0;
}

void analyze(Database& db) {
  db.exec("PRAGMA analysis_limit = 1000; ANALYZE");
}

void WalKeeper::after_commit() {
  const auto now = steady_clock::now();
  if (now - looked_ < limits_.between_looks) return;
  looked_ = now;
  take_pace(behind_.empty() ? Pace::Level : Pace::Behind);
  bound_log(now);
  if (now - analyzed_ < kBetweenAnalyses) return;
  analyzed_ = now;
  analyze(db_);
}

void WalKeeper::take_pace(Pace pace) {
  if (pace == pace_) return;
  if (pace == Pace::Behind) {
    const auto space = program::disk_space(std::filesystem::path(db_.path()).parent_path());
    if (space && space->free_bytes < kRoomBehind) return;
  }
  set_pace(db_, pace);
  pace_ = pace;
}

void WalKeeper::set_backlog(const std::string& source, std::uint64_t bytes) {
  if (bytes >= (behind_.contains(source) ? kNearlyLevelBytes : kFarBehindBytes)) {
    behind_.insert(source);
  } else {
    behind_.erase(source);
  }
}

void WalKeeper::bound_log(steady_clock::time_point now) {
  const std::uint64_t size = file_size(beside(db_.path(), "-wal"));
  if (size <= (pace_ == Pace::Level ? limits_.large_bytes : limits_.large_behind_bytes)) {
    large_ = false;
    return;
  }
  if (!large_) {
    large_ = true;
    large_since_ = now;
  }
  // Without a busy handler a reader in the log makes this fail at once.
  const auto patience = db_.lock_patience();
  db_.set_lock_patience(std::chrono::milliseconds(0));
  const int code =
      sqlite3_wal_checkpoint_v2(db_.raw(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  db_.set_lock_patience(patience);
  if (code == SQLITE_OK) {
    large_ = false;
    return;
  }
  if (now - large_since_ >= limits_.patience && warnings_.due(now)) {
    spdlog::warn(
        "\"{}-wal\" has {} MiB: a reader has had the mirror open in one transaction for {} s",
        db_.path(), size >> 20,
        std::chrono::duration_cast<std::chrono::seconds>(now - large_since_).count());
  }
}

}  // namespace deltamirror
