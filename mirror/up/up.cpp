#include "up/up.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>

#include "config/source_places.h"
#include "daystream/reader.h"
#include "model/names.h"
#include "program/postgres.h"
#include "remote/http_client.h"
#include "seed/requests.h"
#include "seed/seed.h"
#include "seed/seed_session.h"
#include "snapshot/from_snapshot.h"
#include "src/lock.h"
#include "src/waiting.h"
#include "store/checkpoint.h"
#include "store/mirror_file.h"
#include "store/mirror_lock.h"
#include "store/mirrored_table.h"
#include "up/child.h"
#include "up/own_stream.h"

namespace deltamirror {

namespace fs = std::filesystem;
using daystream::ConfigError;
using daystream::Error;
using daystream::UniqueFd;

namespace {

// The filter of deltastream, each table once.
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

[[noreturn]] void child_ended(int code) {
  const std::string message = fmt::format("deltastream ended with exit code {}", code);
  const std::string hint = "what it says above is the reason";
  if (code == static_cast<int>(daystream::ExitCode::NeedsPerson)) {
    throw daystream::NeedsPerson(message, hint);
  }
  if (code == static_cast<int>(daystream::ExitCode::Usage)) throw ConfigError(message, hint);
  if (code > 128) {
    throw Error(fmt::format("deltastream was ended by signal {}", code - 128),
                code - 128 == SIGKILL ? "somebody killed it, or memory was short: dmesg tells"
                                      : "its last lines above, or a core dump, may tell why");
  }
  if (code == 127) throw Error("could not start deltastream", "install it beside deltamirror");
  throw Error(message, hint);
}

// Those of `wanted` that the mirror has not, once it is known that it has the others as asked.
std::vector<TableRequest> missing_tables(const std::vector<MirroredTable>& tables,
                                         const std::vector<TableRequest>& wanted) {
  std::vector<TableRequest> missing;
  for (const TableRequest& request : wanted) {
    const auto has = std::find_if(tables.begin(), tables.end(), [&](const MirroredTable& table) {
      return folded(name_for(wish_of(table))) == folded(name_for(request));
    });
    if (has == tables.end()) {
      missing.push_back(request);
    } else if (!same_definition(wish_of(*has), request)) {
      throw ConfigError(
          fmt::format("the mirror has table \"{}\" otherwise than it is asked for", has->name),
          "\"deltamirror remove\" it first, or give this one another name with --as");
    }
  }
  return missing;
}

// What is started, made and undone for one mirror.
class Up {
 public:
  Up(const UpOptions& options, daystream::program::Signals& signals)
      : options_(options), signals_(signals), mirror_(options.run.mirror) {}

  int run() {
    plan();
    if (!fs::exists(mirror_)) check_folder();
    // Before anything is looked at that another one may be making, and until all is made.
    owner_.emplace(mirror_);
    std::vector<TableRequest> missing;
    try {
      const bool is_new = !fs::exists(mirror_);
      if (is_new) {
        check_new();
      } else {
        missing = join_tables();
      }
      note_what_is_there();
      start();
      wait_for_streams();
      if (is_new && !stopped()) seed_first();
    } catch (...) {
      undo();
      throw;
    }
    if (!fs::exists(mirror_)) undo();
    owner_.reset();
    if (!missing.empty() && !stopped()) add(missing);
    if (!stopped()) follow({});
    if (fs::exists(mirror_)) say_what_stays();
    if (!signals_.stop_requested()) {
      if (const auto code = ended()) child_ended(*code);
    }
    return 0;
  }

 private:
  bool is_of_several() const { return !options_.choice.config.sources.empty(); }

  void plan() {
    const std::string conninfo = options_.run.conninfo.value_or("");
    const MirrorConfig& config = options_.choice.config;
    if (!is_of_several()) {
      add_stream(own_directory(mirror_), own_slot_name(mirror_), conninfo, config.tables);
      if (table_list(streams_.front().tables).empty()) {
        throw ConfigError("no table to follow specified",
                          "name some with --table, or in a configuration");
      }
      return;
    }
    if (!options_.slot.empty())
      throw ConfigError("--slot names one slot, and there are sources",
                        "leave it out: each source has a slot of its own");
    for (const SourceConfig& source : config.sources) {
      const auto directory = open_stream(source.daystream).directory();
      if (!directory) continue;  // another host's
      add_stream(*directory, own_slot_name(mirror_, source.name),
                 source.connection.value_or(conninfo), source.tables);
    }
  }

  void add_stream(const fs::path& directory, const std::string& own, const std::string& conninfo,
                  const std::vector<TableRequest>& tables) {
    const std::string there = slot_in(directory);
    const std::string& made = there.empty() ? own : there;
    streams_.push_back({directory, options_.slot.empty() ? made : options_.slot, conninfo, tables});
  }

  void check_folder() const {
    const fs::path folder = fs::absolute(mirror_).parent_path();
    if (access(folder.c_str(), W_OK | X_OK) != 0) {
      throw daystream::IoError(fmt::format("could not write to folder \"{}\"", folder.string()),
                               errno);
    }
  }

  // All that can be wrong with what is asked for, before anything is made anywhere: a slot that
  // nobody reads fills the primary's disk.
  void check_new() {
    check_absent(mirror_);
    check_distinct({}, options_.choice.config.all_tables());
    for (const OwnStream& stream : streams_) check_tables(stream, stream.tables);
  }

  // PostgreSQL has `tables`, and they can be seeded from what the stream will hold.
  void check_tables(const OwnStream& stream, const std::vector<TableRequest>& tables) {
    daystream::Manifest planned;
    planned.name = stream.directory.filename().string();
    planned.holdings.push_back({.since = {}, .tables = filter_of(stream), .options = {}});
    if (options_.partition_root) {
      planned.holdings.back().options.emplace_back("partition-root", "on");
    }
    MirrorConfig config;
    config.tables = tables;
    SeedSession(stream.conninfo, planned, config, signals_).check();
  }

  // The stream goes on with what the mirror has, and takes up what it has not. Gives the latter.
  std::vector<TableRequest> join_tables() {
    if (is_of_several() || !options_.run.config_file.empty()) return {};  // the engine compares
    const std::vector<MirroredTable> tables = load_tables(open_for_reading(mirror_));
    std::vector<TableRequest>& asked = streams_.front().tables;
    std::vector<TableRequest> missing = missing_tables(tables, asked);
    for (const MirroredTable& table : tables) {
      if (table.is_static()) continue;
      asked.push_back(wish_of(table));
      asked.push_back(request_for(table));  // a rename in PostgreSQL is followed
    }
    check_distinct(tables, missing);
    if (!missing.empty()) check_tables(streams_.front(), missing);
    return missing;
  }

  // Tables are wished for in the file itself, and copied by its owner, now or later. A query
  // that nothing follows is run at once.
  void add(const std::vector<TableRequest>& missing) {
    std::vector<TableRequest> queries;
    {
      const MirrorLock owner(mirror_);
      Database db(mirror_, Database::Mode::ReadWrite);
      const std::string source = load_checkpoints(db).front().source;
      WriteTransaction transaction(db);
      for (TableRequest request : missing) {
        request.source = source;
        if (request.table.empty()) {
          queries.push_back(std::move(request));
        } else {
          save_table(db, absent_table(request));
        }
      }
      transaction.commit();
    }
    if (!queries.empty()) follow(std::move(queries));
  }

  void note_what_is_there() {
    for (const OwnStream& stream : streams_) {
      if (slot_in(stream.directory).empty() && !slot_exists(stream.conninfo, stream.slot)) {
        made_.push_back(stream);
      }
    }
  }

  // A configuration may name other tables at the next SIGHUP: then the stream holds all of them.
  std::string filter_of(const OwnStream& stream) const {
    return options_.run.config_file.empty() ? table_list(stream.tables) : "";
  }

  void start() {
    std::vector<int> fds = {signals_.fd()};
    for (const OwnStream& stream : streams_) {
      std::vector<std::string> argv = {find_program("deltastream"),
                                       "-S",
                                       stream.slot,
                                       "-D",
                                       stream.directory.string(),
                                       "--create-slot",
                                       "--if-not-exists",
                                       "--on-lost-slot",
                                       "replace"};
      const std::string tables = filter_of(stream);
      if (!tables.empty()) argv.insert(argv.end(), {"--tables", tables});
      if (options_.partition_root) argv.emplace_back("--partition-root");
      if (options_.adopt_slot) argv.emplace_back("--adopt-slot");
      if (!stream.conninfo.empty()) argv.insert(argv.end(), {"-d", stream.conninfo});
      children_.push_back(std::make_unique<Child>(argv));
      fds.push_back(children_.back()->fd());
    }
    wake_ = any_of(fds);
  }

  std::optional<int> ended() {
    for (const auto& child : children_) {
      if (const auto code = child->exit_code()) return code;
    }
    return std::nullopt;
  }
  bool stopped() { return signals_.stop_requested() || ended().has_value(); }

  // A deltastream makes its directory, a first line, and says what it holds by now, before anything
  // can be seeded.
  bool is_there(const OwnStream& stream) const {
    if (slot_in(stream.directory).empty() || !daystream::Stream(stream.directory).extent())
      return false;
    const daystream::Manifest manifest = daystream::Manifest::load(stream.directory);
    return manifest.holdings.back().tables == filter_of(stream);
  }

  void wait_for_streams() {
    const auto all = [this] {
      return std::all_of(streams_.begin(), streams_.end(),
                         [this](const OwnStream& stream) { return is_there(stream); });
    };
    while (!stopped() && !all()) {
      daystream::WaitSet{wake_.get()}.wait(std::chrono::milliseconds(50));
    }
  }

  void seed_first() {
    const daystream::Stream stream =
        is_of_several() ? daystream::Stream() : daystream::Stream(streams_.front().directory);
    // A stream that goes with a seed that fails leaves nothing to go on with.
    seed({mirror_, options_.run.conninfo.value_or(""), stream, options_.choice.config,
          made_.empty(), &*owner_},
         signals_);
  }

  void follow(std::vector<TableRequest> seed_now) {
    RunOptions run = options_.run;
    if (!is_of_several()) run.daystream = streams_.front().directory;
    run.seed_now = std::move(seed_now);
    run_mirror(run, {.stop_requested = [this] { return stopped(); },
                     .wake_fd = wake_.get(),
                     .signals = signals_});
  }

  // Before there is a mirror, nothing of what this run has made is of use to anybody.
  void undo() {
    const auto code = ended();
    children_.clear();  // each ends first
    for (const OwnStream& stream : made_) {
      try {
        std::optional<UniqueFd> writer;  // somebody else's by now, as another mirror's: it stays
        if (fs::exists(stream.directory)) writer = daystream::lock_directory(stream.directory);
        if (drop_slot(stream.conninfo, stream.slot)) {
          spdlog::info("dropped replication slot \"{}\": there is no mirror to follow it",
                       stream.slot);
        }
        fs::remove_all(stream.directory);
      } catch (const std::exception& e) {
        spdlog::warn(
            "replication slot \"{}\" was left behind, and keeps log at the server: {}; HINT: "
            "\"deltamirror down {}{}\" removes it",
            stream.slot, e.what(), mirror_, as_it_was_given());
      }
    }
    made_.clear();
    if (!fs::exists(mirror_)) owner_->remove_file();
    if (code && !signals_.stop_requested()) child_ended(*code);
  }

  // What "down" has to be given, too. A connection string may hold a password: it stays unsaid.
  std::string as_it_was_given() const {
    std::string arguments;
    if (is_of_several()) arguments += fmt::format(" --config {}", options_.run.config_file);
    if (!options_.run.conninfo.value_or("").empty()) arguments += " -d …";
    return arguments;
  }

  void say_what_stays() const {
    for (const OwnStream& stream : streams_) {
      spdlog::info(
          "replication slot \"{}\" stays, and PostgreSQL keeps its log for it: \"up\" again goes "
          "on, \"deltamirror down {}{}\" removes mirror, stream and slot",
          stream.slot, mirror_, as_it_was_given());
    }
  }

  const UpOptions& options_;
  daystream::program::Signals& signals_;
  const std::string mirror_;
  std::vector<OwnStream> streams_;
  std::vector<OwnStream> made_;  // by this run
  std::optional<MirrorLock> owner_;
  std::vector<std::unique_ptr<Child>> children_;
  UniqueFd wake_;
};

// Without PostgreSQL: a copy of a server's snapshot, then what came since.
int up_from(const UpOptions& options, daystream::program::Signals& signals) {
  RunOptions run = options.run;
  run.daystream = open_stream(options.from);
  const bool there = fs::exists(run.mirror);
  if (!there && !fetch_mirror(run.mirror, run.daystream, signals)) return 0;
  run_mirror(run, control_of(signals));
  return 0;
}

}  // namespace

int up(const UpOptions& options, daystream::program::Signals& signals) {
  return Up(options, signals).run();
}

void add_up(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<UpOptions>();
  CLI::App& command = *app.add_subcommand("up", "start deltastream, seed where needed, and follow");
  add_mirror_option(command, options->run.mirror);
  add_connection_option(command, options->run.conninfo);
  command.add_option(
      "-S,--slot", options->slot,
      "replication slot (default: one of its own, by this host and the file's path)");
  command.add_flag("--adopt-slot", options->adopt_slot,
                   "take a slot that another daystream has read from, which cannot go on then");
  command.add_flag("--partition-root", options->partition_root,
                   "follow partitioned tables as one, as deltastream --partition-root does");
  add_following_options(command, options->run);
  add_table_choice(command, options->choice);
  add_from_option(command, options->from);
  command.footer(
      "Examples:\n"
      "  deltamirror up flights.db -d service=prod --table flights\n"
      "      all in one: starts deltastream, seeds, follows; again to go on\n"
      "  deltamirror up flights.db --from https://stream1:8447/prod\n"
      "      all in one without PostgreSQL: a copy of that server's newest snapshot, then what "
      "came\n"
      "      since");
  command.callback([options, &command, &chosen] {
    take_table_choice(command, options->choice, options->from);
    options->run.config_file = options->choice.config_file;
    if (options->from.empty() && !options->run.conninfo) options->run.conninfo = "";
    chosen = [options](daystream::program::Signals& signals) {
      const auto metrics = metrics_of(options->run);
      return options->from.empty() ? up(*options, signals) : up_from(*options, signals);
    };
  });
}

}  // namespace deltamirror
