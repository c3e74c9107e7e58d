// What the thread of a source is asked for from outside.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "config/config.h"

namespace deltamirror {

// A request about one source's tables.
struct SourceRequest {
  std::uint64_t client = 0;  // to answer
  nlohmann::json asked;
};

// Threads: any. Who puts something in sees to it that the source's thread looks.
class Inbox {
 public:
  void put(SourceRequest request) {
    const std::lock_guard lock(mutex_);
    requests_.push_back(std::move(request));
    has_requests_ = true;
  }
  // To take a configuration, unless it is nullptr, and to try at once what waits for its next try.
  void put_reload(std::shared_ptr<const MirrorConfig> config) {
    const std::lock_guard lock(mutex_);
    config_ = std::move(config);
    reload_ = true;
  }

  std::optional<SourceRequest> take_request() {
    const std::lock_guard lock(mutex_);
    if (requests_.empty()) return std::nullopt;
    SourceRequest request = std::move(requests_.front());
    requests_.pop_front();
    has_requests_ = !requests_.empty();
    return request;
  }
  // nullopt: nobody has asked for it.
  std::optional<std::shared_ptr<const MirrorConfig>> take_reload() {
    const std::lock_guard lock(mutex_);
    if (!reload_.exchange(false)) return std::nullopt;
    return std::move(config_);
  }
  bool empty() const noexcept { return !reload_ && !has_requests_; }

 private:
  std::mutex mutex_;
  std::deque<SourceRequest> requests_;
  std::shared_ptr<const MirrorConfig> config_;
  std::atomic<bool> has_requests_ = false;
  std::atomic<bool> reload_ = false;
};

}  // namespace deltamirror
