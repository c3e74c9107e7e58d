#include "program/metrics_file.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "daystream/unique_fd.h"

namespace daystream::program {

namespace {

bool write_whole(const std::filesystem::path& file, const std::string& text) {
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  return fd && ::fchmod(fd.get(), 0644) == 0 &&
         ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

}  // namespace

// The collector reads *.prom: what is being written has another name.
bool replace_metrics(const std::filesystem::path& file, const std::string& text) noexcept {
  try {
    std::filesystem::path fresh = file;
    fresh += ".tmp";
    std::error_code error;
    const bool written = write_whole(fresh, text);
    if (written) std::filesystem::rename(fresh, file, error);
    if (written && !error) return true;
    ::unlink(fresh.c_str());
    return false;
  } catch (const std::exception&) {
    return false;  // no memory
  }
}

MetricsFile::MetricsFile(std::filesystem::path file, std::function<std::string()> text)
    : file_(std::move(file)), text_(std::move(text)) {
  if (!file_.empty()) thread_ = std::thread([this] { work(); });
}

MetricsFile::~MetricsFile() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopped_.notify_one();
  thread_.join();
  write();
}

void MetricsFile::work() {
  std::unique_lock lock(mutex_);
  do {
    lock.unlock();
    write();
    lock.lock();
  } while (!stopped_.wait_for(lock, kInterval, [this] { return stop_; }));
}

void MetricsFile::write() noexcept {
  try {
    const bool failed = !replace_metrics(file_, text_());
    if (failed && !failed_) spdlog::warn("could not replace metrics file \"{}\"", file_.string());
    if (!failed && failed_) spdlog::info("metrics file \"{}\" is written again", file_.string());
    failed_ = failed;
  } catch (const std::exception& e) {
    spdlog::warn("could not make metrics for file \"{}\": {}", file_.string(), e.what());
  }
}

}  // namespace daystream::program
