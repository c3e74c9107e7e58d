#include "config/source_places.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "config/config.h"
#include "store/mirrored_table.h"

namespace deltamirror {

using daystream::ConfigError;

namespace {

void check_sources(const MirrorConfig& config, const std::vector<Checkpoint>& all) {
  for (const SourceConfig& source : config.sources) {
    const bool there = std::any_of(all.begin(), all.end(),
                                   [&](const Checkpoint& c) { return c.source == source.name; });
    if (there) continue;
    throw ConfigError(
        fmt::format("the mirror has no source \"{}\": it has {}", source.name, names_of(all)),
        "seed another mirror with that source");
  }
}

void take_config(SourcePlace& place, const MirrorConfig& config, const std::string& file) {
  const auto found = std::find_if(config.sources.begin(), config.sources.end(),
                                  [&](const SourceConfig& s) { return s.name == place.source; });
  if (found == config.sources.end()) {
    throw ConfigError(
        fmt::format("configuration \"{}\" lacks source \"{}\" of the mirror", file, place.source));
  }
  if (place.daystream.empty()) place.daystream = found->daystream;
  if (found->connection) place.conninfo = found->connection;
}

}  // namespace

std::vector<SourcePlace> source_places(const Database& db, const AskedPlaces& asked) {
  const bool named = has_sources(db);
  if (!named && !asked.source.empty()) {
    throw ConfigError(fmt::format("mirror \"{}\" has one source, which has no name", db.path()),
                      "leave --source out");
  }
  std::vector<Checkpoint> all = load_checkpoints(db);
  MirrorConfig config;
  if (named && !asked.config_file.empty()) {
    config = load_config(asked.config_file);
    check_sources(config, all);
  }
  if (!asked.source.empty()) all = {load_checkpoint(db, asked.source)};
  if (!asked.daystream.empty() && all.size() > 1) {
    throw ConfigError(fmt::format("one daystream given for the sources {}", names_of(all)),
                      "give --config, which names those of all, or --source");
  }
  std::vector<SourcePlace> out;
  for (Checkpoint& at : all) {
    SourcePlace& place = out.emplace_back();
    if (named) place.source = at.source;
    place.daystream = asked.daystream;
    place.conninfo = asked.conninfo;
    if (named && !asked.config_file.empty()) take_config(place, config, asked.config_file);
    if (place.daystream.empty()) place.daystream = at.directory;
    place.at = std::move(at);
  }
  return out;
}

}  // namespace deltamirror
