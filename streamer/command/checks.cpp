#include "command/checks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "command/claim.h"
#include "command/publication_checks.h"
#include "command/unused_patterns.h"
#include "daystream/reader.h"
#include "program/check_report.h"
#include "program/metrics_file.h"
#include "program/postgres.h"
#include "server/server_error.h"
#include "server/server_version.h"
#include "src/day_file.h"

namespace deltastream {

using daystream::Lsn;
using daystream::Manifest;
using daystream::NeedsPerson;
using daystream::WrongSource;
using daystream::program::CheckReport;
namespace program = daystream::program;

std::optional<Manifest> find_manifest(const std::string& directory) {
  if (!std::filesystem::exists(std::filesystem::path(directory) / "daystream.json")) {
    daystream::require_own_directory(directory);
    return std::nullopt;
  }
  return Manifest::load(directory);
}

// The names of a setting that is a list of them, as PostgreSQL takes it apart: one in quotes is one
// name, whatever is in it.
std::vector<std::string> names_in(std::string_view list) {
  std::vector<std::string> names;
  std::string name;
  bool quoted = false;
  const auto end = [&] {
    const std::size_t first = name.find_first_not_of(" \t\n");
    const std::size_t last = name.find_last_not_of(" \t\n");
    if (first != std::string::npos) names.push_back(name.substr(first, last - first + 1));
    name.clear();
  };
  for (const char c : list) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      end();
    } else {
      name += c;
    }
  }
  end();
  return names;
}

// For ALTER SYSTEM, which takes what is given to it in one pair of quotes for one name: one that
// has commas was meant to be several.
std::string with_plugin(const std::vector<std::string>& names, const std::string& plugin) {
  std::vector<std::string> all;
  for (const std::string& name : names) {
    for (std::string& each : names_in(name)) all.push_back(std::move(each));
  }
  if (std::find(all.begin(), all.end(), plugin) == all.end()) all.push_back(plugin);
  return fmt::format("{}", fmt::join(all, ", "));
}

void check_settings(ReplicationConnection& connection, const Config& config) {
  const std::string wal_level = connection.query_value("SHOW wal_level").value_or("");
  if (wal_level != "logical") {
    throw NeedsPerson(fmt::format("wal_level is \"{}\", not \"logical\"", wal_level),
                      "ALTER SYSTEM SET wal_level = logical; then restart the server");
  }
  // Servers before 15.19 do not know the setting, and only who may read all settings sees it: then
  // the server itself says no, when the plugin is named. Names are compared as PostgreSQL does:
  // exactly.
  const std::string allowed =
      connection
          .query_value("SELECT setting FROM pg_settings WHERE name = 'output_plugin_libraries'")
          .value_or("");
  const std::vector<std::string> names = names_in(allowed);
  if (names.empty() || std::find(names.begin(), names.end(), config.plugin()) != names.end()) {
    return;
  }
  throw NeedsPerson(
      fmt::format("the server does not allow output plugin \"{}\": output_plugin_libraries is "
                  "\"{}\"",
                  config.plugin(), allowed),
      fmt::format("as a superuser: ALTER SYSTEM SET output_plugin_libraries = {}; "
                  "SELECT pg_reload_conf();",
                  with_plugin(names, config.plugin())));
}

void check_source(const Manifest& manifest, const PgServer& server, const std::string& slot,
                  const std::string& directory) {
  require_same_source(fmt::format("daystream \"{}\"", directory), manifest.source(), "the server",
                      {server.system_identifier, server.database, slot},
                      "one directory holds one source: use another directory",
                      daystream::Pipe::IsAnother);
}

Slot require_slot(ReplicationConnection& connection, const std::string& name) {
  std::optional<Slot> slot = find_slot(connection, name);
  if (!slot) {
    throw NeedsPerson(
        fmt::format("replication slot \"{}\" does not exist", name),
        "for a new daystream add --create-slot; if the slot was dropped, run deltastream "
        "--recreate-slot: it writes a gap, behind which every mirror copies its tables again");
  }
  return *slot;
}

namespace {

// https://www.postgresql.org/docs/18/view-pg-replication-slots.html has the reasons.
std::string why_lost(const Slot& slot) {
  if (slot.invalidation == "idle_timeout") {
    return "nobody read from it for as long as idle_replication_slot_timeout allows";
  }
  if (slot.invalidation == "rows_removed") return "the server has removed catalog rows it needs";
  if (slot.invalidation == "wal_level_insufficient") return "wal_level was below \"logical\"";
  return "the server has removed WAL it needs";
}

}  // namespace

void check_slot(const Slot& slot, const PgServer& server, const Config& config) {
  if (slot.plugin.empty()) {
    throw NeedsPerson(
        fmt::format("replication slot \"{}\" is a physical slot, not a logical one", slot.name),
        "choose another name with -S");
  }
  if (slot.plugin != config.plugin()) {
    throw NeedsPerson(fmt::format("replication slot \"{}\" uses plugin \"{}\", not \"{}\"",
                                  slot.name, slot.plugin, config.plugin()),
                      "choose another name with -S, or the other --source");
  }
  if (slot.database != server.database) {
    throw WrongSource(fmt::format("replication slot \"{}\" is of database \"{}\", not \"{}\"",
                                  slot.name, slot.database, server.database),
                      "connect to that database, or choose another name with -S");
  }
  if (slot.lost()) {
    throw SlotLost(fmt::format("replication slot \"{}\" is lost: {} (confirmed up to {})",
                               slot.name, why_lost(slot), slot.confirmed_flush.text()));
  }
}

void check_not_ahead(const Slot& slot, const std::string& directory, Lsn last_lsn) {
  if (slot.confirmed_flush > last_lsn) {
    throw NeedsPerson(
        fmt::format(
            "replication slot \"{}\" is ahead of daystream \"{}\": the slot is confirmed up "
            "to {}, the daystream ends at {}",
            slot.name, directory, slot.confirmed_flush.text(), last_lsn.text()),
        "the slot was re-created or advanced, the directory is an old copy, or day files were "
        "deleted, and what lies between is gone from the slot: bring the right directory back, or "
        "run deltastream --recreate-slot, which writes a gap, behind which every mirror copies its "
        "tables again");
  }
}

void check_not_begun(const Slot& slot, const std::string& directory, const Manifest& manifest) {
  if (manifest.begun) check_not_ahead(slot, directory, *manifest.begun);
}

void check_history(ReplicationConnection& connection, const PgServer& server,
                   const std::string& directory, Lsn last_lsn, std::optional<TimelineId> timeline) {
  if (timeline) check_timeline(connection, *timeline, server.timeline, last_lsn);
  if (last_lsn > server.flush_lsn) {
    throw NeedsPerson(
        fmt::format("diverged: daystream \"{}\" ends at {}, the server's WAL already at {}",
                    directory, last_lsn.text(), server.flush_lsn.text()),
        "the server was restored from an older copy: begin a new daystream in another directory, "
        "with a new slot, and re-seed its mirrors");
  }
}

namespace {

// The slot before the daystream: while a stream runs both move, the daystream first.
std::string compare_positions(ReplicationConnection& connection, const PgServer& server,
                              const Slot& slot, const Manifest& manifest,
                              const std::string& directory) {
  const auto extent = daystream::Stream(directory).extent();
  if (!extent) {
    check_not_begun(slot, directory, manifest);
    return "no line yet: the stream will begin at " + slot.confirmed_flush.text();
  }
  std::optional<TimelineId> timeline;
  if (server.timeline > 1) timeline = last_timeline(directory, extent->last.day());
  const PgServer now = identify(connection);  // its WAL may have grown since
  check_history(connection, now, directory, extent->last_lsn, timeline);
  check_not_ahead(slot, directory, extent->last_lsn);
  return fmt::format("daystream at {}, slot confirmed up to {}", extent->last_lsn.text(),
                     slot.confirmed_flush.text());
}

// Tries the plugin with a slot that goes with the session, and is dropped at once. Harmless: it
// holds nothing back for longer than the second that it may wait for older transactions, before
// which the server has loaded the plugin; and where none is left for it, none is made. nullopt: it
// is taken. Throws what says that it is not.
std::optional<std::string> why_not_tried(const Config& config) {
  constexpr std::string_view kQueryCanceled = "57014";
  const program::PgConn session = program::connect(config.conninfo, "deltastream");
  PGconn* const pg = session.get();
  const std::string slot = fmt::format("deltastream_check_{}", getpid());
  program::exec(pg, "SET statement_timeout = '1s'");
  try {
    program::exec_params(pg, "SELECT pg_create_logical_replication_slot($1, $2, true)",
                         {slot, config.plugin()});
    program::exec_params(pg, "SELECT pg_drop_replication_slot($1)", {slot});
  } catch (const program::SqlError& e) {
    if (e.sqlstate() == kQueryCanceled) return std::nullopt;
    const std::string_view what = e.what();
    if (what.find("may not be used as an output plugin") != what.npos ||
        what.find("could not access file") != what.npos) {
      explain_server_error(e);
    }
    return std::string(what);
  }
  return std::nullopt;
}

// Settings that only some roles see are tried.
std::string look_at_settings(ReplicationConnection& connection, const Config& config,
                             CheckReport& report) {
  check_settings(connection, config);
  const auto visible =
      connection.query_value("SELECT 1 FROM pg_settings WHERE name = 'output_plugin_libraries'");
  if (visible) return "wal_level is logical, output_plugin_libraries has the plugin";
  if (const auto why = why_not_tried(config)) {
    const auto user = connection.query_value("SELECT quote_ident(current_user)");
    report.warn("settings",
                fmt::format("whether the server takes plugin \"{}\" is not known: "
                            "output_plugin_libraries is not visible to this role, or not known to "
                            "this server, and no slot could be made to try it: {}",
                            config.plugin(), *why),
                fmt::format("mend that, or GRANT pg_read_all_settings TO {};", user.value_or("…")));
    return "wal_level is logical";
  }
  return fmt::format("wal_level is logical, and a slot of plugin \"{}\" can be made",
                     config.plugin());
}

// Of what the server has for all slots and streams, one must be left for ours.
void check_left(ReplicationConnection& connection, const char* setting, const char* used) {
  const auto left = connection.query_value(
      fmt::format("SELECT current_setting('{}')::int - ({})", setting, used));
  if (!left || std::atoi(left->c_str()) > 0) return;
  throw NeedsPerson(
      fmt::format("the server has no {} left: all {} are taken", setting,
                  connection.query_value(fmt::format("SHOW {}", setting)).value_or("")),
      fmt::format("ALTER SYSTEM SET {} = …; then restart the server", setting));
}

std::string look_at_new_slot(ReplicationConnection& connection, const Config& config) {
  check_left(connection, "max_replication_slots", "SELECT count(*) FROM pg_replication_slots");
  const auto old = connection.query_value(
      "SELECT format('process %s, user %s, since %s', pid, coalesce(usename, '?'), "
      "date_trunc('second', xact_start)) FROM pg_stat_activity WHERE backend_xid IS NOT NULL "
      "AND xact_start < now() - interval '30 s' ORDER BY xact_start LIMIT 1");
  return fmt::format("\"{}\" will be made{}", config.slot,
                     old ? "; that waits for the transaction of " + *old : "");
}

// `manifest`: of the daystream that is to be written; nullptr: there is none yet.
std::string look_at_slot(ReplicationConnection& connection, const Slot& slot,
                         const Manifest* manifest, const Config& config, CheckReport& report) {
  if (slot.active_pid) {
    std::string who = fmt::format("in use by process {} ({})", *slot.active_pid, slot.active_for);
    if (manifest != nullptr) return who;
    throw NeedsPerson(
        fmt::format("replication slot \"{}\" is {}, and \"{}\" is no daystream yet: the slot is "
                    "another one's",
                    slot.name, who, config.directory),
        "name that daystream's directory with -D, or another slot with -S; to take the slot, end "
        "that process and start with --adopt-slot");
  }
  try {
    if (!config.pgoutput) {
      check_claim(connection, config,
                  manifest != nullptr ? manifest->id : daystream::new_stream_id());
    }
  } catch (const program::SqlError& e) {
    report.warn("slot",
                fmt::format("whose \"{}\" is could not be found out: {}", slot.name, e.what()),
                "a start finds it out; plugin and deltastream are best of one version");
  }
  return fmt::format("free, WAL {}", slot.wal_status);
}

}  // namespace

int run_checks(const Config& config) {
  CheckReport report(config.json);
  std::optional<ReplicationConnection> connection;
  PgServer server;
  std::optional<Manifest> manifest;
  report.check_directory(config.directory);
  report.check_room(config.directory);
  if (!config.metrics_file.empty()) {
    report.check("metrics", [&] {
      program::check_metrics_file(config.metrics_file);
      return fmt::format("\"{}\" can be written", config.metrics_file);
    });
  }
  if (!report.check("connection", [&] {
        connection.emplace(config.conninfo);
        server = identify(*connection);
        return fmt::format("system identifier {}, timeline {}, database \"{}\"",
                           server.system_identifier, server.timeline, server.database);
      })) {
    return report.exit_code();
  }
  report.check_clock("the server", server.clock_us);
  if (const std::string faults = known_faults(server.version); !faults.empty()) {
    report.warn("version", faults, "install the newest minor release");
  }
  report.check("settings", [&] { return look_at_settings(*connection, config, report); });
  if (!config.publication.empty()) check_publishing(config.conninfo, config.publication, report);
  for (const std::string& pattern : unused_patterns(*connection, config)) {
    report.warn("filters", fmt::format("nothing in the database is named by {}", pattern),
                "names are as in SQL: small letters unless quoted, of schema public unless "
                "another is named");
  }
  const bool same_source = report.check("daystream", [&] {
    manifest = find_manifest(config.directory);
    if (!manifest) return fmt::format("\"{}\" will be made", config.directory);
    check_source(*manifest, server, config.slot, config.directory);
    return fmt::format("\"{}\" is of this source", config.directory);
  });
  std::optional<Slot> slot;
  const bool slot_fits = report.check("slot", [&] {
    slot = find_slot(*connection, config.slot);
    const bool may_make = config.create_slot && !manifest;
    if (!slot && may_make) return look_at_new_slot(*connection, config);
    slot = require_slot(*connection, config.slot);
    check_slot(*slot, server, config);
    if (config.create_slot && !config.if_not_exists) throw slot_exists(config.slot);
    return look_at_slot(*connection, *slot, manifest ? &*manifest : nullptr, config, report);
  });
  if (manifest && same_source && slot && slot_fits) {
    report.check("position", [&] {
      return compare_positions(*connection, server, *slot, *manifest, config.directory);
    });
  }
  return report.exit_code();
}

}  // namespace deltastream
