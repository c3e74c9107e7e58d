#include "remote/nats_stream.h"

#include <memory>

#include "daystream/error.h"
#include "files_stream.h"
#include "remote/nats_address.h"
#include "remote/nats_dir.h"
#include "stream_info.h"
#include "stream_view.h"

namespace daystream::remote {

namespace {

class NatsSource final : public FilesSource {
 public:
  explicit NatsSource(std::shared_ptr<NatsDir> dir) : FilesSource(dir), nats_(std::move(dir)) {}

  std::optional<Place> resolve(const StartAfter& start) override {
    try {
      return FilesSource::resolve(start);
    } catch (const PositionGone&) {
      nats_->require_fallback();  // it may have that, and be away
      throw;
    }
  }
  std::optional<Limit> limit(std::int64_t day, std::uint64_t offset) override {
    nats_->release(day, offset);
    nats_->take_news();
    auto limit = FilesSource::limit(day, offset);
    if (limit) limit->has_chain = nats_->has_chain();
    return limit;
  }
  bool wait(std::chrono::milliseconds timeout, int wake_fd) override {
    return nats_->wait(timeout, wake_fd);
  }

 private:
  const std::shared_ptr<NatsDir> nats_;
};

class NatsStream final : public FilesStream {
 public:
  NatsStream(NatsAddress where, const StreamKinds& kinds)
      : FilesStream(where.text), where_(std::move(where)), kinds_(kinds) {}

  std::shared_ptr<Dir> files() const override { return open(); }

  StreamInfo info() const override {
    return info_of(*files(), Stream(std::make_shared<NatsStream>(where_, kinds_)), std::nullopt);
  }

  std::unique_ptr<ReaderSource> reader_source() const override {
    return std::make_unique<NatsSource>(open());
  }

 private:
  std::shared_ptr<NatsDir> open() const { return std::make_shared<NatsDir>(where_, kinds_); }

  const NatsAddress where_;
  const StreamKinds kinds_;
};

}  // namespace

Stream nats_stream(const Options& options, const StreamKinds& kinds, const std::string& address) {
  return Stream(std::make_shared<NatsStream>(NatsAddress::parse(options, address), kinds));
}

}  // namespace daystream::remote
