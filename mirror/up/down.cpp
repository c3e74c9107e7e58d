// deltamirror down: takes away what `up` has made.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "config/source_places.h"
#include "daystream/manifest.h"
#include "daystream/stop.h"
#include "program/postgres.h"
#include "program/usage.h"
#include "seed/source_catalog.h"
#include "snapshot/from_snapshot.h"
#include "src/dir.h"
#include "src/lock.h"
#include "src/place.h"
#include "src/waiting.h"
#include "store/checkpoint.h"
#include "store/mirror_file.h"
#include "store/mirror_lock.h"
#include "store/mirrored_table.h"
#include "up/behind.h"
#include "up/own_stream.h"
#include "up/publishing.h"
#include "up/up.h"
#include "up/up_record.h"

namespace deltamirror {

namespace fs = std::filesystem;

namespace {

struct DownOptions {
  std::string mirror;
  std::optional<std::string> conninfo;
  std::string slot;
  std::string config_file;
  std::string source;  // one that has left the mirror; empty: all
  bool keep_slot = false;
  bool yes = false;
};

constexpr const char* kSuffixes[] = {"-wal",         "-shm",           "-journal",
                                     ".config.json", ".commands.json", ".seeding",
                                     ".seeding-wal", ".seeding-shm",   ".seeding-journal",
                                     ".verify",      ".sock",          ".up.json"};

// False: there is none.
bool remove_file(const fs::path& path) {
  if (unlink(path.c_str()) == 0) return true;
  if (errno == ENOENT) return false;
  throw daystream::IoError(fmt::format("could not remove file \"{}\"", path.string()), errno);
}

// In the same folder.
void move_away(const fs::path& path, const fs::path& to) {
  const auto folder = daystream::real_dir(fs::absolute(path).parent_path());
  daystream::Dir& dir = *folder;
  dir.rename(path.filename(), to.filename());
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

// Whatever is left of it, so that it can be gone on with: what was removed before is not missed.
class Down {
 public:
  Down(const DownOptions& options, daystream::Stop stop)
      : options_(options),
        stop_(std::move(stop)),
        mirror_(options.mirror),
        half_removed_(name_of_removal(daystream::real_name(mirror_))),
        made_(recorded(mirror_)) {}

  int run() {
    if (!options_.source.empty()) return remove_source();
    find_streams();
    check_mirror();
    check_that_it_may();
    std::optional<MirrorLock> owner(mirror_);
    std::vector<daystream::UniqueFd> writers;
    bool is_confirmed = false;
    try {
      writers = lock_streams();
      check_servers();
      find_publications();
      is_confirmed = confirm();
    } catch (...) {
      owner->remove_file();
      throw;
    }
    if (!is_confirmed) {
      owner->remove_file();
      fmt::print("nothing was removed\n");
      return 1;
    }
    remove_slots();
    remove_streams();
    owner->remove_file();
    owner.reset();  // before SQLite's files go
    remove_mirror();
    return 0;
  }

 private:
  // Of one that has left, beside the mirror, which may be followed meanwhile.
  int remove_source() {
    find_left();
    if (!options_.yes && isatty(STDIN_FILENO) != 1) {
      throw daystream::ConfigError("nobody can be asked here", "give --yes");
    }
    const auto writers = lock_streams();
    check_servers();
    find_publications();
    if (!confirm()) {
      fmt::print("nothing was removed\n");
      return 1;
    }
    remove_slots();
    for (const OwnStream& stream : streams_) {
      remove_stream(stream);
      strike_out(mirror_, stream);
    }
    return 0;
  }

  void find_left() {
    const std::string& name = options_.source;
    const auto sources = load_checkpoints(open_for_reading(mirror_));
    if (find_source(sources, name) != nullptr) {
      throw daystream::NeedsPerson(
          fmt::format("mirror \"{}\" has source \"{}\"", mirror_, name),
          "take it out of the configuration first; without --source the whole mirror is removed");
    }
    for (const OwnStream& stream : made_) {
      if (stream.source != name) continue;
      streams_.push_back(stream);
      streams_.back().publication = publication_in(stream.directory);
      if (options_.conninfo) streams_.back().conninfo = *options_.conninfo;
    }
    if (!streams_.empty()) return;
    throw daystream::ConfigError(
        fmt::format("\"up\" has made no stream for a source \"{}\" of mirror \"{}\"", name,
                    mirror_),
        "\"deltamirror status\" names those that have left");
  }

  // What the configuration names, and what "up" has made for sources that left it.
  void find_streams() {
    find_configured();
    for (const OwnStream& stream : made_) {
      if (std::none_of(streams_.begin(), streams_.end(),
                       [&](const auto& each) { return is_at(stream, each.directory); })) {
        streams_.push_back(stream);
        streams_.back().publication = publication_in(stream.directory);
      }
    }
  }

  static bool is_at(const OwnStream& made, const fs::path& directory) {
    return made.directory == fs::absolute(directory).lexically_normal();
  }

  void find_configured() {
    const std::string conninfo = options_.conninfo.value_or("");
    const fs::path own = sources_file(mirror_);
    const std::string config_file =
        options_.config_file.empty() && is_there(own) ? own.string() : options_.config_file;
    const bool is_of_several = !made_.empty() && !made_.front().source.empty();
    if (config_file.empty() && (is_of_several || is_of_other_stream())) return;
    if (config_file.empty()) return add(own_directory(mirror_), {}, conninfo);
    const MirrorConfig config = load_config(config_file);
    if (config.sources.empty()) return add(own_directory(mirror_), {}, conninfo);
    for (const SourceConfig& source : config.sources) {
      const auto directory = open_stream(source.daystream).directory();
      if (!directory) continue;
      const std::string slot = own_slot_name(mirror_, source.name);
      const std::string there = slot_in(*directory);
      if (!there.empty() && there != slot) continue;  // somebody else's, that was there before
      add(*directory, source.name, source.connection.value_or(conninfo));
    }
  }

  // It was fetched from a server that has the stream, or was seeded beside one: neither stream nor
  // slot is its own, and PostgreSQL is not asked.
  bool is_of_other_stream() const {
    if (!options_.slot.empty() || is_there(own_directory(mirror_))) return false;
    if (is_there(half_removed_)) return true;  // its own are gone before it
    if (!is_there(mirror_)) return !fetched_beside(mirror_).empty();
    for (const Checkpoint& at : load_checkpoints(open_for_reading(mirror_))) {
      if (fs::weakly_canonical(at.directory) == fs::weakly_canonical(own_directory(mirror_))) {
        return false;
      }
    }
    return true;
  }

  void add(const fs::path& directory, const std::string& source, std::string conninfo) {
    std::string slot = slot_in(directory);
    if (slot.empty()) slot = options_.slot;
    for (const OwnStream& made : made_) {
      if (!is_at(made, directory)) continue;
      if (slot.empty()) slot = made.slot;
      if (conninfo.empty()) conninfo = made.conninfo;
    }
    if (slot.empty()) slot = own_slot_name(mirror_, source);
    streams_.push_back({source, directory, slot, conninfo, {}, publication_in(directory), {}});
  }

  // Another file of that name is nobody's to remove.
  void check_mirror() const {
    if (fs::exists(mirror_)) static_cast<void>(open_for_reading(mirror_));
  }

  void check_that_it_may() const {
    if (options_.yes || isatty(STDIN_FILENO) == 1) return;
    bool anything =
        is_there(mirror_) || is_there(half_removed_) || !fetched_beside(mirror_).empty();
    for (const OwnStream& stream : streams_) {
      anything |= is_there(stream.directory) || is_there(name_of_removal(stream.directory));
    }
    if (anything) throw daystream::ConfigError("nobody can be asked here", "give --yes");
    throw daystream::Error(
        fmt::format("there is no mirror \"{}\", and no daystream of its own", mirror_),
        "look at the path; with -d and --yes its replication slot is removed where only that is "
        "left");
  }

  std::vector<daystream::UniqueFd> lock_streams() const {
    std::vector<daystream::UniqueFd> locks;
    for (const OwnStream& stream : streams_) {
      require_removable(stream.directory);
      if (is_there(stream.directory)) locks.push_back(daystream::lock_directory(stream.directory));
    }
    return locks;
  }

  // A slot of the same name on another server is another slot.
  void check_servers() const {
    if (options_.keep_slot) return;
    for (const OwnStream& stream : streams_) {
      const auto pg = server_of(stream);
      if (slot_in(stream.directory).empty()) continue;
      const auto manifest = daystream::Manifest::load(stream.directory);
      const PgServer server = identify_server(pg.get());
      daystream::require_same_source(
          fmt::format("daystream \"{}\"", stream.directory.string()),
          {manifest.system_identifier, {}, {}}, "the server", {server.system_identifier, {}, {}},
          "give the -d that \"up\" was started with; --keep-slot leaves the slot "
          "alone");
    }
  }

  // Of a stream that is gone only the server knows how it was read, where its slot has the name
  // that no other program gives one.
  void find_publications() {
    if (options_.keep_slot) return;
    for (OwnStream& stream : streams_) {
      if (!stream.publication.empty() || !slot_in(stream.directory).empty()) continue;
      if (!options_.slot.empty()) continue;
      const auto pg = server_of(stream);
      const bool is_ours = find_publication(pg.get(), stream.slot) == Publication::Ours;
      if (is_ours || plugin_of_slot(pg.get(), stream.slot) == "pgoutput") {
        stream.publication = stream.slot;
      }
    }
  }

  static daystream::program::PgConn server_of(const OwnStream& stream) {
    try {
      return daystream::program::connect(stream.conninfo, "deltamirror");
    } catch (const daystream::program::NotConnected& e) {
      const std::string first =
          stream.conninfo.empty() ? "give the -d that \"up\" was started with" : e.hint();
      throw daystream::program::NotConnected(
          e.what(),
          fmt::format("{}{}--keep-slot removes the rest, and leaves the slot as it is", first,
                      first.empty() ? "" : "; "),
          e.reason());
    }
  }

  bool confirm() const {
    if (options_.yes) return true;
    fmt::print("This removes, and nothing brings it back:\n");
    if (options_.source.empty() && is_there(mirror_)) fmt::print("  mirror {}\n", mirror_);
    for (const OwnStream& stream : streams_) {
      if (is_there(stream.directory)) fmt::print("  daystream {}\n", stream.directory.string());
      if (options_.keep_slot) continue;
      fmt::print("  replication slot {}\n", stream.slot);
      if (!stream.publication.empty()) {
        fmt::print("  publication {}, if \"up\" has made it\n", stream.publication);
      }
    }
    fmt::print("Remove it? [y/N] ");
    std::fflush(stdout);
    // A stop is heard meanwhile.
    while (!daystream::WaitSet{STDIN_FILENO, stop_.fd()}.wait(daystream::WaitSet::kForEver)) {
    }
    if (stop_.requested()) {
      fmt::print("\n");
      return false;
    }
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
  }

  void remove_slots() const {
    if (options_.keep_slot) return;
    for (const OwnStream& stream : streams_) {
      const bool dropped = drop_slot(stream);
      fmt::print("{} replication slot {}\n", dropped ? "removed" : "there is no", stream.slot);
      for (const std::string& thing : unpublish(stream.conninfo, stream.publication)) {
        fmt::print("removed {}\n", thing);
      }
    }
  }

  static void remove_stream(const OwnStream& stream) {
    const fs::path going = name_of_removal(stream.directory);
    bool any = fs::remove_all(going) != 0;
    if (is_there(stream.directory)) {
      move_away(stream.directory, going);
      fs::remove_all(going);
      any = true;
    }
    if (any) fmt::print("removed daystream {}\n", stream.directory.string());
  }

  void remove_streams() const {
    for (const OwnStream& stream : streams_) remove_stream(stream);
    std::error_code ignored;  // where somebody else's is in it
    fs::remove(sources_folder(mirror_), ignored);
    if (fs::remove(sources_file(mirror_))) {
      fmt::print("removed configuration {}\n", sources_file(mirror_).string());
    }
  }

  void remove_mirror() const {
    const fs::path real = daystream::real_name(mirror_);
    bool any = is_there(real);
    // Without its -wal it would be a mirror of another time, if it could be read at all.
    if (any) move_away(real, half_removed_);
    for (const char* suffix : kSuffixes) any |= remove_file(real.string() + suffix);
    for (const fs::path& file : fetched_beside(mirror_)) any |= remove_file(file);
    any |= remove_file(mirror_);  // the link
    any |= remove_file(half_removed_);
    fmt::print("{} mirror {}\n", any ? "removed" : "there is no", mirror_);
  }

  const DownOptions& options_;
  const daystream::Stop stop_;
  const std::string mirror_;
  const fs::path half_removed_;
  const std::vector<OwnStream> made_;  // by "up", as it has recorded
  std::vector<OwnStream> streams_;
};

}  // namespace

void add_down(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<DownOptions>();
  CLI::App& command = *app.add_subcommand(
      "down", "remove a mirror that \"up\" has made, with its stream and replication slot");
  add_mirror_option(command, options->mirror);
  add_connection_option(command, options->conninfo);
  command.add_option("-S,--slot", options->slot,
                     "the slot, where it was named and the stream is gone already");
  add_sources_config_option(command, options->config_file);
  command.add_option("--source", options->source,
                     "only the stream and slot of this source, which has left the mirror");
  command.add_flag("--keep-slot", options->keep_slot,
                   "leave the slot: its server is gone, or out of reach");
  command.add_flag("--yes", options->yes, "do not ask");
  command.footer(
      "Says each thing that it removes. What is gone already is not missed: it can be run "
      "again.\n\n"
      "Examples:\n"
      "  deltamirror down flights.db -d service=prod\n"
      "  deltamirror down flights.db -d service=prod --yes\n"
      "  deltamirror down shards.db --source us\n"
      "      the mirror goes on: what a source leaves behind that the configuration has no more");
  command.callback([options, &chosen] {
    chosen = [options](daystream::program::Signals& signals) {
      return Down(*options, signals.stop()).run();
    };
  });
}

}  // namespace deltamirror
