#include "program/metrics_file.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "program/handover.h"
#include "src/dir.h"

namespace daystream::program {

// The collector reads *.prom: what is being written has another name.
bool replace_metrics(const std::filesystem::path& file, const std::string& text) noexcept {
  try {
    const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
    replace_file(*real_dir(folder), file.filename().string(), text,
                 {.synced = false, .for_everybody = true});
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

MetricsFile::MetricsFile(std::filesystem::path file, std::function<std::string()> text)
    : file_(std::move(file)), text_(std::move(text)) {
  if (file_.empty()) return;
  thread_ = std::jthread([this](const std::stop_token& stop) {
    do {
      write();
    } while (sleep(stop, kInterval));
  });
}

MetricsFile::~MetricsFile() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  write();
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
