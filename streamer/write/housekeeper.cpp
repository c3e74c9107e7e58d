#include "write/housekeeper.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>

#include "daystream/error.h"
#include "program/figures.h"
#include "program/hint.h"

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
  const auto bytes = [](std::uint64_t count) {
    return daystream::program::bytes_text(static_cast<double>(count));
  };
  if (step.kind == Housekeeping::Step::Kind::Deleted) {
    return fmt::format("deleted day file \"{}\" ({})", step.file, bytes(step.bytes_before));
  }
  return fmt::format("compressed day file \"{}\": {} to {}", step.file, bytes(step.bytes_before),
                     bytes(step.bytes_after));
}

}  // namespace

Housekeeper::Housekeeper(const std::filesystem::path& directory,
                         const daystream::HousekeepingRules& rules)
    : directory_(directory), rules_(rules), housekeeping_(directory, rules) {
  thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

void Housekeeper::tell(daystream::Lsn confirmed, const daystream::Position& durable) {
  const std::int64_t day = durable.c / kSecondsPerDay;
  const bool first = !known_;
  confirmed_ = confirmed.value;
  known_ = true;
  if (day == day_ && !first) return;
  day_ = day;
  new_day_.put({});
}

void Housekeeper::work(const std::stop_token& stop) {
  be_least_important();
  while (!stop.stop_requested()) {
    while (step(stop)) {
    }
    new_day_.take(stop, kInterval);
  }
}

// One thing that is due. False: nothing is, or it could not be done.
bool Housekeeper::step(const std::stop_token& stop) {
  if (stop.stop_requested() || !known_) return false;
  try {
    const auto done = housekeeping_.step(daystream::Lsn{confirmed_}, stop);
    if (!done) return false;
    spdlog::info("{}", text_of(*done));
    problems_.clear();
    return true;
  } catch (const std::exception& e) {
    const auto* ours = dynamic_cast<const daystream::Error*>(&e);
    const std::string hint = ours != nullptr ? ours->hint() : "";
    if (const auto problem = problems_.met(e.what())) {
      spdlog::warn("could not tidy up daystream \"{}\", which goes on all the same: {}",
                   directory_.string(), daystream::program::with_hint(*problem, hint));
    }
    return false;
  }
}

}  // namespace deltastream
