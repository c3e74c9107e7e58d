#include "owner/source_options.h"

#include <fmt/format.h>

#include "config/source_places.h"

namespace deltamirror {

using daystream::ConfigError;

namespace {

void check_options(const FollowOptions& options) {
  const auto refuse = [](const char* what, const char* advice) {
    throw ConfigError(fmt::format("{} is not for a mirror of several sources", what), advice);
  };
  if (options.until) refuse("--until-lsn", "an LSN is of one database");
  if (!options.on_commit.empty()) refuse("--on-commit", "");
}

}  // namespace

std::vector<FollowOptions> options_of_sources(const FollowOptions& options, Database& db) {
  if (options.source.empty() && load_checkpoints(db).size() > 1) check_options(options);
  std::vector<FollowOptions> out;
  for (SourcePlace& place : source_places(db, {.config_file = options.config_file,
                                              .source = options.source,
                                              .daystream = options.daystream.string(),
                                              .conninfo = options.conninfo})) {
    FollowOptions& own = out.emplace_back(options);
    own.source = place.at.source;
    own.daystream = place.daystream;
    own.conninfo = place.conninfo;
  }
  return out;
}

}  // namespace deltamirror
