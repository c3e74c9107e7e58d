#include "command/streamer.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "command/checks.h"
#include "command/claim.h"
#include "command/slot_commands.h"
#include "command/unused_patterns.h"
#include "program/disk_space.h"
#include "program/hint.h"
#include "program/notify.h"
#include "program/program.h"
#include "program/writable.h"
#include "server/one_line.h"
#include "server/server_version.h"
#include "server/timeline.h"
#include "src/reasons.h"
#include "src/waiting.h"
#include "write/disk_wait.h"

namespace deltastream {

using daystream::ConnectionLost;
using daystream::IoError;
using daystream::Lsn;
using daystream::Manifest;
using daystream::NeedsPerson;
namespace program = daystream::program;

namespace {

// Lines of one transaction gather in the plugin up to this size: fewer, larger messages halve the
// cost of decoding on the server.
constexpr const char* kBatchBytes = "65536";

// The server is asked as often as it gets a status packet, within these limits. A mark should prove
// a time at least every 10 s, and that time can be no newer than the last answer.
constexpr std::chrono::milliseconds kLeastSampleInterval{1'000};
constexpr std::chrono::milliseconds kLongestSampleInterval{8'000};

bool is_full(const IoError& error) noexcept {
  return daystream::is_no_room(error.error_number());
}

Manifest manifest_for(const Config& config, const daystream::Holding& holding,
                      const PgServer& server, const std::string& id) {
  Manifest manifest;
  manifest.id = id;
  manifest.system_identifier = server.system_identifier;
  manifest.database = server.database;
  manifest.slot = config.slot;
  manifest.holdings = {holding};
  return manifest;
}

// Every option that changes lines is given, so that a line never depends on a default of the
// plugin's; then the filters.
std::vector<std::pair<std::string, std::string>> plugin_options(const Config& config,
                                                                const std::string& id,
                                                                bool in_progress) {
  if (!config.publication.empty()) return pgoutput_options(config.publication, in_progress);
  std::vector<std::pair<std::string, std::string>> options = {{"include-transaction", "on"},
                                                              {"include-schema", "on"},
                                                              {"include-truncate", "on"},
                                                              {"include-xids", "on"},
                                                              {"batch-bytes", kBatchBytes}};
  if (!config.tables.empty()) options.emplace_back("tables", config.tables);
  options.insert(options.end(), config.filters.begin(), config.filters.end());
  const auto claim = claim_options(config, id);
  options.insert(options.end(), claim.begin(), claim.end());
  return options;
}

}  // namespace

Streamer::Streamer(Config& config, program::Signals& signals)
    : config_(config), signals_(signals), publication_(config) {}

void Streamer::run() {
  while (!signals_.stop_requested()) {
    std::string problem;
    std::string hint;
    try {
      if (stream() != StreamLoop::End::Reconnect) return;
      settle();
      continue;
    } catch (const IoError& e) {
      // Leaving and opening again is the only way on: recovery writes again what the disk may not
      // have. Anything but a full disk is for the supervisor to decide.
      if (!is_full(e) || !config_.loop) {
        fail(e);
        throw;
      }
      if (progress_ && writer_) progress_->left(*writer_);
      writer_.reset();
      problem = e.what();
      hint = "waiting for room; PostgreSQL keeps what is not confirmed";
    } catch (const daystream::Error& e) {
      const auto* const lost = dynamic_cast<const SlotLost*>(&e);
      const bool replaces = config_.replace_lost_slot && lost != nullptr;
      // It may be in order by what the server says of it (can_be_read()).
      if (lost != nullptr) lost_in_fact_ = lost->what();
      if (!(retries_.may_pass(e) || replaces) || !config_.loop) {
        fail(e);
        throw;
      }
      if (dynamic_cast<const pgoutput::SpoolFull*>(&e) != nullptr)
        publication_.wants_whole_transactions();
      problem = e.what();
      hint = e.hint();
    }
    problem = one_line(std::move(problem));
    retries_.failed(problem, hint);
    if (progress_) {
      progress_->waiting(problem, one_line(hint));
    } else {
      program::Notify().status(fmt::format("waiting: {}", problem));
    }
    settle();
    const auto length = retries_.pause();
    spdlog::debug("next try in {} ms", length.count());
    pause(length);
  }
  settle();
}

StreamLoop::End Streamer::stream() {
  if (!writer_) require_room();
  ReplicationConnection connection(config_.conninfo);
  retries_.let_in();
  const PgServer server = meet(connection);
  const std::optional<Manifest> manifest = find_manifest(config_.directory);
  if (manifest) check_source(*manifest, server, config_.slot, config_.directory);
  const bool has_plugin = config_.publication.empty();
  holding_ = has_plugin ? config_.holding() : publication_.meet(connection, manifest);
  if (config_.create_slot && slot_origin_ == SlotOrigin::Unknown)
    create_slot_first(connection, manifest.has_value());
  const std::optional<Slot> slot = usable_slot(connection, server, manifest.has_value());
  if (!slot) return StreamLoop::End::Reconnect;
  set_failover(connection, *slot, config_.failover);

  // A directory that is there is locked and recovered now: a second deltastream is refused by the
  // first one's lock before it waits for the first one's slot. A new one is made only when the
  // server has accepted everything.
  if (manifest && !writer_) open_writer(server, slot->confirmed_flush);
  const Lsn begin = begin_of(connection, server, *slot);
  HistoryProof proof = proof_of(*slot, begin);
  daystream::MarkFacts facts;
  facts.timeline = server.timeline;
  facts.next = next_transaction_id(connection.get());
  facts.holds = holding_.fields();
  const Lsn from = proof.pending() ? proof.begin() : begin;
  const std::string id = manifest ? manifest->id : new_id_;
  if (!has_plugin && !id.empty()) {
    const bool is_ours = slot_origin_ == SlotOrigin::MadeByUs;
    claim_slot(config_.conninfo, config_.slot,
               {id, name_of(config_), config_.adopt_slot || is_ours});
  }
  connection.start(config_.slot, from, plugin_options(config_, id, publication_.takes_parts()));

  if (!writer_) open_writer(server, slot->confirmed_flush);
  write_beginning(begin, facts);
  RequiredCopies copies(config_.directory, config_.require_copies);
  copies.told_before(slot->confirmed_flush);
  watch_server();
  if (has_plugin) return follow(connection, server, proof, copies);
  const auto untold = publication_.problem();
  if (untold) warn_once(program::with_hint(untold->what, untold->hint));
  progress_->leaves_out(untold ? untold->what : "", untold ? untold->hint : "");
  PgoutputSource source(config_, connection,
                        publication_.begin(from, slot->confirmed_flush, *facts.next));
  try {
    return follow(source.stream(), server, proof, copies);
  } catch (const ConnectionLost& e) {
    if (!source.changed()) throw;
    publication_.has_changed(*source.changed());
    spdlog::info("{}; {}", e.what(), e.hint());
    connection.finish(std::chrono::seconds{2});
    return StreamLoop::End::Reconnect;
  }
}

void Streamer::require_room() const {
  const auto space = daystream::program::disk_space(config_.directory);
  if (space && !daystream::program::has_room(*space)) {
    throw IoError(fmt::format("could not write to daystream \"{}\"", config_.directory), ENOSPC);
  }
}

// Asks the server who it is, and warns of what is not as it should be there.
PgServer Streamer::meet(ReplicationConnection& connection) {
  PgServer server = identify(connection);
  timeline_ = server.timeline;
  clock_.set_server(server.clock_us);
  warn_once(known_faults(server.version));
  check_settings(connection, config_);
  warn_of_unused_patterns(connection);
  return server;
}

// The LSN to stream from. Throws where the server's history is not that of our lines.
Lsn Streamer::begin_of(ReplicationConnection& connection, const PgServer& server,
                       const Slot& slot) {
  if (!writer_) return slot.confirmed_flush;
  if (writer_->empty()) {
    check_not_begun(slot, config_.directory, writer_->manifest());
    return slot.confirmed_flush;
  }
  std::optional<TimelineId> timeline;
  if (server.timeline > 1) {
    timeline = last_timeline(config_.directory, writer_->position().day());
  }
  check_history(connection, server, config_.directory, writer_->last_lsn(), timeline);
  if (writer_->after_gap()) return slot.confirmed_flush;
  check_not_ahead(slot, config_.directory, writer_->last_lsn());
  return writer_->last_lsn();
}

// With another filter than before other transactions come, and there is nothing to compare.
HistoryProof Streamer::proof_of(const Slot& slot, Lsn begin) const {
  if (!writer_ || writer_->after_gap()) return {};
  const daystream::Holding& held = writer_->manifest().holdings.back();
  if (!held.same_filter(holding_)) return {};
  HistoryProof proof(config_.directory, held.since, slot.confirmed_flush, begin);
  // As long as someone has the slot, most often our own last session, it may be confirmed further,
  // and then what is to prove our history does not come.
  if (proof.pending() && slot.active_pid) {
    throw ConnectionLost(
        fmt::format("replication slot \"{}\" is in use by process {}", slot.name, *slot.active_pid),
        "another client streams from this slot");
  }
  return proof;
}

void Streamer::write_beginning(Lsn begin, const daystream::MarkFacts& facts) {
  writer_->mark(begin, facts);
  daystream::Holding holding = holding_;
  holding.since = writer_->position();
  writer_->declare_holding(holding);
  const auto text = retries_.met(
      fmt::format("streaming from slot \"{}\" at {} into \"{}\", position={}", config_.slot,
                  begin.text(), config_.directory, writer_->position().text()));
  if (text) spdlog::info("{}", *text);
  progress_->streaming(*writer_);
}

StreamLoop::End Streamer::follow(ReplicationStream& connection, const PgServer& server,
                                 HistoryProof& proof, RequiredCopies& copies) {
  StreamLoop loop({connection, *writer_, flusher_, signals_, clock_, server, &*monitor_, *progress_,
                   copies, proof, settings(server.synchronous_standby),
                   [this] { return reload(); }});
  const Clock::time_point since = Clock::now();
  StreamLoop::End end{};
  try {
    end = loop.run();
  } catch (...) {
    // Only a stream that got somewhere shows that the trouble was over: a server that accepts us
    // and breaks off at once is not to be asked ten times a second.
    if (loop.kept_any() || Clock::now() >= since + kLongestPause) {
      retries_.worked();
    }
    throw;
  }
  const std::string waiting = copies.waiting_for(writer_->flushed());
  spdlog::info("stopped at {}, position={}: all of it is on disk{}{}", writer_->flushed().text(),
               writer_->position().text(), waiting.empty() ? " and confirmed" : "; ", waiting);
  return end;
}

void Streamer::warn_of_unused_patterns(ReplicationConnection& connection) {
  for (const std::string& pattern : unused_patterns(connection, config_)) {
    warn_once(
        program::with_hint(fmt::format("database \"{}\" has nothing that this filter names: {}",
                                       PQdb(connection.get()), pattern),
                           "names are folded to lower case as in SQL, and are of schema "
                           "public without another one before them"));
  }
}

void Streamer::warn_once(const std::string& text) {
  if (!text.empty() && warned_.insert(text).second) spdlog::warn("{}", text);
}

void Streamer::open_writer(const PgServer& server, std::optional<Lsn> confirmed_flush) {
  daystream::WriterOptions options;
  // The next transaction id the Writer knows from the last commit: midnight asks nobody, so that
  // nothing that hangs can keep a keepalive waiting.
  options.day_mark = [this] {
    daystream::MarkFacts facts;
    facts.timeline = timeline_;
    return facts;
  };
  options.clock = [this](std::int64_t last_c) { return clock_.now(last_c); };
  writer_ = std::make_unique<daystream::Writer>(config_.directory,
                                                manifest_for(config_, holding_, server, new_id_),
                                                confirmed_flush, std::move(options));
  if (!progress_) {  // not before the directory is ours
    progress_.emplace(config_.directory, config_.slot, config_.status_interval,
                      config_.metrics_file);
  }
  keep_house();
  const daystream::Recovery& recovery = writer_->recovery();
  if (recovery.cut_bytes != 0) {
    spdlog::warn("cut {} bytes off \"{}\" at byte {}: {}; PostgreSQL sends them again",
                 recovery.cut_bytes, recovery.cut_file, recovery.cut_at_bytes, recovery.cut_reason);
  }
}

void Streamer::keep_house() {
  const daystream::HousekeepingRules& rules = config_.housekeeping;
  writer_->declare_keeping(rules.keep_days, rules.keep_bytes);
  if (housekeeper_ && housekeeper_->rules() == rules) return;
  housekeeper_.reset();
  if (rules.any()) housekeeper_.emplace(config_.directory, rules);
}

void Streamer::create_slot_first(ReplicationConnection& connection, bool directory_is_there) {
  const bool exists = find_slot(connection, config_.slot).has_value();
  if (exists && !config_.if_not_exists) throw slot_exists(config_.slot);
  if (!exists && !directory_is_there) {
    program::require_writable(config_.directory);
    const auto look = config_.publication.empty() ? nullptr : publication_.look_at_shapes();
    deltastream::create_slot(connection, config_, signals_, look);
    slot_origin_ = SlotOrigin::MadeByUs;
  } else {
    slot_origin_ = SlotOrigin::NotOurs;
  }
}

// A new slot begins now: what happened since the daystream's end would be skipped without a word.
std::optional<Slot> Streamer::usable_slot(ReplicationConnection& connection, const PgServer& server,
                                          bool directory_is_there) {
  const std::optional<Slot> slot = find_slot(connection, config_.slot);
  try {
    if (!slot && directory_is_there) {
      throw SlotLost(fmt::format(
          "replication slot \"{}\" does not exist, but daystream \"{}\" was written from it",
          config_.slot, config_.directory));
    }
    if (!lost_in_fact_.empty() && slot) throw SlotLost(lost_in_fact_);
    const Slot found = slot ? *slot : require_slot(connection, config_.slot);
    check_slot(found, server, config_);
    if (found.wal_status == "unreserved") {
      spdlog::warn(
          "replication slot \"{}\" is about to be lost: its WAL goes with the next checkpoint",
          found.name);
    }
    return found;
  } catch (const SlotLost& e) {
    if (!config_.replace_lost_slot || !directory_is_there) throw;
    const auto text =
        retries_.met(fmt::format("{}: going on with a new one, behind a gap", e.what()));
    if (text) spdlog::warn("{}", *text);
  }
  if (!writer_) open_writer(server, std::nullopt);  // that slot must not reach into our lines
  replace_slot(connection, config_, server, slot, *writer_, signals_);
  lost_in_fact_.clear();
  return std::nullopt;
}

// The error goes on to main; what it leaves behind is seen to here.
void Streamer::fail(const daystream::Error& error) {
  const std::string problem = one_line(error.what());
  const bool needs_person = error.exit_code() == daystream::ExitCode::NeedsPerson;
  if (progress_) {
    progress_->failed(problem, one_line(error.hint()), needs_person);
  } else {
    save_last_error(config_.directory, problem, one_line(error.hint()), needs_person);
  }
  abandon_slot();
}

void Streamer::abandon_slot() {
  if (slot_origin_ != SlotOrigin::MadeByUs || writer_) return;
  try {
    ReplicationConnection connection(config_.conninfo);
    drop_slot(connection, config_, true);
  } catch (const daystream::Error& e) {
    spdlog::warn("replication slot \"{}\" was left behind: {}", config_.slot,
                 program::with_hint(e.what(), "drop it with --drop-slot"));
  }
}

void Streamer::settle() {
  try {
    const auto wait = [this] { alive(); };
    if (writer_) {
      deltastream::settle(*writer_, flusher_, signals_, wait);
    } else {
      wait_for_disk(flusher_, signals_, wait);
    }
  } catch (const IoError& e) {
    // Already reported: this flush belongs to the Writer that we dropped for a full disk.
    if (!writer_) return;
    writer_.reset();
    if (!is_full(e)) throw;
    spdlog::warn("{}", e.what());
  }
}

StreamLoop::Settings Streamer::settings(bool synchronous_standby) {
  return {{config_.fsync_interval, config_.status_interval, config_.end_lsn, synchronous_standby},
          housekeeper_ ? &*housekeeper_ : nullptr};
}

std::optional<StreamLoop::Settings> Streamer::reload() {
  try {
    Config fresh = reload_config(config_);
    const bool same = same_stream(config_, fresh);
    config_ = std::move(fresh);
    if (writer_) keep_house();
    if (progress_) progress_->set_status_interval(config_.status_interval);
    spdlog::set_level(spdlog::level::from_str(config_.log_level));
    spdlog::info("configuration file \"{}\" read again{}", config_.config_file,
                 same ? "" : ": reconnecting");
    if (!same) return std::nullopt;
  } catch (const daystream::Error& e) {
    spdlog::warn("kept the old configuration: {}", e.what());
  }
  return settings(false);
}

void Streamer::watch_server() {
  if (!monitor_ || monitor_->conninfo() != config_.conninfo) {
    const auto interval =
        std::clamp(config_.status_interval, kLeastSampleInterval, kLongestSampleInterval);
    monitor_.emplace(config_.conninfo, config_.slot, interval);
  }
  // What it said before is of another connection, perhaps of another server.
  if (const auto answer = monitor_->take()) progress_->take(*answer);
}

void Streamer::alive() {
  if (!progress_) return;
  if (const auto answer = monitor_ ? monitor_->take() : std::nullopt) progress_->take(*answer);
  progress_->alive();
}

void Streamer::pause(std::chrono::milliseconds length) {
  const auto until = Clock::now() + length;
  while (!signals_.stop_requested()) {
    const auto left = std::chrono::ceil<Milliseconds>(until - Clock::now());
    if (left.count() <= 0) return;
    alive();
    if (writer_) writer_->check_place();
    const auto nap = std::min(left, Milliseconds{1'000});  // the watchdog wants a pat
    if (daystream::WaitSet{signals_.fd()}.wait(nap)) signals_.clear();
  }
}

}  // namespace deltastream
