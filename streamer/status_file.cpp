#include "status_file.h"

#include <utility>

namespace deltastream {

StatusFile::StatusFile(std::filesystem::path directory) : directory_(std::move(directory)) {
  thread_ = std::thread([this] { work(); });
}

StatusFile::~StatusFile() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void StatusFile::save(Status status) {
  {
    const std::lock_guard lock(mutex_);
    newest_ = std::move(status);
  }
  changed_.notify_one();
}

void StatusFile::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || newest_; });
    if (!newest_) return;
    const Status status = *std::exchange(newest_, std::nullopt);
    lock.unlock();
    // Never the one to make the directory: a refused start must leave nothing behind.
    std::error_code error;
    if (std::filesystem::exists(directory_ / "daystream.json", error)) {
      save_status(directory_, status);
    }
    lock.lock();
  }
}

}  // namespace deltastream
