// A part of a consumer group at work: its reader, its command, its retries.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "consume_session.h"
#include "daystream/stream.h"
#include "format.h"
#include "part_sieve.h"
#include "sharing/dead_letters.h"
#include "sharing/lease.h"
#include "src/waiting.h"

namespace daystream::command {

// How long to wait before what failed so many times is handed over once more: 0.5 s, then twice as
// long each time, a minute at most.
std::chrono::milliseconds retry_pause(std::uint32_t failures);

// What all parts of a worker have in common.
struct GroupWork {
  const Stream& stream;
  const sharing::Rule& rule;
  std::string group;
  std::vector<std::string> command;
  std::uint64_t window;
  bool batch;
  bool once;
  Format format;
  std::chrono::seconds patience;               // that a command has to end
  std::uint32_t max_deliver;                   // 0: it is handed over until it is done
  std::optional<std::chrono::seconds> expire;  // transactions older than that are left out
  WakeFd& news;                                // is woken where a runner has ended
};

// Works until a stop is asked for, its lease is lost, or (once) the stream ends.
//
// Ownership: has a thread of its own, which the destructor stops and waits for. The lease is
//            released only when it has ended: one command a part at a time.
class PartRunner final : private Employer {
 public:
  PartRunner(const GroupWork& work, sharing::DeadLetters letters,
             std::unique_ptr<sharing::Lease> lease);
  ~PartRunner() override;

  sharing::Lease& lease() noexcept { return *lease_; }
  void stop() noexcept;
  // Has what is at work end first, as before a stop.
  void retry_letters_soon() noexcept { letters_due_ = true; }
  bool has_ended() const noexcept { return ended_; }
  // Once it has ended: with `once`, that it has come to where the stream ends.
  bool reached_end() const noexcept { return reached_end_; }
  // Once it has ended: why; nullptr: a stop was asked for, or its lease is lost.
  std::exception_ptr error() const noexcept { return error_; }

 private:
  class Place;

  const Stop& stop_request() const override { return stop_command_; }
  void alive() override {}
  void worked() override { worked_at_ = sharing::boot_time(); }
  bool gives_up() const override;

  bool is_over() const { return stopping_ || !lease_->is_held(); }
  void run() noexcept;
  void work();
  bool work_once(const sharing::PartRecord& record);
  bool deliver_alone(ConsumeSession& session, const sharing::PartRecord& record);
  void bury(ConsumeSession& session, PartSieve& sieve, const sharing::PartRecord& record);
  void count_failure(const std::string& problem, bool counted);
  void retry_letters();
  void retry(sharing::DeadLetter letter);
  void pause(std::chrono::milliseconds length);
  Consumer::Setup setup(bool retry);

  const GroupWork& work_;
  sharing::DeadLetters letters_;
  const std::unique_ptr<sharing::Lease> lease_;
  WakeFd wake_;  // for a change of what stop_command_ asks
  const Stop stop_command_{[this] { return letters_due_ || is_over(); }, wake_.fd()};
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> letters_due_ = false;
  std::atomic<bool> reached_end_ = false;
  std::atomic<bool> ended_ = false;
  std::exception_ptr error_;
  ConsumeProgress* progress_ = nullptr;  // of the session that runs
  sharing::BootTime worked_at_{};        // when the command last did something
  std::jthread thread_;                  // the last: it uses all of the above
};

}  // namespace daystream::command
