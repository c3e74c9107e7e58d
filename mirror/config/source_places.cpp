#include "config/source_places.h"

#include <fmt/format.h>

#include <utility>

#include "remote/stream_kinds.h"

namespace deltamirror {

using daystream::ConfigError;

namespace {

void check_sources(const MirrorConfig& config, const std::vector<Checkpoint>& all) {
  for (const SourceConfig& source : config.sources) {
    if (find_source(all, source.name) != nullptr) continue;
    throw ConfigError(
        fmt::format("the mirror has no source \"{}\": it has {}", source.name, names_of(all)),
        "seed another mirror with that source");
  }
}

void take_config(SourcePlace& place, const MirrorConfig& config, const std::string& file) {
  const std::string& name = place.at.source;
  const SourceConfig* const found = config.source(name);
  if (found == nullptr) {
    throw ConfigError(
        fmt::format("configuration \"{}\" lacks source \"{}\" of the mirror", file, name),
        "add it; or \"deltamirror run --config\" with it takes the source out of the mirror");
  }
  if (!place.daystream) place.daystream = open_stream(found->daystream);
  if (found->connection) place.conninfo = found->connection;
}

}  // namespace

daystream::Stream open_stream(const std::string& address, std::chrono::seconds answer_within) {
  using namespace daystream::remote;
  Options options = options_from_environment();
  options.answer_within = answer_within;
  return stream_kinds(options).open(address);
}

std::vector<SourcePlace> source_places(const Database& db, const AskedPlaces& asked) {
  return source_places(db, asked,
                       asked.config_file.empty() ? MirrorConfig() : load_config(asked.config_file));
}

std::vector<SourcePlace> source_places(const Database& db, const AskedPlaces& asked,
                                       const MirrorConfig& config) {
  std::vector<Checkpoint> all = load_checkpoints(db);
  check_sources(config, all);
  const bool takes_config =
      !config.sources.empty() || (!asked.config_file.empty() && all.size() > 1);
  if (!asked.source.empty()) all = {load_checkpoint(db, asked.source)};
  if (asked.daystream && all.size() > 1) {
    throw ConfigError(fmt::format("one daystream given for the sources {}", names_of(all)),
                      "give --config, which names those of all, or --source");
  }
  std::vector<SourcePlace> out;
  for (Checkpoint& at : all) {
    SourcePlace& place = out.emplace_back();
    place.at = std::move(at);
    place.daystream = asked.daystream;
    place.conninfo = asked.conninfo;
    if (takes_config) take_config(place, config, asked.config_file);
    if (!place.daystream) place.daystream = open_stream(place.at.directory);
  }
  return out;
}

}  // namespace deltamirror
