#include "housekeeper.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>

#include "daystream/error.h"
#include "status.h"

namespace deltastream {

using daystream::Housekeeping;

namespace {

// Between two looks: --keep-bytes counts the current day too, which grows.
constexpr std::chrono::seconds kInterval{30};
constexpr std::int64_t kSecondsPerDay = 86'400;

// On Linux both apply to the calling thread only. A failure is harmless.
void be_least_important() {
  const auto thread = static_cast<id_t>(::syscall(SYS_gettid));
  ::setpriority(PRIO_PROCESS, thread, 19);
  constexpr int kThisThread = 1;  // IOPRIO_WHO_PROCESS
  constexpr int kIdle = 3 << 13;  // IOPRIO_CLASS_IDLE
  ::syscall(SYS_ioprio_set, kThisThread, static_cast<int>(thread), kIdle);
}

std::string text_of(const Housekeeping::Step& step) {
  const auto bytes = [](std::uint64_t count) { return human_bytes(static_cast<double>(count)); };
  if (step.kind == Housekeeping::Step::Kind::Deleted) {
    return fmt::format("deleted day file \"{}\" ({})", step.file, bytes(step.bytes_before));
  }
  return fmt::format("compressed day file \"{}\": {} to {}", step.file, bytes(step.bytes_before),
                     bytes(step.bytes_after));
}

}  // namespace

Housekeeper::Housekeeper(const std::filesystem::path& directory,
                         const daystream::HousekeepingRules& rules)
    : directory_(directory), housekeeping_(directory, rules) {
  thread_ = std::thread([this] { work(); });
}

Housekeeper::~Housekeeper() {
  stop_ = true;
  {
    const std::lock_guard lock(mutex_);
    wanted_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Housekeeper::tell(daystream::Lsn confirmed, const daystream::Position& durable) {
  const std::int64_t day = durable.c / kSecondsPerDay;
  const std::lock_guard lock(mutex_);
  const bool first = !confirmed_;
  confirmed_ = confirmed;
  if (day == day_ && !first) return;
  day_ = day;
  wanted_ = true;
  changed_.notify_all();
}

void Housekeeper::work() {
  be_least_important();
  while (!stop_) {
    while (step()) {
    }
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kInterval, [this] { return wanted_; });
    wanted_ = false;
  }
}

// One thing that is due. False: nothing is, or it could not be done.
bool Housekeeper::step() {
  if (stop_) return false;
  std::optional<daystream::Lsn> confirmed;
  {
    const std::lock_guard lock(mutex_);
    confirmed = confirmed_;
  }
  if (!confirmed) return false;
  try {
    const auto done = housekeeping_.step(confirmed, [this] { return stop_.load(); });
    if (!done) return false;
    spdlog::info("{}", text_of(*done));
    last_problem_.clear();
    return true;
  } catch (const std::exception& e) {
    const auto* ours = dynamic_cast<const daystream::Error*>(&e);
    const std::string hint = ours != nullptr ? ours->hint() : "";
    // The same again is no news.
    if (last_problem_ != e.what()) {
      spdlog::warn("could not tidy up daystream \"{}\", which goes on all the same: {}{}{}",
                   directory_.string(), e.what(), hint.empty() ? "" : "; HINT: ", hint);
    }
    last_problem_ = e.what();
    return false;
  }
}

}  // namespace deltastream
