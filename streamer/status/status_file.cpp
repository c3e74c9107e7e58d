#include "status/status_file.h"

#include <utility>

#include "daystream/error.h"

namespace deltastream {

namespace {

std::optional<daystream::FileIdentity> look_at(const std::filesystem::path& directory) noexcept {
  try {
    return daystream::identity_of(directory);
  } catch (const daystream::Error&) {
    return std::nullopt;
  }
}

}  // namespace

StatusFile::StatusFile(std::filesystem::path directory, std::filesystem::path metrics)
    : directory_(std::move(directory)), metrics_(std::move(metrics)), ours_(look_at(directory_)) {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    while (const auto status = newest_.take(stop)) write(*status);
  });
}

void StatusFile::write(const Status& status) {
  // Never the one to make the directory: a refused start must leave nothing behind. And another
  // one that has taken its place has a status of its own.
  std::error_code error;
  if (std::filesystem::exists(directory_ / "daystream.json", error) &&
      look_at(directory_) == ours_) {
    save_status(directory_, status);
  }
  metrics_.replace([&] { return metrics_of(directory_, status); });
}

}  // namespace deltastream
