#include "config/fleet_config.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <utility>

#include "daystream/error.h"
#include "program/handover.h"
#include "program/hint.h"
#include "program/json.h"
#include "program/labels.h"
#include "program/pauses.h"
#include "program/repeats.h"
#include "program/retries.h"
#include "remote/http_client.h"
#include "remote/url_encode.h"
#include "src/dir.h"
#include "src/json_text.h"
#include "src/number.h"
#include "store/mirror_file.h"

namespace deltamirror {

using daystream::Error;
using nlohmann::json;
using nlohmann::ordered_json;
using std::chrono::seconds;

namespace {

std::filesystem::path kept_path(const std::string& mirror) {
  return beside(mirror, ".config.json");
}

std::unique_ptr<daystream::Dir> dir_of(const std::filesystem::path& file) {
  return daystream::real_dir(file.has_parent_path() ? file.parent_path() : ".");
}

// What an answer may take beyond the time for which it is held.
constexpr seconds kPatience{20};
// So that a fleet that was woken in one moment does not come back in one.
constexpr std::chrono::milliseconds kSpread{2000};

std::optional<std::uint64_t> number_of(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<std::uint64_t>();
}

ordered_json number_json(const std::optional<std::uint64_t>& number) {
  return number ? ordered_json(*number) : ordered_json();
}

MirrorConfig parse_offer(const std::string& url, const std::shared_ptr<const FleetOffer>& offer) {
  MirrorConfig config =
      parse_config(offer->text, fmt::format("revision {} of {}", offer->revision, url));
  config.offer = offer;
  return config;
}

}  // namespace

std::optional<FleetState> FleetState::load(const std::string& mirror) {
  const std::filesystem::path path = kept_path(mirror);
  try {
    const auto file = dir_of(path)->open(path.filename());
    if (!file) return std::nullopt;
    const auto root = daystream::program::parse_json<json>(daystream::read_whole(*file));
    FleetState state;
    state.source = daystream::program::text_of(root, "source");
    if (state.source.empty()) return std::nullopt;
    state.wanted = number_of(root, "wanted_revision");
    state.error = daystream::program::text_of(root, "error");
    if (const auto revision = number_of(root, "revision"); revision && root.contains("config")) {
      state.applied = FleetOffer{*revision, root["config"].dump()};
    }
    return state;
  } catch (const Error& e) {
    spdlog::warn("{}", e.what());
    return std::nullopt;
  }
}

std::string FleetState::damage(const std::string& mirror) {
  const std::filesystem::path path = kept_path(mirror);
  std::error_code error;
  if (!std::filesystem::exists(path, error) || load(mirror)) return {};
  return fmt::format("\"{}\" is damaged: what the mirror goes by is not known without the server",
                     path.string());
}

void FleetState::save(const std::string& mirror) const {
  ordered_json out = to_json(*this);
  out["config"] = applied ? ordered_json::parse(applied->text) : ordered_json();
  const std::filesystem::path path = kept_path(mirror);
  daystream::replace_file(*dir_of(path), path.filename(), daystream::json_page(out));
}

void FleetState::remove(const std::string& mirror) noexcept {
  unlink(kept_path(mirror).c_str());
}

ordered_json to_json(const FleetState& state) {
  ordered_json out;
  out["source"] = state.source;
  out["revision"] = number_json(state.applied_revision());
  out["wanted_revision"] = number_json(state.wanted);
  out["error"] = state.error.empty() ? ordered_json() : ordered_json(state.error);
  return out;
}

FleetConfig::FleetConfig(const std::string& url, const std::vector<std::string>& labels,
                         std::string mirror)
    : url_(daystream::remote::Url::parse(url).base), mirror_(std::move(mirror)) {
  for (const auto& [key, value] : daystream::program::parse_labels(labels)) {
    query_ += "&label=" + daystream::remote::url_encode(fmt::format("{}={}", key, value));
  }
  if (auto kept = FleetState::load(mirror_); kept && kept->source == url_) {
    state_ = std::move(*kept);
  }
  state_.source = url_;
}

// nullopt: asked to stop.
std::optional<FleetOffer> FleetConfig::ask(std::optional<std::uint64_t> after,
                                           const daystream::Stop& stop) {
  std::string held =
      after ? fmt::format("after={}&wait={}", *after, kHold.count()) : std::string("wait=0");
  if (has_commands_) held += fmt::format("&commands={}", commands_.load());
  const auto answer = daystream::remote::long_request(daystream::remote::options_from_environment(),
                                                      fmt::format("{}?{}{}", url_, held, query_),
                                                      kHold + kPatience, stop);
  if (!answer) return std::nullopt;
  const auto header = answer->headers.find("daystream-revision");
  const auto revision = header == answer->headers.end()
                            ? std::nullopt
                            : daystream::parse_number<std::uint64_t>(header->second);
  if (!revision) {
    throw daystream::ProtocolError(
        fmt::format("{}: the answer is no configuration of a fleet", url_),
        "the URL is https://HOST:PORT/fleet/NAME of a \"daystream serve --fleet\"");
  }
  const auto commands = answer->headers.find("daystream-commands");
  has_commands_ = commands != answer->headers.end();
  if (has_commands_) {
    commands_ = daystream::parse_number<std::uint64_t>(commands->second).value_or(0);
  }
  return FleetOffer{*revision, answer->body};
}

bool FleetConfig::begin(const daystream::Stop& stop, bool patient) {
  daystream::program::Retries retries;
  while (!stop.requested()) {
    try {
      auto offer = ask(std::nullopt, stop);
      if (!offer) return false;
      hear(std::move(*offer));
      return true;
    } catch (const Error& e) {
      if (state_.applied) {
        spdlog::warn("{}", daystream::program::with_hint(
                               fmt::format("{}; going on with revision {}, which was kept",
                                           e.what(), state_.applied->revision),
                               e.hint()));
        offer_ = std::make_shared<const FleetOffer>(*state_.applied);
        note(e.what());
        return true;
      }
      if (!patient || !retries.may_pass(e)) throw;
      retries.failed(e);
    }
    daystream::sleep(stop, retries.pause());
  }
  return false;
}

void FleetConfig::follow() {
  if (!thread_.joinable()) thread_ = std::jthread([this](const std::stop_token& s) { run(s); });
}

void FleetConfig::run(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] { ending_.wake(); });
  const daystream::Stop asked([&stop] { return stop.stop_requested(); }, ending_.fd());
  daystream::program::Pauses pauses;
  daystream::program::Pauses spread(kSpread, kSpread);
  daystream::program::Repeats repeats;
  // Whether the server is there: else it is asked what there is, and not what comes next.
  bool is_there = [this] {
    const std::lock_guard lock(mutex_);
    return state_.error.empty();
  }();
  while (!stop.stop_requested()) {
    try {
      const std::uint64_t known = [this] {
        const std::lock_guard lock(mutex_);
        return offer_->revision;
      }();
      const std::uint64_t commands = commands_;
      auto offer = ask(is_there ? std::optional(known) : std::nullopt, asked);
      if (!offer) return;
      is_there = true;
      pauses.reset();
      repeats.clear();
      const bool is_new = offer->revision != known;
      if (is_new) {
        hear(std::move(*offer));
      } else {
        note({});
      }
      if (is_new || commands_ != commands) {
        (void)daystream::program::sleep(stop, spread.next());
      }
      continue;
    } catch (const Error& e) {
      if (const auto text = repeats.met(e.what())) {
        spdlog::warn("{}", daystream::program::with_hint(
                               *text + "; the configuration stays as it is", e.hint()));
      }
      note(e.what());
    } catch (const std::exception& e) {
      spdlog::error("{}", e.what());
    }
    is_there = false;
    (void)daystream::program::sleep(stop, pauses.next());
  }
}

void FleetConfig::hear(FleetOffer offer) {
  {
    const std::lock_guard lock(mutex_);
    spdlog::info("{} offers revision {}", url_, offer.revision);
    state_.wanted = offer.revision;
    offer_ = std::make_shared<const FleetOffer>(std::move(offer));
  }
  news_.wake();
}

// Of the server; what is said of a revision that was refused stays.
void FleetConfig::note(const std::string& error) {
  const std::lock_guard lock(mutex_);
  if (state_.is_refused() || state_.error == error) return;
  state_.error = error;
  save();
}

MirrorConfig FleetConfig::wanted() const {
  const auto offer = [this] {
    const std::lock_guard lock(mutex_);
    return offer_;
  }();
  return parse_offer(url_, offer);
}

std::string FleetConfig::text_in_force() const {
  const std::lock_guard lock(mutex_);
  return state_.applied ? state_.applied->text : offer_->text;
}

std::optional<MirrorConfig> FleetConfig::kept() const {
  const std::lock_guard lock(mutex_);
  if (!state_.applied) return std::nullopt;
  return parse_offer(url_, std::make_shared<const FleetOffer>(*state_.applied));
}

void FleetConfig::taken(const MirrorConfig& config) {
  if (config.offer == nullptr) return;
  const std::lock_guard lock(mutex_);
  // Whether the server is there is another matter.
  const bool was_refused = state_.is_refused();
  state_.applied = *config.offer;
  if (was_refused && !state_.is_refused()) state_.error.clear();
  save();
}

void FleetConfig::refused(std::uint64_t revision, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  state_.wanted = revision;
  state_.error = reason;
  save();
}

void FleetConfig::refused(const std::string& reason) {
  const std::uint64_t revision = [this] {
    const std::lock_guard lock(mutex_);
    return offer_->revision;
  }();
  refused(revision, reason);
}

void FleetConfig::save() {
  try {
    state_.save(mirror_);
  } catch (const Error& e) {
    spdlog::error("{}", daystream::program::with_hint(e.what(), e.hint()));
  }
}

}  // namespace deltamirror
