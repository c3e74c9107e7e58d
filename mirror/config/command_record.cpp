#include "config/command_record.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "daystream/error.h"
#include "program/host_command.h"
#include "program/json.h"
#include "src/calendar.h"
#include "src/dir.h"
#include "src/json_text.h"
#include "store/mirror_file.h"

namespace deltamirror {

using daystream::utc_text;
using daystream::program::HostCommand;
using daystream::program::text_of;
using nlohmann::ordered_json;
using std::chrono::sys_seconds;

namespace {

constexpr std::size_t kMostEntries = 200;

std::filesystem::path record_path(const std::string& mirror) {
  return beside(mirror, ".commands.json");
}

std::unique_ptr<daystream::Dir> folder_of(const std::filesystem::path& file) {
  return daystream::real_dir(file.has_parent_path() ? file.parent_path() : ".");
}

// Throws json::exception where it is none.
sys_seconds time_in(const ordered_json& object, const char* key) {
  const auto time = daystream::parse_utc_text(object.at(key).get<std::string>());
  if (!time) throw ordered_json::other_error::create(501, "no time", &object);
  return *time;
}

}  // namespace

CommandRecord CommandRecord::load(const std::string& mirror) {
  const std::filesystem::path path = record_path(mirror);
  const auto file = folder_of(path)->open(path.filename());
  CommandRecord record;
  if (!file) return record;
  const auto root = daystream::program::parse_json(daystream::read_whole(*file));
  try {
    for (const ordered_json& each : root.at("commands")) {
      auto outcome = daystream::program::parse_outcome(each);
      if (!outcome) throw ordered_json::other_error::create(501, "no outcome", &each);
      record.entries_.push_back(
          {std::move(*outcome), each.at("kind").get<std::string>(), time_in(each, "expires")});
    }
    if (!root.at("forgotten_until").is_null()) record.forgotten_ = time_in(root, "forgotten_until");
    if (const ordered_json& paused = root.at("paused"); !paused.is_null()) {
      record.paused =
          Paused{text_of(paused, "id"), text_of(paused, "by"), time_in(paused, "since")};
    }
    return record;
  } catch (const ordered_json::exception&) {
    throw daystream::NeedsPerson(
        fmt::format("\"{}\" is damaged: which commands were done is not known", path.string()),
        "remove it once no command of the fleet is open that is not to be done again");
  }
}

bool CommandRecord::exists(const std::string& mirror) {
  std::error_code error;
  return std::filesystem::exists(record_path(mirror), error);
}

void CommandRecord::save(const std::string& mirror) const {
  ordered_json out;
  out["paused"] = to_json(paused);
  out["forgotten_until"] = forgotten_ ? ordered_json(utc_text(*forgotten_)) : ordered_json();
  out["commands"] = ordered_json::array();
  for (const Entry& entry : entries_) {
    ordered_json own = to_json(entry.outcome);
    own["kind"] = entry.kind;
    own["expires"] = utc_text(entry.expires);
    out["commands"].push_back(std::move(own));
  }
  const std::filesystem::path path = record_path(mirror);
  daystream::replace_file(*folder_of(path), path.filename(), daystream::json_page(out));
}

void CommandRecord::release(const std::string& mirror) {
  try {
    CommandRecord record = load(mirror);
    if (!record.paused) return;
    record.paused.reset();
    record.save(mirror);
    spdlog::info("the mirror goes on, as this process takes no commands");
  } catch (const daystream::Error& e) {
    spdlog::warn("{}", e.what());
  }
}

bool CommandRecord::knows(const HostCommand& command) const {
  if (forgotten_ && command.expires <= *forgotten_) return true;
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& entry) { return entry.outcome.id == command.id; });
}

CommandRecord::Entry* CommandRecord::find(const std::string& id) {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.outcome.id == id; });
  return found == entries_.end() ? nullptr : &*found;
}

// One that has not expired could be asked for again, so it stays, however many there are.
CommandRecord::Entry& CommandRecord::add(const HostCommand& command, sys_seconds now) {
  for (auto at = entries_.begin(); entries_.size() >= kMostEntries && at != entries_.end();) {
    if (at->expires > now || !at->outcome.is_final()) {
      ++at;
      continue;
    }
    forgotten_ = std::max(forgotten_.value_or(at->expires), at->expires);
    at = entries_.erase(at);
  }
  return entries_.emplace_back(
      Entry{{command.id, "running", "", now}, command.kind, command.expires});
}

void CommandRecord::drop(const std::string& id) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.outcome.id == id; });
}

std::string words_of(const Paused& paused) {
  return fmt::format("paused since {}, as {} has asked", utc_text(paused.since), paused.by);
}

ordered_json to_json(const std::optional<Paused>& paused) {
  if (!paused) return nullptr;
  return {{"id", paused->id}, {"by", paused->by}, {"since", utc_text(paused->since)}};
}

}  // namespace deltamirror
