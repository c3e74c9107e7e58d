#include "owner/wanted_config.h"

#include <spdlog/spdlog.h>

#include "config/fleet_config.h"
#include "owner/source_run.h"
#include "owner/take_config.h"
#include "program/hint.h"
#include "store/checkpoint.h"

namespace deltamirror {

using daystream::Error;

std::shared_ptr<const MirrorConfig> WantedConfig::read() const {
  if (options_.fleet) return std::make_shared<const MirrorConfig>(options_.fleet->wanted());
  return std::make_shared<const MirrorConfig>(
      options_.config_file.empty() ? MirrorConfig() : load_config(options_.config_file));
}

std::shared_ptr<const MirrorConfig> WantedConfig::first(bool& right) {
  const auto is_right = [this](const MirrorConfig& config) {
    try {
      check(config);
      return true;
    } catch (const Error& e) {
      refuse(e);
      return false;
    }
  };
  auto kept = options_.fleet ? options_.fleet->kept() : std::nullopt;
  try {
    auto newest = read();
    right = is_followed() && is_right(*newest);
    if (right || !kept) return newest;
  } catch (const daystream::ConfigError& e) {
    if (!kept) throw;
    refuse(e);
  }
  right = is_right(*kept);
  return std::make_shared<const MirrorConfig>(std::move(*kept));
}

void WantedConfig::check(const MirrorConfig& config) {
  const HavingTurn turn(shared_.turn, -1);
  for (const Checkpoint& at : load_checkpoints(shared_.db)) {
    const SourceConfig* const source = config.source(at.source);
    if (source == nullptr && !config.sources.empty()) continue;  // it leaves
    const bool is_connected = options_.conninfo || (source != nullptr && source->connection);
    if (!is_connected) require_no_copy(shared_.db, config, at.source);
  }
  if (config.sources.size() < 2) return;  // the only one takes the rest whole or not at all
  struct TakenBack {                      // what was tried
    CommitFeed* feed;
    ~TakenBack() {
      if (feed != nullptr) feed->rolled_back();
    }
  } const taken_back{shared_.feed.get()};
  for (const SourceConfig& source : config.sources) check_config(shared_.db, config, source.name);
}

void WantedConfig::refuse(const Error& error) {
  const daystream::ConfigError refusal = not_taken(options_, error);
  if (options_.fleet) options_.fleet->refused(error.what());
  if (const auto text = said_.met(refusal.what())) {
    spdlog::error("{}", daystream::program::with_hint(*text, refusal.hint()));
  }
  const HavingTurn turn(shared_.turn, -1);
  remember_not_taken(shared_.db, options_, refusal);
}

void WantedConfig::took() {
  const HavingTurn turn(shared_.turn, -1);
  forget_error(shared_.db, kOfConfig);
}

}  // namespace deltamirror
