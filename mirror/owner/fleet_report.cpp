#include "owner/fleet_report.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "daystream/error.h"
#include "owner/control.h"
#include "program/handover.h"
#include "program/hint.h"
#include "program/json.h"
#include "program/labels.h"
#include "program/pauses.h"
#include "program/repeats.h"
#include "program/report_news.h"
#include "remote/http_client.h"
#include "src/json_text.h"
#include "status/mirror_status.h"
#include "store/mirror_lock.h"

namespace deltamirror {

using nlohmann::ordered_json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr milliseconds kLookEvery{2'000};
constexpr milliseconds kLookForOwner{100};
// The server misses who says nothing for serve/fleet_reports.h's kMirrorSilentS.
constexpr milliseconds kReportAgain{10'000};

bool is_unowned(const std::string& mirror) {
  return std::filesystem::exists(mirror) && MirrorLock::holder(mirror) == 0;
}

}  // namespace

FleetReport::FleetReport(const std::string& url, const std::vector<std::string>& labels,
                         std::string mirror, const FleetConfig* config, FleetCommands* commands)
    : mirror_(std::move(mirror)), labels_(labels), config_(config), commands_(commands) {
  if (url.empty()) return;
  url_ = daystream::remote::Url::parse(url).base + "/report";
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void FleetReport::waits_for(std::string reason) {
  const std::lock_guard lock(mutex_);
  waits_for_ = std::move(reason);
}

std::string FleetReport::reason() const {
  const std::lock_guard lock(mutex_);
  return waits_for_;
}

// nullopt: this process is about to own the mirror, or has just ended to.
std::optional<ordered_json> FleetReport::look() const {
  ordered_json report;
  try {
    const std::string reason = this->reason();
    const bool was_unowned = is_unowned(mirror_);
    const OwnerSays owner = ask_how_it_is(mirror_);
    report = mirror_report(
        mirror_,
        {.owner_hangs = owner.hangs, .unstored = owner.unstored, .owner_waits_for = reason});
    if (reason.empty() && (was_unowned || is_unowned(mirror_))) return std::nullopt;
  } catch (const daystream::Error& e) {
    report["state"] = "trouble";
    report["mirror"] = mirror_;
    report["config"] = nullptr;
    report["trouble"] = {daystream::program::with_hint(e.what(), e.hint())};
  }
  report["labels"] = daystream::program::parse_labels(labels_);
  report["host"] = daystream::remote::own_host();
  if (commands_ != nullptr) commands_->tell(report);
  return report;
}

void FleetReport::run(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] { ending_.wake(); });
  const daystream::Stop asked([&stop] { return stop.stop_requested(); }, ending_.fd());
  daystream::program::Pauses spread(kLookEvery, kLookEvery);
  daystream::program::Repeats repeats;
  std::string told;
  auto told_at = steady_clock::now() - kReportAgain;
  milliseconds pause{};
  do {
    try {
      const auto report = look();
      pause = report ? spread.next() : kLookForOwner;
      if (!report) continue;
      std::string news = daystream::program::news_of_report(*report);
      // The answer has them.
      if (config_ != nullptr) news += std::to_string(config_->commands());
      const auto now = steady_clock::now();
      if (news == told && now - told_at < kReportAgain) continue;
      told = std::move(news);
      told_at = now;
      const auto answer =
          daystream::remote::post_json(daystream::remote::options_from_environment(), url_,
                                       daystream::json_line(*report), asked);
      if (!answer) return;
      repeats.clear();
      if (commands_ != nullptr) {
        commands_->hear(daystream::program::parse_json<nlohmann::json>(answer->body));
      }
    } catch (const daystream::Error& e) {
      if (const auto text = repeats.met(e.what())) {
        spdlog::warn("could not report how the mirror is: {}",
                     daystream::program::with_hint(*text, e.hint()));
      }
    } catch (const std::exception& e) {
      spdlog::error("{}", e.what());
    }
  } while (daystream::program::sleep(stop, pause));
}

}  // namespace deltamirror
