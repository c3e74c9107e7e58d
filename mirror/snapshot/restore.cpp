#include "snapshot/restore.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <optional>
#include <vector>

#include "apply/applier.h"
#include "apply/holding.h"
#include "apply/same_source.h"
#include "config/source_places.h"
#include "daystream/reader.h"
#include "program/figures.h"
#include "remote/fetch.h"
#include "snapshot/from_snapshot.h"
#include "snapshot/goal.h"
#include "snapshot/rotation.h"
#include "snapshot/take.h"
#include "store/checkpoint.h"
#include "store/mirror_file.h"
#include "store/mirror_lock.h"
#include "store/mirrored_table.h"

namespace deltamirror {

namespace {

namespace fs = std::filesystem;
using daystream::ConfigError;
using daystream::Error;
using daystream::NeedsPerson;
using daystream::Reader;
using daystream::Transaction;
using std::chrono::steady_clock;
namespace remote = daystream::remote;

// Nobody reads the file yet: a commit only bounds what a statement journal holds.
constexpr std::uint64_t kCommitChanges = 100'000;
constexpr std::chrono::seconds kBetweenNews{5};

[[noreturn]] void stopped() {
  throw Error("stopped before the mirror was restored", "the same command does it again");
}

// Of the sources that the goal is about.
std::vector<Checkpoint> checkpoints_of(const std::string& snapshot, const RestoreOptions& options,
                                       const Goal& goal) {
  const Database db = open_for_reading(snapshot);
  if (!options.source.empty()) return {load_checkpoint(db, options.source)};
  std::vector<Checkpoint> all = load_checkpoints(db);
  if (all.size() > 1 && !goal.is_for_all()) {
    throw ConfigError(
        fmt::format("cannot restore the sources {} to {}: it is a place of one of them",
                    names_of(all), goal.text()),
        "name a time, to which all are brought, or say which one with --source NAME");
  }
  return all;
}

// The one that has more than is wanted; nullptr: none has.
const Checkpoint* passed(const std::vector<Checkpoint>& all, const Goal& goal) {
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const Checkpoint& at) { return goal.is_passed_by(at); });
  return found == all.end() ? nullptr : &*found;
}

[[noreturn]] void several_mirrors(const std::string& place, const std::string& one,
                                  const std::string& other, const char* hint) {
  throw ConfigError(fmt::format("\"{}\" holds snapshots of several mirrors: \"{}\" and \"{}\"",
                                place, one, other),
                    hint);
}

[[noreturn]] void all_too_late(const std::string& place, const Goal& goal) {
  throw NeedsPerson(fmt::format("each snapshot in \"{}\" is later than {}", place, goal.text()),
                    "only PostgreSQL's own backups reach further back");
}

// The newest snapshot of a directory that `goal` does not lie before.
std::string newest_before(const RestoreOptions& options, const Goal& goal) {
  const std::string& directory = options.snapshot;
  std::optional<SnapshotName> best;
  std::string file;
  std::string stem;
  bool any = false;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    const auto name = parse_snapshot_name(entry.path().filename().string());
    if (!name) continue;
    if (any && name->stem != stem)
      several_mirrors(directory, stem, name->stem, "name one snapshot");
    any = true;
    stem = name->stem;
    if (best && best->seconds > name->seconds) continue;
    if (passed(checkpoints_of(entry.path(), options, goal), goal) != nullptr) continue;
    best = name;
    file = entry.path();
  }
  if (best) return file;
  if (!any)
    throw Error(fmt::format("\"{}\" holds no snapshot", directory),
                "name the directory that \"deltamirror snapshot\" was given");
  all_too_late(directory, goal);
}

bool is_elsewhere(const std::string& snapshot) {
  return snapshot.find("://") != std::string::npos;
}

// The newest snapshot of a place elsewhere that `goal` does not lie before, as the file `to`. Where
// that is known only by looking into them, few are fetched: an older one is at an earlier place.
void fetch_newest_before(const RestoreOptions& options, const Goal& goal, const std::string& to,
                         const daystream::Stop& stop) {
  const auto place =
      remote::snapshot_place(remote::options_from_environment(), options.snapshot, stop);
  const std::vector<remote::ListedSnapshot> listed = place->list();
  for (const auto& each : listed) {
    if (each.mirror == listed.front().mirror) continue;
    several_mirrors(options.snapshot, listed.front().mirror, each.mirror,
                    "fetch one of them, and name the file");
  }
  const remote::ListedSnapshot* fetched = nullptr;
  const auto fetch = [&](const remote::ListedSnapshot& wanted) {
    if (fetched == &wanted) return;
    remove_loading_files(options.out);
    spdlog::info("fetching snapshot {} of {}", wanted.key, options.snapshot);
    remote::Fetched facts;
    if (!remote::fetch_snapshot(*place, wanted, to, stop, facts)) stopped();
    fetched = &wanted;
    check_fetched(to, stop);
  };
  const auto is_too_late = [&](const remote::ListedSnapshot& each) {
    fetch(each);
    return passed(checkpoints_of(to, options, goal), goal) != nullptr;
  };
  auto chosen = listed.begin();
  if (const auto second = goal.second()) {
    const auto is_older = [&](const auto& each) { return each.taken <= *second; };
    chosen = std::find_if(listed.begin(), listed.end(), is_older);
    if (chosen == listed.end()) --chosen;  // clocks differ
  }
  if (is_too_late(*chosen)) chosen = std::partition_point(chosen + 1, listed.end(), is_too_late);
  if (chosen == listed.end()) all_too_late(options.snapshot, goal);
  fetch(*chosen);
}

std::string snapshot_for(const RestoreOptions& options, const Goal& goal) {
  if (fs::is_directory(options.snapshot)) return newest_before(options, goal);
  if (!fs::exists(options.snapshot)) {
    throw Error(fmt::format("snapshot \"{}\" does not exist", options.snapshot),
                "name one, or the directory that \"deltamirror snapshot\" was given");
  }
  const std::vector<Checkpoint> all = checkpoints_of(options.snapshot, options, goal);
  if (const Checkpoint* const at = passed(all, goal)) {
    throw NeedsPerson(fmt::format("snapshot \"{}\" is at {} ({}, {}), which is after {}",
                                  options.snapshot, at->position.text(), at->lsn.text(),
                                  at->commit_time.empty() ? "-" : at->commit_time, goal.text()),
                      "name an older snapshot, or the directory with all of them");
  }
  return options.snapshot;
}

// A copy of pages carries their damage along, and who reads the mirror would find it on another
// day.
void check_whole(Database& db, const std::string& snapshot) {
  db.exec("PRAGMA cell_size_check = ON");
  const auto found = db.value("PRAGMA quick_check(1)");
  if (found == "ok") return;
  throw NeedsPerson(
      fmt::format("snapshot \"{}\" is damaged: {}", snapshot, found.value_or("it cannot be read")),
      "name an older one: --snapshot takes a file, too");
}

// Takes up what belongs to the goal. Throws where the stream does not reach it.
void replay(Database& db, const RestoreOptions& options, const SourcePlace& place, const Goal& goal,
            const daystream::program::Signals& signals) {
  const Checkpoint& start = place.at;
  if (goal.is_passed_by(start)) {
    throw NeedsPerson(fmt::format("source \"{}\" of snapshot \"{}\" is at {}, which is after {}",
                                  start.source, options.snapshot, start.commit_time, goal.text()),
                      "name an older snapshot");
  }
  Reader reader(place.daystream, {start.position, start.lsn});
  check_same_source(reader.manifest(), place.daystream.address(), start, options.snapshot);
  check_reaches(place.daystream, start);
  const daystream::Holding* holding = reader.manifest().holding_at(start.position);
  Applier applier(db, holding == nullptr ? std::nullopt : std::optional(*holding), signals.stop(),
                  place.at.source);
  bool passed = false;
  auto reported = steady_clock::now();
  while (Transaction* const transaction = reader.next()) {
    passed = goal.is_passed_by(*transaction);
    if (passed) break;
    if (!applier.apply(*transaction) || signals.stop_requested()) stopped();
    if (applier.pending_changes() >= kCommitChanges && applier.may_commit()) applier.commit();
    if (steady_clock::now() - reported < kBetweenNews) continue;
    reported = steady_clock::now();
    spdlog::info("restoring: {} ({}), {} changes, {} MiB of what is there to go",
                 applier.reached().position.text(), applier.reached().lsn.text(),
                 applier.applied_changes(), reader.backlog_bytes() >> 20);
  }
  if (applier.may_commit()) applier.commit();  // of the file that nobody sees yet
  const Checkpoint& at = applier.reached();
  if (!passed && !goal.is_reached_by(at)) {
    throw Error(
        fmt::format("daystream \"{}\" ends at {} ({}), before {}", place.daystream.address(),
                    at.position.text(), at.lsn.text(), goal.text()),
        "name an earlier place, \"--to latest\", or wait until it has come so far");
  }
  if (!applier.may_commit()) {
    throw NeedsPerson(
        fmt::format("cannot restore to {}: the seed behind \"{}\" saw transactions up to {}",
                    goal.text(), options.snapshot, at.consistent_at.text()),
        "name a later place");
  }
  spdlog::info("restored to {} ({}), {} after the snapshot", applier.committed().position.text(),
               applier.committed().lsn.text(),
               daystream::program::counted(applier.applied_transactions(), "transaction"));
}

}  // namespace

void restore(const RestoreOptions& options, const daystream::program::Signals& signals) {
  const Goal goal = Goal::parse("--to", options.to, std::time(nullptr));
  check_absent(options.out);
  const bool elsewhere = is_elsewhere(options.snapshot);
  const std::string snapshot = elsewhere ? options.snapshot : snapshot_for(options, goal);
  MirrorLock owner(options.out);
  const std::string loading = loading_name(options.out);
  try {
    check_absent(options.out);
    remove_loading_files(options.out);
    spdlog::info("restoring from \"{}\" to {}", snapshot, goal.text());
    if (elsewhere) {
      fetch_newest_before(options, goal, loading, signals.stop());
    } else {
      // Through SQLite: what was named may be a mirror that runs.
      take_snapshot({.mirror = snapshot, .out = loading, .form = SnapshotForm::Raw, .keep = {}},
                    signals);
    }
    Database db = open_for_loading(options.out, Loading::GoOn);
    db.give_up_when(signals.stop());
    if (!elsewhere) check_whole(db, snapshot);
    std::vector<SourcePlace> places = source_places(db, {.config_file = options.config_file,
                                                         .source = {},
                                                         .daystream = options.daystream,
                                                         .conninfo = {}});
    const auto is_named = [&](const SourcePlace& p) { return p.at.source == options.source; };
    std::stable_partition(places.begin(), places.end(), is_named);
    Goal next = goal;
    for (const SourcePlace& place : places) {
      replay(db, options, place, next, signals);
      if (!is_named(place) || places.size() == 1) continue;
      const std::string time = load_checkpoint(db, options.source).commit_time;
      if (time.empty()) throw NeedsPerson("no transaction says which time that is", "name a time");
      next = Goal::parse("--to", time, std::time(nullptr));
    }
    publish(std::move(db), options.out);
  } catch (...) {
    // Nothing of a failed restore stays; the error goes on.
    remove_loading_files(options.out);
    owner.remove_file();
    throw;
  }
}

}  // namespace deltamirror
