// The configuration that the owner of a mirror is to make true: where it is read, and what is said
// of one that cannot be taken.
#pragma once

#include <memory>

#include "config/config.h"
#include "owner/engine.h"
#include "program/repeats.h"

namespace deltamirror {

struct Shared;

// Threads: the Engine's, without the turn.
class WantedConfig {
 public:
  // `said`: what the tries before this one have said.
  WantedConfig(const RunOptions& options, Shared& shared, daystream::program::Repeats& said)
      : options_(options), shared_(shared), said_(said) {}

  // There is one, and the mirror is to follow it.
  bool is_followed() const {
    return !options_.config_file.empty() && options_.end.seed_now.empty();
  }
  // The newest; without one nothing is named. Throws ConfigError.
  std::shared_ptr<const MirrorConfig> read() const;
  // What to begin with: of a server the one that was in force last, where the newest cannot be.
  // `right`: the sources are to take it.
  std::shared_ptr<const MirrorConfig> first(bool& right);
  // Throws where a copy that it needs cannot be made, or one of several sources could not take it:
  // then none is to.
  void check(const MirrorConfig& config);

  // Says it, here and to `status`, which says it until one is taken.
  void refuse(const daystream::Error& error);
  void took();
  // Who asks is to hear it again.
  void forget_said() { said_.clear(); }

 private:
  const RunOptions& options_;
  Shared& shared_;
  daystream::program::Repeats& said_;
};

}  // namespace deltamirror
