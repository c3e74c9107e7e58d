#include "remote/archive_stream.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include "files_stream.h"
#include "remote/archive_dir.h"
#include "remote/s3_address.h"
#include "src/waiting.h"
#include "stream_info.h"

namespace daystream::remote {

namespace {

using std::chrono::steady_clock;

// A day is closed once in a day.
constexpr std::chrono::seconds kBetweenLooks{30};

class ArchiveSource final : public FilesSource {
 public:
  explicit ArchiveSource(std::shared_ptr<ArchiveDir> archive)
      : FilesSource(archive), archive_(std::move(archive)) {}

  bool wait(std::chrono::milliseconds timeout, int wake_fd) override {
    const auto now = steady_clock::now();
    if (now < look_at_) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(look_at_ - now);
      WaitSet{wake_fd}.wait(std::min(timeout, left));
      if (steady_clock::now() < look_at_) return false;
    }
    look_at_ = steady_clock::now() + kBetweenLooks;
    return archive_->look_again();
  }

 private:
  const std::shared_ptr<ArchiveDir> archive_;
  steady_clock::time_point look_at_ = steady_clock::now() + kBetweenLooks;
};

class ArchiveStream final : public FilesStream {
 public:
  explicit ArchiveStream(const std::string& address)
      : FilesStream(address), where_(S3Address::parse(address)) {}

  std::shared_ptr<Dir> files() const override { return std::make_shared<ArchiveDir>(where_); }

  StreamInfo info() const override {
    return info_of(*files(), archive_stream(where_.text), std::nullopt);
  }

  std::unique_ptr<ReaderSource> reader_source() const override {
    return std::make_unique<ArchiveSource>(std::make_shared<ArchiveDir>(where_));
  }

 private:
  const S3Address where_;
};

}  // namespace

Stream archive_stream(const std::string& address) {
  return Stream(std::make_shared<ArchiveStream>(address));
}

}  // namespace daystream::remote
