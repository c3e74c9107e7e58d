// deltamirror down: takes away what `up` has made.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <vector>

#include "config/source_places.h"
#include "daystream/manifest.h"
#include "program/postgres.h"
#include "program/usage.h"
#include "seed/source_catalog.h"
#include "src/lock.h"
#include "src/place.h"
#include "store/mirror_file.h"
#include "store/mirror_lock.h"
#include "store/mirrored_table.h"
#include "up/own_stream.h"
#include "up/up.h"

namespace deltamirror {

namespace fs = std::filesystem;
using daystream::Error;

namespace {

struct DownOptions {
  std::string mirror;
  std::optional<std::string> conninfo;
  std::string slot;
  std::string config_file;
  bool keep_slot = false;
  bool yes = false;
};

constexpr const char* kSuffixes[] = {"",         "-wal",         "-shm",         "-journal",
                                     ".seeding", ".seeding-wal", ".seeding-shm", ".seeding-journal",
                                     ".verify",  ".sock"};

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

// Whatever is left of it, so that it can be gone on with: what was removed before is not missed.
class Down {
 public:
  explicit Down(const DownOptions& options) : options_(options), mirror_(options.mirror) {}

  int run() {
    find_streams();
    check_mirror();
    check_that_it_may();
    std::optional<MirrorLock> owner(mirror_);
    const std::vector<daystream::UniqueFd> writers = lock_streams();
    check_servers();
    if (!confirm()) {
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
  void find_streams() {
    const std::string conninfo = options_.conninfo.value_or("");
    if (options_.config_file.empty()) return add(own_directory(mirror_), {}, conninfo);
    const MirrorConfig config = load_config(options_.config_file);
    if (config.sources.empty()) return add(own_directory(mirror_), {}, conninfo);
    for (const SourceConfig& source : config.sources) {
      const auto directory = open_stream(source.daystream).directory();
      if (!directory) continue;
      const std::string own = own_slot_name(mirror_, source.name);
      const std::string there = slot_in(*directory);
      if (!there.empty() && there != own) continue;  // somebody else's, that was there before
      add(*directory, source.name, source.connection.value_or(conninfo));
    }
  }

  void add(const fs::path& directory, const std::string& source, const std::string& conninfo) {
    std::string slot = slot_in(directory);
    if (slot.empty()) slot = options_.slot;
    if (slot.empty()) slot = own_slot_name(mirror_, source);
    streams_.push_back({directory, slot, conninfo, {}});
  }

  // Another file of that name is nobody's to remove.
  void check_mirror() const {
    if (fs::exists(mirror_)) static_cast<void>(open_for_reading(mirror_));
  }

  void check_that_it_may() const {
    if (options_.yes || isatty(STDIN_FILENO) == 1) return;
    bool anything = is_there(mirror_);
    for (const OwnStream& stream : streams_) anything |= is_there(stream.directory);
    if (anything) usage("nobody can be asked here: give --yes");
    throw daystream::ConfigError(
        fmt::format("there is no mirror \"{}\", and no daystream of its own", mirror_),
        "look at the path; with -d and --yes its replication slot is removed where only that is "
        "left");
  }

  std::vector<daystream::UniqueFd> lock_streams() const {
    std::vector<daystream::UniqueFd> locks;
    for (const OwnStream& stream : streams_) {
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
      const SourceServer server = identify_server(pg.get());
      daystream::require_same_source(
          fmt::format("daystream \"{}\"", stream.directory.string()),
          {manifest.system_identifier, {}, {}}, "the server", {server.system_identifier, {}, {}},
          "give the -d that \"up\" was started with; --keep-slot leaves the slot "
          "alone");
    }
  }

  static daystream::program::PgConn server_of(const OwnStream& stream) {
    try {
      return daystream::program::connect(stream.conninfo, "deltamirror");
    } catch (const Error& e) {
      if (!stream.conninfo.empty()) throw;
      throw Error(e.what(),
                  "give the -d that \"up\" was started with; --keep-slot leaves the slot alone");
    }
  }

  bool confirm() const {
    if (options_.yes) return true;
    fmt::print("This removes, and nothing brings it back:\n");
    if (is_there(mirror_)) fmt::print("  mirror {}\n", mirror_);
    for (const OwnStream& stream : streams_) {
      if (is_there(stream.directory)) fmt::print("  daystream {}\n", stream.directory.string());
      if (!options_.keep_slot) fmt::print("  replication slot {}\n", stream.slot);
    }
    fmt::print("Remove it? [y/N] ");
    std::fflush(stdout);
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
  }

  void remove_slots() const {
    if (options_.keep_slot) return;
    for (const OwnStream& stream : streams_) {
      const bool dropped = drop_slot(stream.conninfo, stream.slot);
      fmt::print("{} replication slot {}\n", dropped ? "removed" : "there is no", stream.slot);
    }
  }

  void remove_streams() const {
    for (const OwnStream& stream : streams_) {
      if (!is_there(stream.directory)) continue;
      fs::remove_all(stream.directory);
      fmt::print("removed daystream {}\n", stream.directory.string());
    }
  }

  void remove_mirror() const {
    bool any = false;
    const fs::path real = daystream::real_name(mirror_);
    for (const char* suffix : kSuffixes) any |= fs::remove(real.string() + suffix);
    any |= fs::remove(mirror_);  // the link
    fmt::print("{} mirror {}\n", any ? "removed" : "there is no", mirror_);
  }

  const DownOptions& options_;
  const std::string mirror_;
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
  command.add_flag("--keep-slot", options->keep_slot,
                   "leave the slot: its server is gone, or out of reach");
  command.add_flag("--yes", options->yes, "do not ask");
  command.footer(
      "Says each thing that it removes. What is gone already is not missed: it can be run "
      "again.\n\n"
      "Examples:\n"
      "  deltamirror down flights.db -d service=prod\n"
      "  deltamirror down flights.db -d service=prod --yes");
  command.callback([options, &chosen] {
    chosen = [options](daystream::program::Signals&) { return Down(*options).run(); };
  });
}

}  // namespace deltamirror
