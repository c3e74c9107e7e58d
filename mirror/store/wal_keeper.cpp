#include "store/wal_keeper.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include "store/mirror_file.h"

namespace deltamirror {

namespace {

using std::chrono::steady_clock;

constexpr std::chrono::minutes kBetweenWarnings{5};
constexpr std::chrono::hours kBetweenAnalyses{6};

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
  bound_log(now);
  if (now - analyzed_ < kBetweenAnalyses) return;
  analyzed_ = now;
  analyze(db_);
}

void WalKeeper::bound_log(steady_clock::time_point now) {
  const std::uint64_t size = file_size(beside(db_.path(), "-wal"));
  if (size <= limits_.large_bytes) {
    large_ = false;
    return;
  }
  if (!large_) {
    large_ = true;
    large_since_ = now;
  }
  // Without a busy handler a reader in the log makes this fail at once.
  sqlite3_busy_timeout(db_.raw(), 0);
  const int code =
      sqlite3_wal_checkpoint_v2(db_.raw(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  sqlite3_busy_timeout(db_.raw(), 10'000);
  if (code == SQLITE_OK) {
    large_ = false;
    return;
  }
  if (now - large_since_ >= limits_.patience && now - told_ > kBetweenWarnings) {
    told_ = now;
    spdlog::warn(
        "\"{}-wal\" has {} MiB: a reader has had the mirror open in one transaction for {} s",
        db_.path(), size >> 20,
        std::chrono::duration_cast<std::chrono::seconds>(now - large_since_).count());
  }
}

}  // namespace deltamirror
