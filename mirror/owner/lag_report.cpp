#include "owner/lag_report.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

#include "daystream/error.h"
#include "remote/http_client.h"
#include "remote/url_encode.h"
#include "src/calendar.h"

namespace deltamirror {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Something new is reported at most so often, something old now and then: as a sign of life.
constexpr milliseconds kBetween{1000};
constexpr milliseconds kAgain{4'000};
// A request is looked after so often.
constexpr milliseconds kTurn{20};

}  // namespace

std::optional<std::int64_t> lag_since(const std::string& commit_time, std::int64_t now_us) {
  const auto committed = daystream::parse_timestamp_text(commit_time);
  if (!committed) return std::nullopt;
  return std::max<std::int64_t>(0, now_us - committed->time_since_epoch().count()) / 1000;
}

LagReport::LagReport(const daystream::Stream& daystream, const std::string& mirror) {
  const auto server = daystream.server();
  if (!server) return;
  const std::string name = daystream::remote::own_host() + ":" +
                           std::filesystem::absolute(mirror).lexically_normal().string();
  url_ = fmt::format("{}/copies?kind=mirror&copy={}", *server, daystream::remote::url_encode(name));
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void LagReport::tell(const Checkpoint& at) {
  if (url_.empty()) return;
  // A mark brings no transaction: what the last one took is still the news.
  if (at.commit_time != last_commit_time_) {
    last_commit_time_ = at.commit_time;
    lag_ms_ = lag_since(at.commit_time, daystream::now_us()).value_or(0);
  }
  const std::lock_guard lock(mutex_);
  state_ = State{at.position, at.lsn, lag_ms_};
  // Woken once for all that comes until the next report.
  if (!std::exchange(is_new_, true)) changed_.notify_one();
}

void LagReport::run(const std::stop_token& stop) {
  daystream::remote::Notices notices(daystream::remote::options_from_environment());
  auto told_at = steady_clock::now() - kAgain;
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const auto now = steady_clock::now();
    const bool was_new = is_new_;
    const auto due = told_at + (was_new ? kBetween : kAgain);
    if (notices.busy()) {
      changed_.wait_for(lock, stop, kTurn, [] { return false; });
      notices.turn();
    } else if (!state_) {
      changed_.wait(lock, stop, [this] { return state_.has_value(); });
    } else if (now < due) {
      changed_.wait_until(lock, stop, due, [&] { return is_new_ != was_new; });
    } else {
      const State state = *state_;
      is_new_ = false;
      told_at = now;
      lock.unlock();
      try {
        notices.post(fmt::format("{}&position={}&lsn={}&lag_ms={}", url_, state.position.text(),
                                 state.lsn.text(), state.lag_ms));
      } catch (const std::exception& e) {
        spdlog::debug("could not tell the server of the mirror: {}", e.what());
      }
      lock.lock();
    }
  }
}

}  // namespace deltamirror
