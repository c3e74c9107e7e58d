#include "status/mirror_status.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "config/command_record.h"
#include "config/fleet_config.h"
#include "config/made_streams.h"
#include "config/source_places.h"
#include "daystream/error.h"
#include "daystream/stream.h"
#include "filter/row_filter.h"
#include "history/history_tables.h"
#include "model/shell_word.h"
#include "program/disk_space.h"
#include "program/harmless.h"
#include "program/hint.h"
#include "program/metrics_text.h"
#include "program/stream_health.h"
#include "snapshot/rotation.h"
#include "src/calendar.h"
#include "src/dir.h"
#include "store/checkpoint.h"
#include "store/last_events.h"
#include "store/mirror_file.h"
#include "store/mirror_lock.h"
#include "store/mirrored_table.h"
#include "store/shared_table.h"
#include "store/wal_keeper.h"

namespace deltamirror {

namespace {

using nlohmann::ordered_json;

// Also an idle source is heard of every 10 s or so: of one that is not nobody knows what it has.
constexpr double kSilentAfterSeconds = 25;

// Who asks how a mirror is does not wait for a server that hangs.
constexpr std::chrono::seconds kAnswerWithin{3};

// A time as the mirror has it, 2026-11-21 10:15:04.123456, for machines; empty: there is none.
std::string time_text(std::string time) {
  if (time.size() <= 10) return {};
  time[10] = 'T';
  return time + 'Z';
}

ordered_json time_json(const std::string& time) {
  std::string text = time_text(time);
  return text.empty() ? ordered_json() : ordered_json(std::move(text));
}

std::string state_of(const MirroredTable& table) {
  return table.is_static() ? "static" : state_name(table.standing.state);
}

bool is_in_trouble(const MirroredTable& table) {
  return !table.is_static() && !table.is_followed();
}

// Why it is not as it should be.
std::string trouble_of(const MirroredTable& table) {
  const TableStanding& standing = table.standing;
  std::string text = fmt::format("table {} is {}", shown_name(table), state_of(table));
  if (!standing.since.empty()) text += " since " + time_text(standing.since);
  if (!standing.reason.empty()) text += ": " + standing.reason;
  return daystream::program::with_hint(std::move(text), standing.hint);
}

ordered_json table_json(const Database& db, const MirroredTable& table, bool rows, bool analyzed) {
  ordered_json out;
  out["name"] = shown_name(table);
  out["source"] = table.source;
  out["source_table"] = table.is_static() ? ordered_json() : ordered_json(table.source_table);
  out["kind"] = table.is_static() ? "static" : "followed";
  if (table.mode != TableMode::Mirror) out["mode"] = mode_name(table.mode);
  if (table.kept.days != 0) out["keep_days"] = table.kept.days;
  if (table.choice.where) out["where"] = table.choice.where->text(table.shape);
  if (!table.choice.query.empty()) out["query"] = table.choice.query;
  const TableStanding& standing = table.standing;
  out["state"] = state_of(table);
  if (!standing.reason.empty()) out["reason"] = standing.reason;
  if (!standing.hint.empty()) out["hint"] = standing.hint;
  if (!standing.since.empty()) out["since"] = time_json(standing.since);
  out["seeded_at"] = time_json(table.seed.at);
  out["seeded_rows"] = table.seed.rows;
  out["written_rows"] = table.seed.written_rows;
  const auto change =
      table.is_static() ? std::nullopt : load_change(db, table.source, table.shape.oid);
  out["last_change_at"] = change ? time_json(change->at) : nullptr;
  if (analyzed) {
    // As of the last ANALYZE, which the owner runs after the seed and every few hours.
    Statement about =
        db.prepare("SELECT max(CAST(stat AS INTEGER)) FROM sqlite_stat1 WHERE tbl = ?");
    about.bind(1, table.name);
    if (about.step() && !about.is_null(0)) out["about_rows"] = about.integer(0);
  }
  if (rows) {
    out["rows"] = std::stoll(db.value(fmt::format("SELECT count(*) FROM {}{}",
                                                  quote_name(shown_name(table)), where_own(table)))
                                 .value());
  }
  return out;
}

// What the source is read from.
struct StreamNow {
  std::optional<daystream::Lsn> end;          // on disk; nullopt: that cannot be asked now
  daystream::program::StreamHealth streamer;  // well where no deltastream is known
};

StreamNow look_at_stream(const std::string& address, bool ask_server) {
  StreamNow now;
  try {
    const daystream::Stream stream = open_stream(address, kAnswerWithin);
    const auto directory = stream.directory();
    if (!directory && !ask_server) return now;
    if (const auto extent = stream.extent()) now.end = extent->last_lsn;
    if (!directory) return now;
    const auto told = daystream::program::read_streamer_status(*daystream::real_dir(*directory));
    if (told) now.streamer = daystream::program::streamer_health(told, std::time(nullptr));
  } catch (const daystream::Error&) {
    // A server that does not answer is no reason to say nothing of the mirror.
  }
  return now;
}

// A source, and what can be said of it.
class SourceNow {
 public:
  SourceNow(const Database& db, Checkpoint at, const StatusQuestions& ask)
      : at_(std::move(at)), stream_(look_at_stream(at_.directory, ask.stream)) {
    const auto found = ask.unstored.find(at_.source);
    error_ =
        found == ask.unstored.end() ? load_error(db, at_.source) : std::optional(found->second);
    const auto told = ask.streams.find(at_.source);
    streamer_ = told == ask.streams.end() ? deltamirror::stream_trouble(name())
                                          : std::optional(told->second);
    if (const auto age = at_.age()) age_s_ = static_cast<double>(age->count()) / 1e6;
  }

  const std::string& name() const noexcept { return at_.source; }
  const Checkpoint& at() const noexcept { return at_; }
  std::string state() const {
    if (error_ && error_->after == AfterError::Waiting) return "waiting";
    if (error_ && error_->after == AfterError::Stopped) return "stopped";
    return at_.lsn >= at_.consistent_at ? "following" : "seeded";
  }
  // The age of what is here: none where the mirror is followed, has all that the stream has, and
  // has heard of the source just now. nullopt: not known.
  std::optional<double> lag_s() const {
    return age_s_ && trouble().empty() && !is_behind() && !is_silent() ? 0.0 : age_s_;
  }
  // Why it is not followed; empty: it is.
  std::string trouble() const {
    if (!error_ || error_->after == AfterError::None) return {};
    return fmt::format("source \"{}\" is {} since {}: {}", name(), state(), time_text(error_->at),
                       daystream::program::with_hint(error_->message, error_->hint));
  }
  // A mirror can be level with a stream that nobody writes. Empty: it is written, or was until now.
  std::string stream_trouble() const {
    if (streamer_) {
      return daystream::program::with_hint(
          fmt::format("the stream of source \"{}\" is not written: {} (since {})", name(),
                      streamer_->message, time_text(streamer_->at)),
          streamer_->hint);
    }
    if (!stream_.streamer.is_written) {
      return fmt::format("the stream of source \"{}\" is not written: {}", name(),
                         stream_.streamer.text());
    }
    if (!stream_.end || is_behind() || !is_silent()) return {};
    return daystream::program::with_hint(
        fmt::format("nothing has been heard of source \"{}\" for {:.0f} s", name(), *age_s_),
        fmt::format("look at what writes daystream \"{}\"", at_.directory));
  }
  // Who runs the deltastream knows best.
  bool stream_needs_person() const {
    return streamer_ ? streamer_->after == AfterError::Stopped : stream_.streamer.needs_person;
  }
  ordered_json json() const {
    ordered_json out;
    out["source"] = name();
    out["daystream"] = at_.directory;
    out["system_identifier"] = at_.system_identifier;
    out["database"] = at_.database;
    out["timeline"] = at_.timeline;
    out["position"] = at_.position.text();
    out["lsn"] = at_.lsn.text();
    out["consistent_at"] = at_.consistent_at.text();
    out["state"] = state();
    out["commit_time"] = time_json(at_.commit_time);
    out["applied_at"] = time_json(at_.applied_at);
    out["complete_to"] = time_json(at_.complete_to);
    const auto& end = stream_.end;
    out["daystream_lsn"] = end ? ordered_json(end->text()) : ordered_json();
    out["lag_bytes"] =
        end ? ordered_json(is_behind() ? end->value - at_.lsn.value : 0) : ordered_json();
    const auto lag = lag_s();
    out["lag_seconds"] = lag ? ordered_json(*lag) : ordered_json();
    out["last_error"] = error_ ? ordered_json(error_->message) : ordered_json();
    out["last_hint"] =
        error_ && !error_->hint.empty() ? ordered_json(error_->hint) : ordered_json();
    out["last_error_at"] = error_ ? time_json(error_->at) : nullptr;
    return out;
  }

 private:
  bool is_behind() const { return stream_.end && *stream_.end > at_.lsn; }
  bool is_silent() const { return age_s_ && *age_s_ > kSilentAfterSeconds; }

  Checkpoint at_;
  StreamNow stream_;
  std::optional<LastError> error_;
  std::optional<LastError> streamer_;  // of the process that runs its deltastream
  std::optional<double> age_s_;
};

// Slots that `up` has made for sources which have left: PostgreSQL keeps its log for them.
ordered_json left_slots(const std::string& mirror, const std::vector<SourceNow>& sources) {
  ordered_json left = ordered_json::array();
  try {
    for (const MadeStream& made : made_streams(mirror)) {
      const bool is_there =
          made.source.empty() ||
          std::any_of(sources.begin(), sources.end(),
                      [&](const SourceNow& source) { return source.name() == made.source; });
      if (is_there) continue;
      left.push_back({{"slot", made.slot},
                      {"source", made.source},
                      {"daystream", made.directory.string()},
                      {"drop_by", fmt::format("deltamirror down {} --source {}", shell_word(mirror),
                                              shell_word(made.source))}});
    }
  } catch (const daystream::Error&) {
    // What cannot be read there, "up" and "down" say.
  }
  return left;
}

// A mirror, and what can be said of it.
struct MirrorNow {
  int owner = 0;  // its process; 0: none
  std::vector<SourceNow> sources;
  std::vector<MirroredTable> tables;  // those in trouble first
  std::optional<FleetState> config;   // of a server; nullopt: none is
  std::optional<Paused> paused;
  std::uint64_t size_bytes = 0;
  std::uint64_t wal_size_bytes = 0;
  std::vector<std::string> trouble;
  bool needs_person = false;  // a source has stopped, or its stream
  std::string stopped;        // "stopped: eu, us": the sources that will not go on; empty: none
  std::size_t copying = 0;    // of `trouble`: tables whose turn it is, and that need nobody

  // As one word.
  std::string state() const {
    if (!stopped.empty()) return "stopped";
    if (config && config->is_refused()) return "refused";
    if (trouble.empty()) return "well";
    return trouble.size() == copying ? "copying" : "trouble";
  }
};

// One that was told to stand still is well only to who has not forgotten it.
void add_commands(MirrorNow& now, const std::string& mirror) {
  try {
    now.paused = CommandRecord::load(mirror).paused;
  } catch (const daystream::Error& e) {
    now.trouble.push_back(daystream::program::with_hint(e.what(), e.hint()));
  }
  if (!now.paused) return;
  now.trouble.push_back(daystream::program::with_hint(words_of(*now.paused), kHowToContinue));
}

MirrorNow look_at_mirror(const Database& db, const std::string& mirror,
                         const StatusQuestions& ask) {
  MirrorNow now;
  now.owner = MirrorLock::holder(mirror);
  if (now.owner == 0 && !ask.owner_waits_for.empty()) {
    now.trouble.push_back("\"deltamirror run\" waits: " + ask.owner_waits_for);
  } else if (now.owner == 0) {
    now.trouble.emplace_back("no process owns the mirror: \"deltamirror run\" is not there");
  } else if (ask.owner_hangs) {
    now.trouble.push_back(
        fmt::format("process {} owns the mirror and does not answer: {}", now.owner, kOwnerHangs));
  }
  for (Checkpoint& at : load_checkpoints(db)) {
    const SourceNow& source = now.sources.emplace_back(db, std::move(at), ask);
    for (std::string& each : std::array{source.trouble(), source.stream_trouble()}) {
      if (!each.empty()) now.trouble.push_back(std::move(each));
    }
    now.needs_person |= source.state() == "stopped" || source.stream_needs_person();
    if (source.state() != "stopped") continue;
    now.stopped += (now.stopped.empty() ? "stopped: " : ", ") + source.name();
  }
  if (const auto error = load_error(db, kOfConfig)) {
    now.trouble.push_back(daystream::program::with_hint(
        fmt::format("{} (since {})", error->message, time_text(error->at)), error->hint));
  }
  now.config = FleetState::load(mirror);
  if (now.config && now.config->is_refused()) {
    now.trouble.push_back(daystream::program::with_hint(
        fmt::format("revision {} of {} could not be taken: {}", *now.config->wanted,
                    now.config->source, now.config->error),
        FleetState::kHowToRevise));
  }
  if (std::string damage = FleetState::damage(mirror); !damage.empty()) {
    now.trouble.push_back(daystream::program::with_hint(std::move(damage), FleetState::kHowToMend));
  }
  add_commands(now, mirror);
  const auto folder = std::filesystem::absolute(mirror).parent_path();
  if (std::string full = daystream::program::disk_trouble(folder); !full.empty()) {
    now.trouble.push_back(daystream::program::with_hint(
        std::move(full), "make room there: what comes now waits in the stream"));
  }
  now.size_bytes = file_size(mirror);
  now.wal_size_bytes = file_size(beside(mirror, "-wal"));
  now.tables = load_tables(db);
  const auto well = std::stable_partition(now.tables.begin(), now.tables.end(),
                                          [](const auto& table) { return is_in_trouble(table); });
  std::transform(now.tables.begin(), well, std::back_inserter(now.trouble), trouble_of);
  now.copying = static_cast<std::size_t>(std::count_if(now.tables.begin(), well, [](const auto& t) {
    return t.standing.state == TableState::Copying || t.standing.state == TableState::Leaving;
  }));
  return now;
}

}  // namespace

bool is_in_trouble(const ordered_json& table) {
  return table["state"] != "following" && table["state"] != "static";
}

ordered_json mirror_status(const std::string& mirror, const StatusQuestions& ask) {
  const Database db = open_for_reading(mirror);
  const MirrorNow now = look_at_mirror(db, mirror, ask);
  ordered_json out;
  out["mirror"] = mirror;
  out["running"] = now.owner != 0;
  out["pid"] = now.owner != 0 ? ordered_json(now.owner) : ordered_json();
  out["config"] = now.config ? to_json(*now.config) : ordered_json();
  out["paused"] = to_json(now.paused);
  if (now.sources.size() == 1) {
    out.update(now.sources.front().json());
  } else {
    out["state"] = now.stopped.empty() ? "following" : now.stopped;
    out["sources"] = ordered_json::array();
    for (const SourceNow& source : now.sources) out["sources"].push_back(source.json());
  }
  out["size_bytes"] = now.size_bytes;
  out["wal_size_bytes"] = now.wal_size_bytes;
  out["tables"] = ordered_json::array();
  const bool analyzed =
      db.value("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'").has_value();
  for (const MirroredTable& table : now.tables) {
    out["tables"].push_back(table_json(db, table, ask.rows, analyzed));
  }
  out["left_slots"] = left_slots(mirror, now.sources);
  out["healthy"] = now.trouble.empty();
  out["needs_person"] = now.needs_person;
  out["trouble"] = now.trouble;
  return out;
}

daystream::ExitCode exit_code_of(const ordered_json& status) {
  if (status["healthy"].get<bool>()) return daystream::ExitCode::Done;
  return status["needs_person"].get<bool>() ? daystream::ExitCode::NeedsPerson
                                            : daystream::ExitCode::Failed;
}

daystream::program::Fitness fitness(const std::string& mirror, std::chrono::seconds max_lag) {
  if (MirrorLock::holder(mirror) == 0) return {false, "nobody follows for it"};
  const Database db = open_for_reading(mirror);
  for (const Checkpoint& at : load_checkpoints(db)) {
    const SourceNow now(db, at, {});
    const std::string source = fmt::format("source \"{}\"", at.source);
    const std::string state = now.state();
    if (state != "following") return {false, fmt::format("{} is {}", source, state)};
    if (!now.stream_trouble().empty()) return {false, source + " is not written"};
    const auto lag = now.lag_s();
    if (!lag) return {false, source + " has not told how far it is"};
    if (*lag <= static_cast<double>(max_lag.count())) continue;
    return {false, fmt::format("{} is {:.1f} s behind", source, *lag)};
  }
  return {true, "fresh"};
}

namespace {

// Of a report, which a server keeps of each of its mirrors.
constexpr std::size_t kMostNamed = 20;
constexpr std::size_t kMostReason = 300;

std::string cut(const std::string& text) {
  return std::string(daystream::program::beginning_of(text, kMostReason));
}

std::map<std::string, int> counts_by_state(const std::vector<MirroredTable>& tables) {
  std::map<std::string, int> states = {{"following", 0}};
  for (const MirroredTable& table : tables) ++states[state_of(table)];
  return states;
}

ordered_json short_json(const SourceNow& source) {
  const ordered_json all = source.json();
  ordered_json out;
  for (const char* key :
       {"source", "state", "lsn", "complete_to", "lag_seconds", "last_error", "last_error_at"}) {
    out[key] = all[key].is_string() ? ordered_json(cut(all[key].get<std::string>())) : all[key];
  }
  return out;
}

ordered_json memory_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t all = 0;
  std::uint64_t resident = 0;
  if (!(statm >> all >> resident)) return nullptr;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

// Those that lie where docs/mirroring.md#snapshots-and-the-past puts them.
ordered_json snapshots_at_hand(const std::filesystem::path& mirror) {
  std::size_t count = 0;
  std::int64_t newest = 0;
  for (const auto& folder : {mirror.parent_path(), mirror.parent_path() / "snapshots"}) {
    std::error_code error;
    for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end;
         at.increment(error)) {
      const auto name = parse_snapshot_name(at->path().filename().string());
      if (!name || name->stem != mirror.stem()) continue;
      ++count;
      newest = std::max(newest, name->seconds);
    }
  }
  return {
      {"count", count},
      {"newest_at", count == 0 ? ordered_json()
                               : ordered_json(daystream::utc_text(daystream::at_second(newest)))}};
}

void add_host(ordered_json& out, const std::filesystem::path& mirror) {
  const auto space = daystream::program::disk_space(mirror.parent_path());
  out["disk_free_bytes"] = space ? ordered_json(space->free_bytes) : ordered_json();
  out["disk_size_bytes"] = space ? ordered_json(space->size_bytes) : ordered_json();
  out["memory_bytes"] = memory_bytes();
  out["snapshots"] = snapshots_at_hand(mirror);
  out["version"] = DELTAFLOOD_VERSION;
  out["sqlite"] = sqlite3_libversion();
  utsname system{};
  out["kernel"] = uname(&system) == 0 ? ordered_json(system.release) : ordered_json();
}

}  // namespace

ordered_json mirror_report(const std::string& mirror, const StatusQuestions& ask) {
  const std::filesystem::path path = std::filesystem::absolute(mirror).lexically_normal();
  ordered_json out;
  if (!std::filesystem::exists(path)) {
    out["state"] = "copying";
    out["mirror"] = path.string();
    const auto config = FleetState::load(mirror);
    out["config"] = config ? to_json(*config) : ordered_json();
    out["trouble"] = ordered_json::array();
    add_host(out, path);
    return out;
  }
  const Database db = open_for_reading(mirror);
  const MirrorNow now = look_at_mirror(db, mirror, ask);
  out["state"] = now.state();
  out["mirror"] = path.string();
  out["config"] = now.config ? to_json(*now.config) : ordered_json();
  out["paused"] = to_json(now.paused);
  out["trouble"] = ordered_json::array();
  for (const std::string& each : now.trouble) {
    if (out["trouble"].size() < kMostNamed) out["trouble"].push_back(cut(each));
  }
  std::optional<double> lag = 0;
  out["sources"] = ordered_json::array();
  for (const SourceNow& source : now.sources) {
    const auto own = source.lag_s();
    lag = lag && own ? std::optional(std::max(*lag, *own)) : std::nullopt;
    if (out["sources"].size() < kMostNamed) out["sources"].push_back(short_json(source));
  }
  out["lag_seconds"] = lag ? ordered_json(*lag) : ordered_json();
  out["tables"] = counts_by_state(now.tables);
  out["tables_in_trouble"] = ordered_json::array();
  for (const MirroredTable& table : now.tables) {
    if (!is_in_trouble(table) || out["tables_in_trouble"].size() == kMostNamed) break;
    out["tables_in_trouble"].push_back({{"name", shown_name(table)},
                                        {"state", state_of(table)},
                                        {"reason", cut(table.standing.reason)}});
  }
  const auto rows = has_table(db, "sqlite_stat1")
                        ? db.value(
                              "SELECT sum(rows) FROM (SELECT max(CAST(stat AS INTEGER)) rows "
                              "FROM sqlite_stat1 GROUP BY tbl)")
                        : std::nullopt;
  out["about_rows"] = rows ? ordered_json(std::stoll(*rows)) : ordered_json();
  out["size_bytes"] = now.size_bytes;
  out["wal_size_bytes"] = now.wal_size_bytes;
  add_host(out, path);
  return out;
}

namespace {

using daystream::program::MetricsText;

void add_sources(MetricsText& out, const std::string& mirror,
                 const std::vector<SourceNow>& sources) {
  const auto labels = [&](const SourceNow& source) {
    return std::vector<daystream::program::MetricLabel>{{"mirror", mirror},
                                                        {"source", source.name()}};
  };
  out.family("deltamirror_source_up", "gauge", "1 while the source is followed.");
  for (const SourceNow& source : sources) {
    out.sample(labels(source), source.state() == "following" ? 1 : 0);
  }
  out.family("deltamirror_complete_timestamp_seconds", "gauge",
             "All that PostgreSQL committed before this time is in the mirror.");
  for (const SourceNow& source : sources) {
    const auto time = daystream::parse_timestamp_text(source.at().complete_to);
    if (time)
      out.sample(labels(source), static_cast<double>(time->time_since_epoch().count()) / 1e6);
  }
  out.family("deltamirror_lsn_bytes", "gauge", "The LSN that the mirror has, as a number.");
  for (const SourceNow& source : sources) {
    out.sample(labels(source), static_cast<double>(source.at().lsn.value));
  }
}

void add_tables(MetricsText& out, const std::string& mirror,
                const std::vector<MirroredTable>& tables) {
  const std::map<std::string, int> states = counts_by_state(tables);
  out.family("deltamirror_tables", "gauge", "Tables by what becomes of them.");
  for (const auto& [state, count] : states)
    out.sample({{"mirror", mirror}, {"state", state}}, count);
}

void add_sizes(MetricsText& out, const std::string& mirror, const MirrorNow& now) {
  const auto size = [&](const char* name, const char* help, double bytes) {
    out.family(name, "gauge", help);
    out.sample({{"mirror", mirror}}, bytes);
  };
  size("deltamirror_size_bytes", "The mirror's file.", static_cast<double>(now.size_bytes));
  size("deltamirror_wal_size_bytes", "SQLite's log beside it.",
       static_cast<double>(now.wal_size_bytes));
  std::error_code error;
  const auto space = std::filesystem::space(std::filesystem::path(mirror).parent_path(), error);
  if (!error) {
    size("deltamirror_disk_free_bytes", "Room left where it is.",
         static_cast<double>(space.available));
  }
}

}  // namespace

std::string mirror_metrics(const std::string& mirror) {
  const std::string name = std::filesystem::absolute(mirror).lexically_normal();
  MetricsText out;
  // Each with the mirror's name: the collector puts the files of all mirrors together.
  out.build_info("deltamirror_build_info", {{"mirror", name}});
  out.family("deltamirror_written_timestamp_seconds", "gauge", "When this was written.");
  out.sample({{"mirror", name}}, static_cast<double>(std::time(nullptr)));
  std::optional<MirrorNow> now;
  try {
    now = look_at_mirror(open_for_reading(mirror), mirror, {});
  } catch (const daystream::Error&) {
    // No mirror yet, or none that can be read: the process that has it says so.
  }
  out.family("deltamirror_up", "gauge",
             "1 while \"deltamirror status\" finds nothing wrong with the mirror.");
  out.sample({{"mirror", name}}, now && now->trouble.empty() ? 1 : 0);
  if (!now) return out.take();
  add_sources(out, name, now->sources);
  add_tables(out, name, now->tables);
  add_sizes(out, name, *now);
  return out.take();
}

}  // namespace deltamirror
