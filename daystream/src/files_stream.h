// A kind of stream that has its days as files in a Dir, whatever that is made of: what of it is the
// same for all of these.
#pragma once

#include <memory>

#include "reader_source.h"
#include "stream_impl.h"

namespace daystream {

// How a Reader waits is for the kind to say.
class FilesSource : public ReaderSource {
 public:
  std::string name() const override { return dir_->path().string(); }
  Manifest manifest() override;
  std::optional<Place> resolve(const StartAfter& start) override;
  std::vector<std::int64_t> days() override;
  std::unique_ptr<File> open_day(std::int64_t day) override;
  std::optional<Limit> limit(std::int64_t day, std::uint64_t offset) override;
  std::uint64_t backlog_bytes(std::int64_t day, std::uint64_t offset) override;

 protected:
  explicit FilesSource(std::shared_ptr<Dir> dir) : dir_(std::move(dir)) {}
  Dir& dir() const noexcept { return *dir_; }

 private:
  std::shared_ptr<Dir> dir_;
};

class FilesStream : public Stream::Impl {
 public:
  using Impl::Impl;

  Manifest manifest() const override;
  std::optional<Extent> extent() const override;
  std::optional<Seam> find_seam(std::uint64_t xmin) const override;
  std::optional<std::uint32_t> timeline() const override;
  std::optional<Position> before_last(std::uint64_t commits) const override;
  // Each time as it is now.
  std::shared_ptr<Dir> files() const override = 0;
};

}  // namespace daystream
