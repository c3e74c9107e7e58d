#include "up/up.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>

#include "config/source_places.h"
#include "daystream/manifest.h"
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
#include "store/last_events.h"
#include "store/mirror_file.h"
#include "store/mirror_lock.h"
#include "store/mirrored_table.h"
#include "up/behind.h"
#include "up/check_up.h"
#include "up/own_stream.h"
#include "up/plan.h"
#include "up/source_streams.h"
#include "up/stream_maker.h"
#include "up/up_record.h"

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
    std::vector<OwnStream> streams = plan_streams(options_);
    if (!fs::exists(mirror_)) {
      check_folder();
      check_not_half_removed();
    }
    // Before anything is looked at that another one may be making, and until all is made.
    owner_.emplace(mirror_);
    try {
      make_and_follow(streams);
    } catch (...) {
      const auto failure = streams_->why_over();
      remember_failures();
      undo();
      if (failure != nullptr) std::rethrow_exception(failure);
      throw;
    }
    const auto failure = streams_->why_over();
    remember_failures();
    undo();
    if (fs::exists(mirror_)) say_what_stays(streams);
    if (failure != nullptr) std::rethrow_exception(failure);
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
        fmt::format("\"deltamirror down {}{}\" finishes it", mirror_, maker_.as_it_was_given()));
  }

  void make_and_follow(std::vector<OwnStream>& streams) {
    const bool is_new = !fs::exists(mirror_);
    std::vector<TableRequest> missing;
    if (is_new) {
      check_absent(mirror_);
      check_distinct({}, options_.choice.config.all_tables());
    } else {
      missing = join_tables(streams.front());
    }
    maker_.check(streams);
    for (OwnStream& stream : streams) maker_.prepare(stream, is_new ? stream.tables : missing);
    using Need = SourceStreams::Need;
    streams_->begin(streams, is_new ? Need::All : Need::Any);
    if (is_new && !stopped()) seed_first(streams.front());
    if (!fs::exists(mirror_)) return;
    streams_->set_need(Need::Any);
    owner_.reset();
    if (options_.only_add) {
      if (!stopped()) follow(std::move(missing));
      return;
    }
    if (!missing.empty() && !stopped()) add(missing);
    streams_->let_go({}, {});  // what was removed while nobody ran goes from the stream
    if (!stopped()) follow({});
  }

  bool stopped() const { return streams_->stopped(); }

  // The stream goes on with what the mirror has, and takes up what it has not. Gives the latter.
  std::vector<TableRequest> join_tables(OwnStream& stream) {
    if (is_of_several() || !options_.run.config_file.empty()) return {};  // the engine compares
    const std::vector<MirroredTable> tables = load_tables(open_for_reading(mirror_));
    std::vector<TableRequest>& asked = stream.tables;
    std::vector<TableRequest> missing = missing_tables(tables, asked);
    follow_too(asked, tables);
    check_distinct(tables, missing);
    if (!missing.empty()) check_tables(options_, stream, missing, signals_);
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

  void seed_first(const OwnStream& first) {
    const daystream::Stream stream =
        is_of_several() ? daystream::Stream() : daystream::Stream(first.directory);
    // A stream that goes with a seed that fails leaves nothing to go on with.
    seed({mirror_, options_.run.conninfo.value_or(""), stream, options_.choice.config,
          !maker_.has_made_any(), &*owner_},
         signals_);
  }

  void follow(std::vector<TableRequest> seed_now) {
    RunOptions run = options_.run;
    if (!is_of_several()) run.daystream = own_directory(mirror_);
    run.keeper = streams_;
    run.end.seed_now = std::move(seed_now);
    const daystream::AnyOf ends{signals_.fd(), streams_->stop_fd()};
    run_mirror(run, {.stop = {[this] { return stopped(); }, ends.fd()}, .signals = signals_});
  }

  // For who asks how the mirror is once this process has ended.
  void remember_failures() {
    const auto failures = streams_->failures();
    if (failures.empty() || signals_.stop_requested() || !fs::exists(mirror_)) return;
    try {
      if (!owner_) owner_.emplace(mirror_);
      Database db = open_owned(mirror_);
      for (const Checkpoint& at : load_checkpoints(db)) {
        const auto failure = failures.find(is_of_several() ? at.source : "");
        if (failure != failures.end()) remember_failure(db, at.source, failure->second);
      }
    } catch (const daystream::Error& e) {
      spdlog::debug("could not write down why the streams are not written: {}", e.what());
    }
  }

  // What this run has made, and no mirror needs, is of no use to anybody.
  void undo() {
    streams_->end();  // each at a commit
    maker_.undo_unused();
    if (!fs::exists(mirror_) && owner_) owner_->remove_file();
  }

  void say_what_stays(const std::vector<OwnStream>& streams) const {
    std::vector<OwnStream> all = streams;
    for (OwnStream& left : maker_.left(streams)) all.push_back(std::move(left));
    for (const OwnStream& stream : all) maker_.say_that_it_stays(stream);
  }

  const UpOptions& options_;
  daystream::program::Signals& signals_;
  const std::string mirror_;
  std::optional<MirrorLock> owner_;
  StreamMaker maker_{options_, signals_};
  std::shared_ptr<SourceStreams> streams_ =
      std::make_shared<SourceStreams>(options_, maker_, signals_);
};

[[noreturn]] void refuse_addition(const std::string& mirror) {
  throw ConfigError(
      fmt::format("\"up\" has made mirror \"{}\" with a configuration, and does not run", mirror),
      "name the table in the configuration, and start \"up\" again");
}

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

bool add_to_up(const TableCommand& command, const MirrorConfig& config,
               daystream::program::Signals& signals) {
  const std::vector<OwnStream> streams = recorded(command.mirror);
  if (streams.empty()) return false;
  const OwnStream& stream = streams.front();
  if (streams.size() > 1 || !stream.source.empty()) refuse_addition(command.mirror);
  if (slot_in(stream.directory).empty()) return false;
  const daystream::Holding held = daystream::Manifest::load(stream.directory).holdings.back();
  UpOptions options;
  options.run.mirror = command.mirror;
  options.run.conninfo = command.places.conninfo.value_or(stream.conninfo);
  options.choice.config = config;
  options.partition_root = held.by_root();
  options.holds_all = held.tables.empty();
  options.only_add = true;
  up(options, signals);
  return true;
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
