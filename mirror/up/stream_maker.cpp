#include "up/stream_maker.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "apply/same_source.h"
#include "daystream/stream.h"
#include "model/shell_word.h"
#include "owner/own_program.h"
#include "program/hint.h"
#include "program/json.h"
#include "program/postgres.h"
#include "seed/source_catalog.h"
#include "src/day_file.h"
#include "src/lock.h"
#include "src/waiting.h"
#include "store/checkpoint.h"
#include "store/mirror_file.h"
#include "up/plan.h"
#include "up/up_record.h"

namespace deltamirror {

namespace fs = std::filesystem;

namespace {

bool is_new(const OwnStream& stream) {
  return slot_in(stream.directory).empty();
}

std::vector<Checkpoint> sources_of(const std::string& mirror) {
  if (!fs::exists(mirror)) return {};
  return load_checkpoints(open_for_reading(mirror));
}

daystream::SourceIdentity database_of(const OwnStream& stream) {
  if (!is_new(stream)) {
    const auto manifest = daystream::Manifest::load(stream.directory);
    return {manifest.system_identifier, manifest.database, {}};
  }
  const auto pg = daystream::program::connect(stream.conninfo, "deltamirror");
  return identify_server(pg.get()).identity();
}

// Between two looks whether somebody asks to stop.
constexpr std::chrono::milliseconds kBetweenStopLooks{50};

// The first thing that failed of what `deltastream --check --json` has printed.
struct Failed {
  std::string what = "its deltastream could not start";
  std::string hint = "\"deltamirror up --check\" with this configuration says what is missing";
};
Failed first_failed(const std::string& lines) {
  using daystream::program::text_of;
  for (std::size_t begin = 0; begin < lines.size();) {
    const std::size_t end = std::min(lines.find('\n', begin), lines.size());
    const auto line = daystream::program::parse_json(lines.substr(begin, end - begin));
    begin = end + 1;
    if (line.is_object() && text_of(line, "result") == "failed")
      return {text_of(line, "detail"), text_of(line, "hint")};
  }
  return {};
}

// deltastream would refuse it, too, but only once nobody reads from the slot: the one that is to
// be replaced does.
void require_stream_of_slot(PGconn* pg, const OwnStream& now, const OwnStream& next) {
  if (!is_new(next) || slot_in(now.directory) != next.slot || !plugin_of_slot(pg, next.slot)) {
    return;
  }
  throw daystream::NeedsPerson(
      fmt::format("source \"{}\": replication slot \"{}\" belongs to daystream \"{}\", and there "
                  "is none in \"{}\"",
                  next.source, next.slot, now.directory.string(), next.directory.string()),
      fmt::format("to move it, stop \"up\", move directory \"{}\" to \"{}\", and start \"up\"; or "
                  "name the directory as before",
                  now.directory.string(), next.directory.string()));
}

}  // namespace

bool StreamMaker::is_ours(const OwnStream& stream) const {
  const std::string& mirror = options_.run.mirror;
  return stream.source.empty() || stream.slot == own_slot_name(mirror, stream.source);
}

bool StreamMaker::is_unused(const OwnStream& stream) const {
  const std::vector<Checkpoint> sources = sources_of(options_.run.mirror);
  return stream.source.empty() ? sources.empty() : find_source(sources, stream.source) == nullptr;
}

// Two sources that are one database are known from each other before the second has a slot there.
void StreamMaker::check_databases(const std::vector<OwnStream>& streams) const {
  std::vector<std::pair<std::string, daystream::SourceIdentity>> known;
  const std::vector<Checkpoint> sources = sources_of(options_.run.mirror);
  for (const OwnStream& stream : streams) {
    const Checkpoint* const at = find_source(sources, stream.source);
    const auto identity = at != nullptr ? at->identity() : database_of(stream);
    for (const auto& [name, of_other] : known) {
      require_other_database(name, of_other, stream.source, identity);
    }
    known.emplace_back(stream.source, identity);
  }
}

void StreamMaker::check(const std::vector<OwnStream>& streams) const {
  const bool any = std::any_of(streams.begin(), streams.end(),
                               [this](const auto& stream) { return is_unused(stream); });
  if (!any) return;
  for (const OwnStream& stream : streams) {
    if (is_unused(stream)) daystream::require_own_directory(stream.directory);
  }
  if (streams.size() > 1) check_databases(streams);
  for (const OwnStream& stream : streams) {
    if (is_unused(stream)) check_tables(options_, stream, stream.tables, signals_);
  }
}

void StreamMaker::check_change(const OwnStream& now, OwnStream next,
                               const daystream::Stop& stop) const {
  {
    const auto session = daystream::program::connect(next.conninfo, "deltamirror");
    PGconn* const pg = session.get();
    require_stream_of_slot(pg, now, next);
    choose_source(options_, next, pg);
    // It would say of a publication that will be made that it is not there.
    if (!next.publication.empty() && find_publication(pg, next.publication) == Publication::None) {
      return;
    }
  }
  std::vector<std::string> argv = deltastream_command(options_, next);
  argv.insert(argv.begin() + 1, {"--check", "--json"});
  const daystream::UniqueFd out = file_in_memory();
  const auto child = start_own(argv, {.out = out.get()});
  while (!child->end()) {
    if (stop.requested()) return;
    daystream::WaitSet{child->fd(), stop.fd()}.wait(kBetweenStopLooks);
  }
  const auto end = *child->end();
  if (end.is_good()) return;
  const Failed failed = first_failed(whole_text(out.get()));
  const std::string what = fmt::format("source \"{}\": {}", next.source, failed.what);
  if (end.exit_code == static_cast<int>(daystream::ExitCode::NeedsPerson)) {
    throw daystream::NeedsPerson(what, failed.hint);
  }
  throw daystream::Error(what, failed.hint);
}

void StreamMaker::prepare(OwnStream& stream, const std::vector<TableRequest>& tables) {
  const bool is_there = !slot_in(stream.directory).empty();
  if (is_there) stream.publication = publication_in(stream.directory);
  if (is_there && is_ours(stream)) record(options_.run.mirror, stream);
  if (is_there && stream.publication.empty() && options_.publication.empty()) return;
  try {
    prepare_at_server(stream, wanted(stream, tables));
  } catch (const daystream::program::NotConnected& e) {
    if (!is_there) throw;
    spdlog::warn("could not look whether the publication has the tables: {}", e.what());
  }
}

void StreamMaker::prepare_at_server(OwnStream& stream, std::vector<TableRequest> tables) {
  const daystream::program::PgConn session =
      daystream::program::connect(stream.conninfo, "deltamirror");
  PGconn* const pg = session.get();
  const Ways ways = choose_source(options_, stream, pg);
  // Somebody has dropped it, as a "down" that did not come to its end.
  const bool is_gone =
      !stream.publication.empty() && find_publication(pg, stream.publication) == Publication::None;
  if (is_gone) tables = stream.tables;
  if (!stream.publication.empty()) check_publishing(pg, stream, tables);
  if (slot_in(stream.directory).empty() && !plugin_of_slot(pg, stream.slot)) {
    record(options_.run.mirror, stream);
    made_.push_back(stream);
  }
  if (!stream.publication.empty()) publish_tables(pg, stream, ways, tables);
}

void StreamMaker::publish_more(OwnStream& stream, const std::vector<TableRequest>& tables) {
  stream.publication = publication_in(stream.directory);
  if (!stream.publication.empty()) prepare_at_server(stream, tables);
}

void StreamMaker::publish_no_more(const OwnStream& stream) const {
  const std::string publication = publication_in(stream.directory);
  if (publication.empty()) return;
  try {
    const auto session = daystream::program::connect(stream.conninfo, "deltamirror");
    for (const std::string& table : keep_published(session.get(), publication, stream.tables)) {
      spdlog::info("took table {} out of publication \"{}\"", table, publication);
    }
  } catch (const daystream::Error& e) {
    spdlog::warn("could not look whether publication \"{}\" has tables that are not needed: {}",
                 publication, daystream::program::with_hint(e.what(), e.hint()));
  }
}

const std::vector<TableRequest>& StreamMaker::wanted(
    const OwnStream& stream, const std::vector<TableRequest>& tables) const {
  return options_.run.config_file.empty() ? tables : stream.tables;
}

void StreamMaker::publish_tables(PGconn* pg, OwnStream& stream, const Ways& ways,
                                 const std::vector<TableRequest>& tables) {
  const bool is_theirs = find_publication(pg, stream.publication) == Publication::Theirs;
  if (!ways.plugin.empty()) {
    spdlog::info("streaming by PostgreSQL's own plugin, from publication \"{}\": {}",
                 stream.publication, ways.plugin);
  }
  if (!is_theirs && !tables.empty() && !publish(pg, stream.publication, tables)) {
    spdlog::warn(
        "no event triggers note what DDL changes: a table whose columns change is copied again; "
        "HINT: SELECT deltaflood.create_triggers(); as a role that may, or call "
        "deltaflood.changed() in each migration, after its DDL");
  }
  stream.published = published_names(pg, stream.publication, tables);
}

bool StreamMaker::is_there(const OwnStream& stream) const {
  if (slot_in(stream.directory).empty() || !daystream::Stream(stream.directory).extent())
    return false;
  const daystream::Holding held = daystream::Manifest::load(stream.directory).holdings.back();
  if (stream.publication.empty()) return held.tables == filter_of(options_, stream);
  return std::all_of(stream.published.begin(), stream.published.end(),
                     [&](const std::string& table) { return held.holds(table); });
}

void StreamMaker::undo_unused(const std::vector<OwnStream>& needed) {
  for (const OwnStream& stream : std::exchange(made_, {})) {
    if (!is_unused(stream)) continue;  // and when its source leaves, it is known by the record
    const bool is_needed = std::any_of(needed.begin(), needed.end(), [&](const auto& each) {
      return each.source == stream.source;
    });
    if (is_needed) {
      made_.push_back(stream);
    } else {
      undo(stream);
    }
  }
}

void StreamMaker::undo(const OwnStream& stream) const {
  try {
    require_removable(stream.directory);
    // Where it is somebody else's by now, as another mirror's, it stays.
    std::optional<daystream::UniqueFd> writer;
    if (fs::exists(stream.directory)) writer = daystream::lock_directory(stream.directory);
    if (drop_slot(stream)) {
      spdlog::info("dropped replication slot \"{}\": no mirror follows it", stream.slot);
    }
    for (const std::string& thing : unpublish(stream.conninfo, stream.publication)) {
      spdlog::info("removed {}", thing);
    }
    fs::remove_all(stream.directory);
    strike_out(options_.run.mirror, stream);
  } catch (const std::exception& e) {
    spdlog::warn("replication slot \"{}\" was left behind, and keeps log at the server: {}",
                 stream.slot,
                 daystream::program::with_hint(
                     e.what(), fmt::format("\"deltamirror down {}{}\" removes it",
                                           options_.run.mirror, as_it_was_given())));
  }
}

std::vector<OwnStream> StreamMaker::left(const std::vector<OwnStream>& streams) const {
  std::vector<OwnStream> left = recorded(options_.run.mirror);
  std::erase_if(left, [&](const OwnStream& each) {
    return std::any_of(streams.begin(), streams.end(), [&](const OwnStream& stream) {
      return stream.slot == each.slot &&
             fs::absolute(stream.directory).lexically_normal() == each.directory;
    });
  });
  return left;
}

void StreamMaker::say_that_it_stays(const OwnStream& stream) const {
  const std::string& mirror = options_.run.mirror;
  const bool has_left = !stream.source.empty() && is_unused(stream);
  spdlog::log(
      has_left ? spdlog::level::warn : spdlog::level::info,
      "replication slot \"{}\"{} stays, and PostgreSQL keeps its log for it: {}\"deltamirror down "
      "{}{}\" removes mirror, {}",
      stream.slot, has_left ? fmt::format(" of source \"{}\", which has left,", stream.source) : "",
      has_left ? "" : "\"up\" again goes on, ", mirror, as_it_was_given(),
      has_left ? fmt::format("streams and slots; \"deltamirror down {} --source {}\" this one "
                             "alone",
                             mirror, shell_word(stream.source))
               : "stream and slot");
}

std::string StreamMaker::as_it_was_given() const {
  std::string arguments;
  if (!options_.choice.config.sources.empty())
    arguments += fmt::format(" --config {}", options_.run.config_file);
  if (!options_.run.conninfo.value_or("").empty()) arguments += " -d …";
  return arguments;
}

}  // namespace deltamirror
