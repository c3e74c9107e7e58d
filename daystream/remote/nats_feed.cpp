#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "remote/nats_handles.h"
#include "src/waiting.h"

namespace daystream::remote {

using std::chrono::milliseconds;

class NatsFeed::Impl {
 public:
  Impl(const NatsAddress& address, const std::string& subjects, std::uint64_t first)
      : link_(address) {
    jsSubOptions options;
    jsSubOptions_Init(&options);
    options.Stream = address.stream.c_str();
    options.Ordered = true;
    options.Config.DeliverPolicy = js_DeliverByStartSequence;
    options.Config.OptStartSeq = first;
    natsSubscription* subscription = nullptr;
    jsErrCode code{};
    link_.require(js_SubscribeSync(&subscription, link_.context(), subjects.c_str(), nullptr,
                                   &options, &code));
    subscription_.reset(subscription);
    // What the server sends ahead is bounded by its flow control; more than that is none of ours.
    link_.require(natsSubscription_SetPendingLimits(subscription, -1, 128 * 1024 * 1024));
    pump_ = std::jthread([this](const std::stop_token& stop) { pump(stop); });
  }

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    pump_.request_stop();
    pump_.join();
    link_.close();
  }

  std::optional<NatsMessage> take() {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) {
      if (!broken_) wake_.clear();
      return std::nullopt;
    }
    NatsMessage message = std::move(waiting_.front());
    waiting_.pop_front();
    bytes_ -= message.data.size();
    room_.notify_all();
    return message;
  }

  bool wait(milliseconds timeout, int wake_fd) {
    {
      const std::lock_guard lock(mutex_);
      if (!waiting_.empty()) return true;
      if (broken_) throw link_.lost(*broken_);
      wake_.clear();
    }
    WaitSet{wake_.fd(), wake_fd}.wait(timeout);
    const std::lock_guard lock(mutex_);
    return !waiting_.empty();
  }

 private:
  void pump(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      natsMsg* raw = nullptr;
      const natsStatus status = natsSubscription_NextMsg(&raw, subscription_.get(), 100);
      const OwnedMessage message(raw);
      if (status == NATS_TIMEOUT) continue;
      if (status != NATS_OK) {
        const std::lock_guard lock(mutex_);
        broken_ = natsStatus_GetText(status);
        wake_.wake();
        return;
      }
      jsMsgMetaData* meta = nullptr;
      if (natsMsg_GetMetaData(&meta, raw) != NATS_OK) continue;
      const NatsOwned<jsMsgMetaData, jsMsgMetaData_Destroy> owned(meta);
      NatsMessage out = taken(raw, meta->Sequence.Stream);
      std::unique_lock lock(mutex_);
      room_.wait(lock, stop, [this] { return bytes_ < kMostWaiting; });
      bytes_ += out.data.size();
      waiting_.push_back(std::move(out));
      wake_.wake();
    }
  }

  NatsLink::Impl link_;
  OwnedSubscription subscription_;
  WakeFd wake_;
  std::mutex mutex_;  // of what follows
  std::condition_variable_any room_;
  std::deque<NatsMessage> waiting_;
  std::size_t bytes_ = 0;
  std::optional<std::string> broken_;
  std::jthread pump_;
};

NatsFeed::NatsFeed(const NatsAddress& address, const std::string& subjects, std::uint64_t first)
    : impl_(std::make_unique<Impl>(address, subjects, first)) {}
NatsFeed::~NatsFeed() = default;

std::optional<NatsMessage> NatsFeed::take() {
  return impl_->take();
}
bool NatsFeed::wait(milliseconds timeout, int wake_fd) {
  return impl_->wait(timeout, wake_fd);
}

}  // namespace daystream::remote
