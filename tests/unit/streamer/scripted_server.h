// The server of a StreamLoop, played from a script: real frames, in the order given.
#pragma once

#include <sys/eventfd.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "daystream/error.h"
#include "daystream/unique_fd.h"
#include "server/replication_stream.h"

namespace streamer_test {

class ScriptedServer final : public deltastream::ReplicationStream {
 public:
  using StatusUpdate = deltastream::StatusUpdate;

  // The script: each step comes once those before it are done with.
  void data(const std::string& lines) { frame('w' + number(0) + number(0) + number(0) + lines); }
  void keepalive(daystream::Lsn lsn, bool reply_requested) {
    frame('k' + number(lsn.value) + number(0) + (reply_requested ? '\1' : '\0'));
  }
  // Nothing more comes before we have told this.
  void wait_until(std::function<bool(const std::vector<StatusUpdate>& told)> is_told) {
    steps_.push_back([this, is_told = std::move(is_told)] {
      return is_told(told) ? Outcome::Done : Outcome::Waits;
    });
  }
  void act(std::function<void()> action) {
    steps_.push_back([action = std::move(action)] {
      action();
      return Outcome::Done;
    });
  }
  void end() {
    act([] { throw daystream::ConnectionLost("the server ended the stream"); });
  }
  // Called with each status packet, before it counts as told.
  std::function<void(const StatusUpdate&)> on_status = [](const StatusUpdate&) {};

  std::vector<StatusUpdate> told;
  bool finished = false;

  std::optional<std::string_view> receive() override {
    while (!steps_.empty()) {
      const Outcome outcome = steps_.front()();
      if (outcome == Outcome::Waits) break;
      steps_.pop_front();
      if (outcome == Outcome::Message) return message_;
    }
    waits_ = true;
    say_readable(false);
    return std::nullopt;
  }
  void read() override {}
  void send(const StatusUpdate& update) override {
    on_status(update);
    told.push_back(update);
    if (waits_ && !steps_.empty()) say_readable(true);
  }
  bool flush() override { return true; }
  bool finish(std::chrono::milliseconds) override { return finished = true; }
  int socket() const noexcept override { return readable_.get(); }

 private:
  enum class Outcome { Done, Waits, Message };

  static std::string number(std::uint64_t value) {
    std::string bytes;
    for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xff);
    return bytes;
  }
  void frame(std::string bytes) {
    steps_.push_back([this, bytes = std::move(bytes)] {
      message_ = bytes;
      return Outcome::Message;
    });
  }
  void say_readable(bool readable) {
    eventfd_t ignored = 0;
    readable ? eventfd_write(readable_.get(), 1) : eventfd_read(readable_.get(), &ignored);
  }

  std::deque<std::function<Outcome()>> steps_;
  std::string message_;
  bool waits_ = false;
  daystream::UniqueFd readable_{eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)};
};

}  // namespace streamer_test
