#include "program/metrics_file.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "daystream/error.h"
#include "program/handover.h"
#include "program/hint.h"
#include "program/writable.h"
#include "src/dir.h"

namespace daystream::program {

namespace {

constexpr const char* kHint =
    "name a file in a folder that this user may write to, as that of node_exporter's textfile "
    "collector";

constexpr const char* kOtherName = "its name does not end in .prom";
constexpr const char* kOtherNameHint =
    "the textfile collector of node_exporter reads no others: give it that ending";

bool collector_reads(const std::filesystem::path& file) {
  return file.extension() == ".prom";
}

std::filesystem::path folder_of(const std::filesystem::path& file) {
  return file.has_parent_path() ? file.parent_path() : ".";
}

}  // namespace

void check_metrics_file(const std::filesystem::path& file) {
  const std::filesystem::path folder = folder_of(file);
  const auto refuse = [&](const std::string& why, const std::string& hint) {
    throw ConfigError(fmt::format("metrics file \"{}\": {}", file.string(), why), hint);
  };
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) {
    refuse(fmt::format("there is no directory \"{}\"", folder.string()), kHint);
  }
  if (std::filesystem::is_directory(file, error)) refuse("it is a directory", kHint);
  try {
    require_writable(folder);
  } catch (const NeedsPerson& e) {
    refuse(e.what(), e.hint());
  }
  if (!collector_reads(file)) refuse(kOtherName, kOtherNameHint);
}

MetricsTarget::MetricsTarget(std::filesystem::path file) : file_(std::move(file)) {
  if (!file_.empty() && !collector_reads(file_)) {
    spdlog::warn("metrics file \"{}\": {}", file_.string(), with_hint(kOtherName, kOtherNameHint));
  }
}

// What is being written has another name: the collector reads *.prom.
void MetricsTarget::replace(const std::function<std::string()>& text) noexcept {
  if (file_.empty()) return;
  try {
    replace_file(*real_dir(folder_of(file_)), file_.filename().string(), text(),
                 {.synced = false, .for_everybody = true});
    if (failed_) spdlog::info("metrics file \"{}\" is written again", file_.string());
    failed_ = false;
    problems_.clear();
  } catch (const Error& e) {
    failed(e.what(), e.hint());
  } catch (const std::exception& e) {
    failed(e.what(), kHint);
  }
}

void MetricsTarget::failed(const std::string& why, const std::string& hint) {
  failed_ = true;
  const auto problem = problems_.met(why);
  if (!problem) return;
  spdlog::warn("could not replace metrics file \"{}\": {}", file_.string(),
               with_hint(*problem, hint.empty() ? kHint : hint));
}

MetricsFile::MetricsFile(std::filesystem::path file, std::function<std::string()> text)
    : target_(std::move(file)), text_(std::move(text)) {
  if (!target_) return;
  thread_ = std::jthread([this](const std::stop_token& stop) {
    do {
      target_.replace(text_);
    } while (sleep(stop, kInterval));
  });
}

MetricsFile::~MetricsFile() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  target_.replace(text_);
}

}  // namespace daystream::program
