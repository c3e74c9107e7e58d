#include "up/up.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>

#include "config/source_places.h"
#include "daystream/reader.h"
#include "model/names.h"
#include "program/hint.h"
#include "program/postgres.h"
#include "program/writable.h"
#include "remote/http_client.h"
#include "seed/requests.h"
#include "seed/seed.h"
#include "snapshot/from_snapshot.h"
#include "src/lock.h"
#include "src/place.h"
#include "src/waiting.h"
#include "store/checkpoint.h"
#include "store/mirror_file.h"
#include "store/mirror_lock.h"
#include "store/mirrored_table.h"
#include "up/behind.h"
#include "up/check_up.h"
#include "up/own_stream.h"
#include "up/plan.h"
#include "up/publishing.h"
#include "up/streamers.h"

namespace deltamirror {

namespace fs = std::filesystem;
using daystream::ConfigError;
using daystream::UniqueFd;

namespace {

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
    streams_ = plan_streams(options_);
    if (!fs::exists(mirror_)) {
      check_folder();
      check_not_half_removed();
    }
    // Before anything is looked at that another one may be making, and until all is made.
    owner_.emplace(mirror_);
    std::vector<TableRequest> missing;
    try {
      const bool is_new = !fs::exists(mirror_);
      needs_all_ = is_new;
      if (is_new) {
        check_new();
      } else {
        missing = join_tables();
      }
      for (OwnStream& stream : streams_) prepare(stream, is_new ? stream.tables : missing);
      start();
      wait_for_streams();
      if (is_new && !stopped()) seed_first();
    } catch (...) {
      undo();
      throw;
    }
    if (!fs::exists(mirror_)) undo();
    owner_.reset();
    needs_all_ = false;  // as the seed is done
    if (!missing.empty() && !stopped()) add(missing);
    if (!stopped()) follow({});
    if (fs::exists(mirror_)) say_what_stays();
    throw_failure();
    return 0;
  }

 private:
  bool is_of_several() const { return !options_.choice.config.sources.empty(); }

  void check_folder() const {
    daystream::program::require_writable(fs::absolute(mirror_).parent_path());
  }

  void check_not_half_removed() const {
    if (!fs::exists(name_of_removal(daystream::real_name(mirror_)))) return;
    throw daystream::NeedsPerson(
        fmt::format(
            "mirror \"{}\" is half removed: \"deltamirror down\" was begun, and has not come "
            "to its end",
            mirror_),
        fmt::format("\"deltamirror down {}{}\" finishes it", mirror_, as_it_was_given()));
  }

  // All that can be wrong with what is asked for, before anything is made anywhere: a slot that
  // nobody reads fills the primary's disk.
  void check_new() {
    check_absent(mirror_);
    check_distinct({}, options_.choice.config.all_tables());
    for (const OwnStream& stream : streams_) {
      check_tables(options_, stream, stream.tables, signals_);
    }
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
    if (!missing.empty()) check_tables(options_, streams_.front(), missing, signals_);
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

  // What is there is noted, and what a stream without our plugin needs is made. `tables`: those
  // that come into it now. A stream that is there goes on without the server, and waits for it.
  void prepare(OwnStream& stream, const std::vector<TableRequest>& tables) {
    const bool is_there = !slot_in(stream.directory).empty();
    if (is_there) stream.publication = publication_in(stream.directory);
    if (is_there && stream.publication.empty() && options_.publication.empty()) return;
    try {
      prepare_at_server(stream, wanted(stream, tables));
    } catch (const daystream::program::NotConnected& e) {
      if (!is_there) throw;
      spdlog::warn("could not look whether the publication has the tables: {}", e.what());
    }
  }

  void prepare_at_server(OwnStream& stream, std::vector<TableRequest> tables) {
    const daystream::program::PgConn session =
        daystream::program::connect(stream.conninfo, "deltamirror");
    PGconn* const pg = session.get();
    const Ways ways = choose_source(options_, stream, pg);
    // Somebody has dropped it, as a "down" that did not come to its end.
    const bool is_gone = !stream.publication.empty() &&
                         find_publication(pg, stream.publication) == Publication::None;
    if (is_gone) tables = stream.tables;
    if (!stream.publication.empty()) check_publishing(pg, stream, tables);
    if (slot_in(stream.directory).empty() && !plugin_of_slot(pg, stream.slot)) {
      made_.push_back(stream);
    }
    if (!stream.publication.empty()) publish_tables(pg, stream, ways, tables);
  }

  // A configuration says all that it is about.
  const std::vector<TableRequest>& wanted(const OwnStream& stream,
                                          const std::vector<TableRequest>& tables) const {
    return options_.run.config_file.empty() ? tables : stream.tables;
  }

  void publish_tables(PGconn* pg, OwnStream& stream, const Ways& ways,
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

  void start() {
    for (const OwnStream& stream : streams_) {
      streamers_.start({stream.source, deltastream_command(options_, stream), stream.directory});
    }
  }

  // Called on a thread of theirs. Until the mirror is made each of them is needed; then sources do
  // not depend on each other.
  void hear_failure(const std::string& source) {
    const auto failures = streamers_.failures();
    const std::size_t sources = std::max<std::size_t>(options_.choice.config.sources.size(), 1);
    if (needs_all_ || failures.size() >= sources) {
      is_over_ = true;
      return over_.wake();
    }
    const auto failure = failures.find(source);
    if (failure == failures.end()) return;
    try {
      std::rethrow_exception(failure->second);
    } catch (const daystream::Error& e) {
      spdlog::error("{}", daystream::program::with_hint(
                              fmt::format("{}; the other sources go on", e.what()), e.hint()));
    }
  }
  bool stopped() const { return signals_.stop_requested() || is_over_; }
  // What it ends with where nobody has asked it to.
  void throw_failure() const {
    const auto failures = streamers_.failures();
    if (is_over_ && !signals_.stop_requested() && !failures.empty()) {
      std::rethrow_exception(failures.begin()->second);
    }
  }

  // A deltastream makes its directory, a first line, and says what it holds by now, before anything
  // can be seeded.
  bool is_there(const OwnStream& stream) const {
    if (slot_in(stream.directory).empty() || !daystream::Stream(stream.directory).extent())
      return false;
    const daystream::Holding held = daystream::Manifest::load(stream.directory).holdings.back();
    if (stream.publication.empty()) return held.tables == filter_of(options_, stream);
    return std::all_of(stream.published.begin(), stream.published.end(),
                       [&](const std::string& table) { return held.holds(table); });
  }

  // What a mirror has already needs no new line of a deltastream that is given up.
  void wait_for_streams() {
    const auto all = [this] {
      const auto failures = streamers_.failures();
      for (const OwnStream& stream : made_) {
        const auto failure = failures.find(stream.source);
        if (failure != failures.end() && !stopped()) std::rethrow_exception(failure->second);
      }
      return std::all_of(streams_.begin(), streams_.end(), [&](const OwnStream& stream) {
        return failures.contains(stream.source) || is_there(stream);
      });
    };
    while (!stopped() && !all()) {
      daystream::WaitSet{signals_.fd(), over_.fd()}.wait(std::chrono::milliseconds(50));
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
    run.end.seed_now = std::move(seed_now);
    run_mirror(run, {.stop = {[this] { return stopped(); }, ends_.fd()}, .signals = signals_});
  }

  // Before there is a mirror, nothing of what this run has made is of use to anybody.
  void undo() {
    const auto failures = streamers_.failures();
    streamers_.stop_all();  // each ends first
    for (const OwnStream& stream : made_) {
      try {
        std::optional<UniqueFd> writer;  // somebody else's by now, as another mirror's: it stays
        if (fs::exists(stream.directory)) writer = daystream::lock_directory(stream.directory);
        if (drop_slot(stream)) {
          spdlog::info("dropped replication slot \"{}\": there is no mirror to follow it",
                       stream.slot);
        }
        for (const std::string& thing : unpublish(stream.conninfo, stream.publication)) {
          spdlog::info("removed {}", thing);
        }
        fs::remove_all(stream.directory);
      } catch (const std::exception& e) {
        spdlog::warn(
            "replication slot \"{}\" was left behind, and keeps log at the server: {}", stream.slot,
            daystream::program::with_hint(
                e.what(),
                fmt::format("\"deltamirror down {}{}\" removes it", mirror_, as_it_was_given())));
      }
    }
    made_.clear();
    if (!fs::exists(mirror_)) owner_->remove_file();
    if (!failures.empty() && !signals_.stop_requested()) {
      std::rethrow_exception(failures.begin()->second);
    }
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
  std::atomic<bool> needs_all_ = false;  // a deltastream that is given up ends all
  std::atomic<bool> is_over_ = false;    // and one was
  const daystream::WakeFd over_;
  const daystream::AnyOf ends_{signals_.fd(), over_.fd()};
  Streamers streamers_{signals_.stop(), [this](const auto& source) {
                         hear_failure(source);
                       }};  // last: uses the others
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

// A server that cannot be reached is one of the things that a check says.
UpOptions looked_behind(const UpOptions& options) {
  try {
    return with_sources_behind(options);
  } catch (const daystream::program::NotConnected&) {
    return options;
  }
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
  command.add_option(
      "--publication", options->publication,
      "stream from this publication by PostgreSQL's own plugin (default: one that is "
      "made for the mirror, where the server does not have ours)");
  command.add_flag("--check", options->check,
                   "only look: what is there, what will be made, which rights "
                   "are missing and what grants them");
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
    if (options->check && !options->from.empty())
      usage("--check looks at PostgreSQL: not with --from");
    chosen = [options](daystream::program::Signals& signals) {
      if (options->check) return check_up(looked_behind(*options), signals);
      if (options->from.empty()) *options = with_sources_behind(*options);
      const auto metrics = metrics_of(options->run);
      const auto healthz = healthz_of(options->run);
      return options->from.empty() ? up(*options, signals) : up_from(*options, signals);
    };
  });
}

}  // namespace deltamirror
