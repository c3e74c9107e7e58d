// deltamirror doctor: looks at everything of one mirror, and says of each what is wrong and what to
// do about it. Changes nothing.
#include <fmt/format.h>

#include <ctime>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "apply/same_source.h"
#include "command/commands.h"
#include "config/command_record.h"
#include "config/config.h"
#include "config/fleet_config.h"
#include "config/source_places.h"
#include "daystream/manifest.h"
#include "daystream/reader.h"
#include "owner/control.h"
#include "program/check_report.h"
#include "program/common_flags.h"
#include "program/figures.h"
#include "program/json.h"
#include "program/postgres.h"
#include "program/stream_health.h"
#include "seed/seed_session.h"
#include "seed/source_catalog.h"
#include "src/dir.h"
#include "status/mirror_status.h"
#include "store/last_events.h"
#include "store/mirror_file.h"
#include "store/mirrored_table.h"
#include "verify/verify_point.h"

namespace deltamirror {

using daystream::Error;
using daystream::Manifest;
using daystream::NeedsPerson;
using daystream::program::CheckReport;
using daystream::program::counted;
using nlohmann::ordered_json;

namespace {

struct DoctorOptions {
  std::string mirror;
  AskedPlaces places;
  bool deep = false;
  bool json = false;
};

// A member that is text; "" where it is null or missing.
std::string text_in(const ordered_json& value, const char* key) {
  return daystream::program::text_of(value, key);
}

class Doctor {
 public:
  Doctor(const DoctorOptions& options, const daystream::program::Signals& signals)
      : options_(options), signals_(signals), report_(options.json) {}

  int run() {
    if (!look_at_file()) return report_.exit_code();
    const auto folder = std::filesystem::absolute(options_.mirror).parent_path();
    report_.check_directory(folder);
    report_.check_room(folder);
    look_at_owner();
    for (const ordered_json& source : sources()) look_at_source(source);
    look_at_tables();
    look_at_config();
    look_at_commands();
    look_at_the_rest();
    return report_.exit_code();
  }

 private:
  bool look_at_file() {
    return report_.check("file", [&] {
      const OwnerSays owner = ask_how_it_is(options_.mirror);
      owner_hangs_ = owner.hangs;
      status_ = mirror_status(
          options_.mirror,
          {.owner_hangs = owner.hangs, .unstored = owner.unstored, .streams = owner.streams});
      if (options_.deep) check_deeply();
      return fmt::format("\"{}\" is a mirror{}", options_.mirror,
                         options_.deep ? ", and whole" : "; --deep reads all of it");
    });
  }

  void check_deeply() const {
    const Database db = open_for_reading(options_.mirror);
    const std::string found = db.value("PRAGMA quick_check(1)").value_or("");
    if (found == "ok") return;
    throw NeedsPerson(fmt::format("mirror \"{}\" is damaged: {}", options_.mirror, found),
                      "\"deltamirror restore\" a snapshot, or remove it and seed again");
  }

  void look_at_owner() {
    report_.check("owner", [&] {
      if (owner_hangs_) {
        throw Error(
            fmt::format("process {} owns the mirror and does not answer", status_["pid"].dump()),
            kOwnerHangs);
      }
      if (status_["running"] == true) return fmt::format("process {}", status_["pid"].dump());
      throw Error("no process owns the mirror", fmt::format("start \"deltamirror run {}\"; if it "
                                                            "ended, its log says why",
                                                            options_.mirror));
    });
  }

  ordered_json sources() const {
    if (status_.contains("sources")) return status_["sources"];
    return ordered_json::array({status_});
  }

  void look_at_source(const ordered_json& source) {
    const std::string name = text_in(source, "source");
    report_.check("source", [&] {
      const std::string state = text_in(source, "state");
      const std::string error = text_in(source, "last_error");
      if (state == "stopped") {
        throw NeedsPerson(fmt::format("\"{}\" is stopped: {}", name, error),
                          text_in(source, "last_hint"));
      }
      if (state == "waiting") {
        throw Error(fmt::format("\"{}\" waits: {}", name, error), text_in(source, "last_hint"));
      }
      const std::string complete = text_in(source, "complete_to");
      return fmt::format(
          "\"{}\" is {}{}{}", name, state,
          complete.empty() ? "; until when it is complete is not known yet" : ", complete to ",
          complete);
    });
    const std::optional<SourcePlace> place = place_of(name);
    if (!place) return;
    const std::optional<Manifest> manifest = look_at_stream(*place);
    if (manifest && place->conninfo) look_at_server(*place, *manifest);
  }

  std::optional<SourcePlace> place_of(const std::string& name) {
    std::optional<SourcePlace> found;
    report_.check("place", [&] {
      const Database db = open_for_reading(options_.mirror);
      AskedPlaces asked = options_.places;
      asked.source = name;
      found = source_places(db, asked).front();
      return fmt::format("read from {}", found->daystream.address());
    });
    return found;
  }

  // Whether the stream is there, is written, and still has what follows the mirror's position.
  std::optional<Manifest> look_at_stream(const SourcePlace& place) {
    std::optional<Manifest> manifest;
    const bool there = report_.check("stream", [&] {
      manifest = place.daystream.manifest();
      const daystream::Reader reader(place.daystream, {place.at.position, place.at.lsn});
      check_reaches(place.daystream, place.at);
      return fmt::format("\"{}\" of slot \"{}\" has what follows {}", manifest->name,
                         manifest->slot, place.at.position.text());
    });
    if (!there) return std::nullopt;
    if (const auto directory = place.daystream.directory()) look_at_streamer(*directory);
    return manifest;
  }

  void look_at_streamer(const std::filesystem::path& directory) {
    const auto told = daystream::program::read_streamer_status(*daystream::real_dir(directory));
    if (!told) return;  // a copy: who pulls it is not known here
    report_.check("streamer", [&] {
      const auto health = daystream::program::streamer_health(told, std::time(nullptr));
      if (health.is_well()) return std::string("deltastream writes it");
      if (health.needs_person) throw NeedsPerson(health.trouble, health.hint);
      throw Error(health.trouble, health.hint);
    });
  }

  void look_at_server(const SourcePlace& place, const Manifest& manifest) {
    daystream::program::PgConn connection;
    const bool reached = report_.check("server", [&] {
      connection = daystream::program::connect(*place.conninfo, "deltamirror");
      const PgServer server = identify_server(connection.get());
      daystream::require_same_source("the server", {server.system_identifier, {}, {}}, "the mirror",
                                     {place.at.system_identifier, {}, {}},
                                     "connect to the server that deltastream follows");
      return fmt::format("database \"{}\" of cluster {}", server.database,
                         server.system_identifier);
    });
    if (!reached) return;
    report_.check("slot", [&] { return words_of_slot(connection.get(), manifest.slot); });
    report_.check("rights", [&] { return words_of_rights(place, manifest); });
  }

  static std::string words_of_slot(PGconn* connection, const std::string& slot) {
    const auto result = daystream::program::exec_params(
        connection,
        "SELECT coalesce(wal_status, 'reserves none'), active::text, "
        "coalesce(pg_size_pretty(pg_current_wal_lsn() - restart_lsn) || ' of WAL', 'no WAL') "
        "FROM pg_replication_slots WHERE slot_name = $1",
        {slot});
    const auto cell = [&](int column) { return std::string(PQgetvalue(result.get(), 0, column)); };
    if (PQntuples(result.get()) == 0 || cell(0) == "lost") {
      throw NeedsPerson(
          fmt::format("replication slot \"{}\" is {}", slot,
                      PQntuples(result.get()) == 0 ? "gone" : "lost"),
          "deltastream --recreate-slot; mirrors that run with a connection then copy what "
          "differs, others have to be seeded again");
    }
    if (cell(1) != "t" && cell(1) != "true") {
      throw Error(fmt::format("nobody reads replication slot \"{}\", for which the server keeps {}",
                              slot, cell(2)),
                  "start its deltastream");
    }
    return fmt::format("\"{}\" is read, the server keeps {} for it ({})", slot, cell(2), cell(0));
  }

  // What a copy or a comparison of the mirror's tables would meet.
  std::string words_of_rights(const SourcePlace& place, const Manifest& manifest) {
    const Database db = open_for_reading(options_.mirror);
    std::vector<MirroredTable> tables = load_tables_of(db, place.at.source);
    std::erase_if(tables, [](const MirroredTable& table) { return !table.is_followed(); });
    SeedSession session(*place.conninfo, manifest, request_of(tables), signals_, Unfit::PassOver);
    session.check();
    if (session.problems().empty()) return "this role can copy the tables";
    const TableProblem& first = session.problems().front();
    const std::size_t others = session.problems().size() - 1;
    throw NeedsPerson(
        fmt::format("\"{}\" cannot be copied: {}{}", first.name, first.absence.reason,
                    others == 0 ? "" : fmt::format("; and {} more", counted(others, "table"))),
        first.absence.hint);
  }

  void look_at_tables() {
    std::size_t well = 0;
    for (const ordered_json& table : status_["tables"]) {
      if (!is_in_trouble(table)) {
        ++well;
        continue;
      }
      report_.check("table", [&]() -> std::string {
        const std::string hint = text_in(table, "hint");
        throw Error(fmt::format("\"{}\" is {}: {}", text_in(table, "name"), text_in(table, "state"),
                                text_in(table, "reason")),
                    hint.empty() ? "it comes by itself" : hint);
      });
    }
    report_.check("tables", [&] { return fmt::format("{} as they should be", well); });
  }

  // Of the file that it is told to read, or of the server of its fleet.
  void look_at_config() {
    const std::string damage = FleetState::damage(options_.mirror);
    const Database db = open_for_reading(options_.mirror);
    const auto error = load_error(db, kOfConfig);
    const ordered_json& config = status_["config"];
    if (damage.empty() && !error && config.is_null()) return;
    report_.check("config", [&] {
      if (!damage.empty()) throw Error(damage, FleetState::kHowToMend);
      if (error) throw Error(error->message, error->hint);
      const std::string problem = text_in(config, "error");
      if (!problem.empty() && config["revision"] != config["wanted_revision"]) {
        throw Error(
            fmt::format("revision {} of {} could not be taken: {}",
                        config["wanted_revision"].dump(), text_in(config, "source"), problem),
            FleetState::kHowToRevise);
      }
      return fmt::format("revision {} of {}{}", config["revision"].dump(),
                         text_in(config, "source"),
                         problem.empty() ? "" : "; the server is away: " + problem);
    });
  }

  // What its host was asked to do, where it takes that from a server.
  void look_at_commands() {
    if (!CommandRecord::exists(options_.mirror)) return;
    report_.check("commands", [&] {
      const CommandRecord record = CommandRecord::load(options_.mirror);
      if (record.paused) throw Error(words_of(*record.paused), kHowToContinue);
      return fmt::format("{} known of", counted(record.entries().size(), "command"));
    });
  }

  // "status" and this command judge alike, whatever has no check of its own here.
  void look_at_the_rest() {
    if (report_.exit_code() != 0 || status_["healthy"] == true) return;
    report_.check("status", [&]() -> std::string {
      throw Error(status_["trouble"][0].get<std::string>(), "\"deltamirror status\" has all of it");
    });
  }

  const DoctorOptions& options_;
  const daystream::program::Signals& signals_;
  CheckReport report_;
  ordered_json status_;
  bool owner_hangs_ = false;
};

}  // namespace

void add_doctor(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<DoctorOptions>();
  CLI::App& command = *app.add_subcommand(
      "doctor", "look at everything of one mirror, say what is wrong and what to do");
  add_mirror_option(command, options->mirror);
  add_connection_option(command, options->places.conninfo)
      ->description("look at the server and its slot, too");
  add_daystream_option(command, options->places.daystream);
  add_sources_config_option(command, options->places.config_file);
  command.add_flag("--deep", options->deep, "read all of the file, for damage");
  daystream::program::add_json_flag(command, options->json, daystream::program::kJsonChecks);
  command.footer(
      "Examples:\n"
      "  deltamirror doctor flights.db\n"
      "  deltamirror doctor flights.db -d service=prod --deep\n\n"
      "Exit codes: 0 all is well, 1 something is not, 3 that needs a person.");
  command.callback([options, &chosen] {
    chosen = [options](daystream::program::Signals& signals) {
      return Doctor(*options, signals).run();
    };
  });
}

}  // namespace deltamirror
