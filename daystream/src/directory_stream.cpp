#include "directory_stream.h"

#include <algorithm>
#include <chrono>

#include "daystream/error.h"
#include "files_stream.h"
#include "lock.h"
#include "place.h"
#include "stream_info.h"
#include "wake.h"

namespace daystream {

namespace {

using std::chrono::steady_clock;

class LocalSource final : public FilesSource {
 public:
  explicit LocalSource(const std::filesystem::path& directory)
      : FilesSource(real_dir(directory)), place_(watch_directory(directory)) {}

  bool wait(std::chrono::milliseconds timeout, int wake_fd) override {
    if (!watch_) watch_.emplace(dir().path());
    const auto until = steady_clock::now() + timeout;
    for (;;) {
      check_place();
      const auto began = steady_clock::now();
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - began);
      const auto nap = std::clamp(left, std::chrono::milliseconds(0), PlaceWatch::kBetweenLooks);
      if (watch_->wait(nap, wake_fd)) return true;
      const bool woken = steady_clock::now() - began < nap;
      if (woken || nap >= left) return false;
    }
  }

 private:
  // Where another stream is now, or none, who reads opens it again: what is there then is compared
  // with what was read before.
  void check_place() const {
    if (std::string problem = place_.problem(); !problem.empty())
      throw ConnectionLost(problem, "it goes on once the directory is back");
  }

  PlaceWatch place_;
  std::optional<DurableWatch> watch_;
};

class DirectoryStream final : public FilesStream {
 public:
  explicit DirectoryStream(const std::filesystem::path& directory)
      : FilesStream(directory.string()), directory_(directory) {}

  std::string absolute_address() const override {
    return std::filesystem::absolute(directory_).string();
  }
  std::optional<std::filesystem::path> directory() const override { return directory_; }
  std::shared_ptr<Dir> files() const override { return real_dir(directory_); }

  StreamInfo info() const override { return info_of(*files(), directory_, writer_of(directory_)); }

  std::unique_ptr<ReaderSource> reader_source() const override {
    return std::make_unique<LocalSource>(directory_);
  }

 private:
  const std::filesystem::path directory_;
};

}  // namespace

std::shared_ptr<const Stream::Impl> directory_stream(const std::filesystem::path& directory) {
  return std::make_shared<DirectoryStream>(directory);
}

}  // namespace daystream
