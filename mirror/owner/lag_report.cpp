#include "owner/lag_report.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "daystream/error.h"
#include "program/disk_space.h"
#include "program/harmless.h"
#include "program/json.h"
#include "remote/url_encode.h"

namespace deltamirror {

namespace {

using std::chrono::ceil;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Something new is reported at most so often.
constexpr milliseconds kBetween{1000};
// A request is looked after so often.
constexpr milliseconds kTurn{20};

}  // namespace

LagReport::LagReport(const daystream::Stream& daystream, const std::string& mirror,
                     std::function<void()> on_news)
    : on_news_(std::move(on_news)), address_(daystream.address()) {
  const auto server = daystream.server();
  if (!server) return;
  const auto path = std::filesystem::absolute(mirror).lexically_normal();
  folder_ = path.parent_path();
  const std::string name = daystream::remote::own_host() + ":" + path.string();
  url_ = fmt::format("{}/copies?kind=mirror&copy={}", *server, daystream::remote::url_encode(name));
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void LagReport::tell(const Checkpoint& at) {
  if (url_.empty()) return;
  // A mark says, too, up to when everything is here: without it an idle source's mirror would be as
  // late as it was at the last commit.
  if (at.complete_to != last_complete_to_) {
    last_complete_to_ = at.complete_to;
    now_.lag_ms = at.age().value_or(std::chrono::microseconds(0)).count() / 1000;
  }
  now_.position = at.position;
  now_.lsn = at.lsn;
  states_.put(now_);
}

void LagReport::set_trouble(const std::string& what) {
  if (what == now_.trouble) return;
  now_.trouble = what;
  if (now_.position != daystream::Position{}) states_.put(now_);
}

std::optional<daystream::Away> LagReport::stream_trouble() const {
  const std::lock_guard lock(mutex_);
  return stream_trouble_;
}

void LagReport::hear(const std::string& answer) {
  using daystream::program::harmless_words;
  const auto told = daystream::program::parse_json<nlohmann::json>(answer);
  if (!told.is_object()) return;
  const bool is_well = told.value("healthy", nlohmann::json(true)) != false;
  const std::string since = is_well ? "" : daystream::program::text_of(told, "since");
  {
    const std::lock_guard lock(mutex_);
    if (is_well != stream_trouble_.has_value() && since == stream_since_) return;
    stream_since_ = since;
    stream_trouble_.reset();
    if (!is_well) {
      const auto trouble = told.value("trouble", nlohmann::json());
      const bool is_said = trouble.is_array() && !trouble.empty() && trouble[0].is_string();
      const std::string why =
          is_said ? ": " + harmless_words(trouble[0].get<std::string>(), 300) : "";
      stream_trouble_ = {fmt::format("{}: the stream is not written there{}", address_, why),
                         "look at what writes it, on the host of that server"};
    }
  }
  on_news_();
}

void LagReport::run(const std::stop_token& stop) {
  using daystream::program::sleep;
  daystream::remote::Notices notices(daystream::remote::options_from_environment());
  auto told_at = steady_clock::now() - kAgain;
  std::optional<State> state;
  bool is_new = false;  // it was not reported yet
  while (!stop.stop_requested()) {
    const auto since = ceil<milliseconds>(steady_clock::now() - told_at);
    if (notices.busy()) {
      (void)sleep(stop, kTurn);
      notices.turn();
      if (const auto answer = notices.take_answer()) hear(answer->body);
    } else if (!state || (!is_new && since < kAgain)) {
      auto news = state ? states_.take(stop, kAgain - since) : states_.take(stop);
      is_new = news.has_value();
      if (is_new) state = news;
    } else if (since < kBetween) {
      (void)sleep(stop, kBetween - since);  // and not woken by each commit
    } else {
      state = states_.try_take().value_or(*state);
      is_new = false;
      told_at = steady_clock::now();
      report(notices, *state);
    }
  }
}

void LagReport::report(daystream::remote::Notices& notices, const State& state) const {
  try {
    const std::string trouble =
        state.trouble.empty() ? daystream::program::disk_trouble(folder_) : state.trouble;
    notices.post(fmt::format(
        "{}&position={}&lsn={}&lag_ms={}{}", url_, state.position.text(), state.lsn.text(),
        state.lag_ms, trouble.empty() ? "" : "&trouble=" + daystream::remote::url_encode(trouble)));
  } catch (const std::exception& e) {
    spdlog::debug("could not tell the server of the mirror: {}", e.what());
  }
}

}  // namespace deltamirror
