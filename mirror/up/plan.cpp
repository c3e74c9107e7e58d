#include "up/plan.h"

#include <fmt/format.h>

#include <set>

#include "config/source_places.h"
#include "daystream/manifest.h"
#include "model/names.h"
#include "owner/own_program.h"
#include "seed/requests.h"
#include "seed/seed_session.h"

namespace deltamirror {

namespace fs = std::filesystem;
using daystream::ConfigError;
using daystream::NeedsPerson;

namespace {

// Each table once, as the filter of deltastream has them.
std::string table_list(const std::vector<TableRequest>& tables) {
  std::set<std::string> names;
  for (const TableRequest& request : tables) {
    if (request.table.empty()) continue;
    const QualifiedName name = parse_table_name(request.table);
    using daystream::program::quote_identifier;
    names.insert(name.schema == "public" ? quote_identifier(name.table) : name.sql());
  }
  return fmt::format("{}", fmt::join(names, ","));
}

OwnStream stream_of(const UpOptions& options, const std::string& source, const fs::path& directory,
                    const std::string& conninfo, const std::vector<TableRequest>& tables) {
  const std::string there = slot_in(directory);
  const std::string made = there.empty() ? own_slot_name(options.run.mirror, source) : there;
  return {source, directory, options.slot.empty() ? made : options.slot, conninfo, tables};
}

// What only our plugin can do.
void check_options(const UpOptions& options, const OwnStream& stream) {
  if (stream.publication.empty()) return;
  if (options.partition_root) {
    throw ConfigError("--partition-root is something that only our plugin can do",
                      "install it at the server, or name the partitions as tables");
  }
}

}  // namespace

std::vector<OwnStream> plan_streams(const UpOptions& options) {
  const std::string& mirror = options.run.mirror;
  const std::string conninfo = options.run.conninfo.value_or("");
  const MirrorConfig& config = options.choice.config;
  if (config.sources.empty()) {
    if (table_list(config.tables).empty()) {
      throw ConfigError("no table to follow specified",
                        "name some with --table, or in a configuration");
    }
    return {stream_of(options, "", own_directory(mirror), conninfo, config.tables)};
  }
  for (const auto& [option, value] :
       {std::pair{"--slot", options.slot}, {"--publication", options.publication}}) {
    if (value.empty()) continue;
    throw ConfigError(fmt::format("{} names one, and there are sources", option),
                      "leave it out: each source has one of its own");
  }
  std::vector<OwnStream> streams;
  for (const SourceConfig& source : config.sources) {
    const auto directory = open_stream(source.daystream).directory();
    if (!directory) continue;  // another host's
    streams.push_back(stream_of(options, source.name, *directory,
                                source.connection.value_or(conninfo), source.tables));
  }
  return streams;
}

void follow_too(std::vector<TableRequest>& wishes, const std::vector<MirroredTable>& tables) {
  for (const MirroredTable& table : tables) {
    if (table.is_static()) continue;
    wishes.push_back(wish_of(table));
    wishes.push_back(request_for(table));  // a rename in PostgreSQL is followed
  }
}

std::string filter_of(const UpOptions& options, const OwnStream& stream) {
  const bool all = options.holds_all || !options.run.config_file.empty();
  return all ? "" : table_list(stream.tables);
}

namespace {

daystream::Manifest planned_manifest(const UpOptions& options, const OwnStream& stream) {
  daystream::Manifest planned;
  planned.name = stream.directory.filename().string();
  planned.holdings.push_back({.since = {}, .tables = filter_of(options, stream), .options = {}});
  if (options.partition_root) planned.holdings.back().options.emplace_back("partition-root", "on");
  return planned;
}

}  // namespace

void check_tables(const UpOptions& options, const OwnStream& stream,
                  const std::vector<TableRequest>& tables,
                  const daystream::program::Signals& signals) {
  SeedSession(stream.conninfo, planned_manifest(options, stream), tables, signals).check();
}

std::unique_ptr<SeedSession> look_at_tables(const UpOptions& options, const OwnStream& stream,
                                            const daystream::program::Signals& signals) {
  auto session = std::make_unique<SeedSession>(stream.conninfo, planned_manifest(options, stream),
                                               stream.tables, signals, Unfit::PassOver);
  session->check();
  return session;
}

Ways choose_source(const UpOptions& options, OwnStream& stream, PGconn* pg) {
  Ways ways;
  // Its own has the name of its own slot.
  const std::string& own = stream.slot;
  if (!options.publication.empty()) {
    stream.publication = options.publication;
  } else if (!slot_in(stream.directory).empty()) {
    stream.publication = publication_in(stream.directory);
  } else if (const auto plugin = plugin_of_slot(pg, stream.slot)) {
    if (*plugin == "pgoutput") stream.publication = own;
  } else {
    ways = find_ways(pg);
    if (ways.only_pgoutput()) stream.publication = own;
  }
  check_options(options, stream);
  return ways;
}

void check_publishing(PGconn* pg, const OwnStream& stream,
                      const std::vector<TableRequest>& tables) {
  const Publication found = find_publication(pg, stream.publication);
  if (found == Publication::Theirs) {
    const auto missing = unpublished(pg, stream.publication, tables);
    if (missing.empty()) return;
    throw NeedsPerson(fmt::format("publication \"{}\" does not have table {}", stream.publication,
                                  missing.front()),
                      fmt::format("ALTER PUBLICATION {} ADD TABLE {};",
                                  daystream::program::quote_identifier(stream.publication),
                                  fmt::join(missing, ", ")));
  }
  if (found == Publication::Ours && unpublished(pg, stream.publication, tables).empty()) return;
  std::string whats;
  std::string hints;
  for (const Lack& lack : find_lacks(pg, tables)) {
    if (!lack.needed) continue;
    whats += (whats.empty() ? "" : "; ") + lack.what;
    hints += (hints.empty() ? "" : " ") + lack.hint;
  }
  if (whats.empty()) return;
  throw NeedsPerson(fmt::format("could not publish the tables: {}", whats), hints);
}

std::vector<std::string> deltastream_command(const UpOptions& options, const OwnStream& stream) {
  std::vector<std::string> argv = {find_program("deltastream"),
                                   "-S",
                                   stream.slot,
                                   "-D",
                                   stream.directory.string(),
                                   "--create-slot",
                                   "--if-not-exists",
                                   "--on-lost-slot",
                                   "replace"};
  const auto add = [&](const std::vector<std::string>& more) {
    argv.insert(argv.end(), more.begin(), more.end());
  };
  if (!stream.publication.empty()) {
    add({"--source", "pgoutput", "--publication", stream.publication});
  } else if (const std::string tables = filter_of(options, stream); !tables.empty()) {
    add({"--tables", tables});
  }
  if (options.partition_root) add({"--partition-root"});
  if (options.adopt_slot) add({"--adopt-slot"});
  if (!stream.conninfo.empty()) add({"-d", stream.conninfo});
  if (!stream.source.empty()) add({"--log-source", stream.source});
  return argv;
}

}  // namespace deltamirror
