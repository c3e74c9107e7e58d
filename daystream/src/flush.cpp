#include "flush.h"

#include <fmt/format.h>

#include <cerrno>

#include "daystream/error.h"

namespace daystream {

void remember_failure(std::atomic<int>& failed) noexcept {
  int number = EIO;
  try {
    throw;
  } catch (const IoError& e) {
    number = e.error_number();
  } catch (...) {  // no errno: damage, or no memory
  }
  int none = 0;
  failed.compare_exchange_strong(none, number);
}

void Writer::Flush::run() {
  if (!work_->day_file) {
    work_->done = true;
    return;
  }
  if (work_->failed->load()) {
    throw IoError(
        fmt::format("could not sync file \"{}\" after an earlier error", work_->day_file->path()),
        work_->failed->load());
  }
  try {
    work_->day_file->sync();
    work_->durable_file->write_at(work_->durable.text(), 0);
  } catch (...) {
    remember_failure(*work_->failed);
    throw;
  }
  work_->done = true;
}

}  // namespace daystream
