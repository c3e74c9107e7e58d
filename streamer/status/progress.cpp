#include "status/progress.h"
#include "program/disk_space.h"
#include "program/figures.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <utility>

namespace deltastream {

namespace {

// Looks at the disk and writes status.json as often as the server gets a status packet, within
// these limits.
constexpr std::chrono::milliseconds kLeastLookInterval{1'000};
constexpr std::chrono::milliseconds kLongestLookInterval{5'000};
constexpr std::chrono::seconds kReportInterval{60};
// So many answers of the server must be missing in a row before a warning is worth while.
constexpr int kMissingBeforeWarning = 3;
// A warning is due when what is left lasts less than this at the present rate.
constexpr double kWarnBeforeSeconds = 3600;

double seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

Progress::Progress(std::filesystem::path directory, const std::string& slot,
                   std::chrono::milliseconds status_interval, const std::string& metrics_file)
    : directory_(std::move(directory)),
      interval_(status_interval),
      file_(directory_, metrics_file) {
  const Time now = std::chrono::steady_clock::now();
  last_look_ = last_report_ = caught_up_at_ = now;
  status_.enter("waiting");
  status_.pid = static_cast<int>(::getpid());
  status_.slot = slot;
}

Progress::~Progress() {
  notify_.stopping();
  status_.enter("stopped");
  save();
}

void Progress::streaming(const daystream::Writer& writer) {
  status_.enter("streaming");
  status_.needs_person = false;
  last_lines_ = writer.appended_lines();
  last_bytes_ = writer.appended_bytes();
  notify_.ready();
  notify_.status(fmt::format("streaming from {}", writer.last_lsn().text()));
  look(writer, std::chrono::steady_clock::now());
  save();
}

void Progress::waiting(const std::string& problem, const std::string& hint) {
  status_.enter("waiting");
  failed(problem, hint, false);
  save();
}

void Progress::leaves_out(std::string what, std::string hint) {
  status_.left_out_hint = std::move(hint);
  status_.left_out = std::move(what);
  save();
}

void Progress::left(const daystream::Writer& writer) {
  status_.position = writer.flushed_position();
  status_.lsn = writer.flushed();
}

void Progress::failed(const std::string& problem, const std::string& hint, bool needs_person) {
  status_.needs_person = needs_person;
  status_.last_error = problem;
  status_.last_hint = hint;
  status_.last_error_s = std::time(nullptr);
  notify_.status(problem);
}

void Progress::tick(const daystream::Writer& writer) {
  notify_.alive();
  const Time now = std::chrono::steady_clock::now();
  if (!is_time_to_look(now)) return;
  look(writer, now);
  warn_in_time(now);
  save();
  if (now < last_report_ + kReportInterval || status_.lsn == reported_lsn_) return;
  last_report_ = now;
  reported_lsn_ = status_.lsn;
  report();
}

void Progress::alive() {
  notify_.alive();
  const Time now = std::chrono::steady_clock::now();
  if (!is_time_to_look(now)) return;
  last_look_ = now;
  status_.lines_per_s = status_.bytes_per_s = 0;
  look_at_lag(now);
  look_at_disk();
  warn_in_time(now);
  save();
}

bool Progress::is_time_to_look(Time now) const {
  return now >= last_look_ + std::clamp(interval_, kLeastLookInterval, kLongestLookInterval);
}

// Old numbers of a server that no longer answers would be taken for present ones.
void Progress::take(const ServerAnswer& answer) {
  if (answer.sample) {
    if (told_missing_) spdlog::info("the server says again how far it is");
    told_missing_ = false;
    answers_missing_ = 0;
    take_sample(*answer.sample);
  } else {
    sample_.reset();
    status_.server = {};
    // While the stream waits, its reason was logged already, and most often this is the same one.
    ++answers_missing_;
    if (answers_missing_ >= kMissingBeforeWarning && !told_missing_ &&
        status_.state == "streaming") {
      told_missing_ = true;
      spdlog::warn(
          "the server does not tell how far it is, so that lag, WAL kept and the time "
          "until the slot is lost are not known: {}",
          answer.problem);
    }
  }
  status_.server_problem = answer.problem;
}

void Progress::take_sample(const ServerSample& sample) {
  status_.server.until_lost_s.reset();
  if (sample_ && sample.until_lost_bytes && sample.wal_lsn > sample_->wal_lsn) {
    const double rate = static_cast<double>(sample.wal_lsn.value - sample_->wal_lsn.value) /
                        std::max(seconds(sample.at - sample_->at), 0.001);
    status_.server.until_lost_s = static_cast<double>(*sample.until_lost_bytes) / rate;
  }
  sample_ = sample;
  status_.server.server_lsn = sample.wal_lsn;
  status_.server.retained_wal_bytes = sample.retained_bytes;
  status_.server.until_lost_bytes = sample.until_lost_bytes;
  status_.server.wal_status = sample.wal_status;
}

void Progress::look(const daystream::Writer& writer, Time now) {
  const double elapsed = std::max(seconds(now - last_look_), 0.001);
  // Counters shrink only when a repeated transaction is dropped.
  const auto grown = [](std::uint64_t now_count, std::uint64_t before) {
    return now_count > before ? static_cast<double>(now_count - before) : 0.0;
  };
  status_.lines_per_s = grown(writer.appended_lines(), last_lines_) / elapsed;
  status_.bytes_per_s = grown(writer.appended_bytes(), last_bytes_) / elapsed;
  last_lines_ = writer.appended_lines();
  last_bytes_ = writer.appended_bytes();
  last_look_ = now;
  status_.position = writer.flushed_position();
  status_.lsn = writer.flushed();
  look_at_lag(now);
  look_at_disk();
}

void Progress::look_at_lag(Time now) {
  if (!sample_ || status_.lsn == daystream::Lsn{})
    return;  // nothing is on disk, so it is behind nothing
  // The stream is behind since the moment when it last had all that the server had.
  const bool behind = status_.lsn < sample_->wal_lsn;
  if (!behind) caught_up_at_ = now;
  status_.server.lag_bytes = behind ? sample_->wal_lsn.value - status_.lsn.value : 0;
  status_.server.lag_s = behind ? seconds(now - caught_up_at_) : 0;
}

void Progress::look_at_disk() {
  const auto space = daystream::program::disk_space(directory_);
  if (!space) return;
  status_.disk_free_bytes = space->free_bytes;
  status_.disk_left_s.reset();
  if (status_.bytes_per_s > 0) {
    status_.disk_left_s = static_cast<double>(space->free_bytes) / status_.bytes_per_s;
  }
  // While nothing comes, no write would tell.
  const bool is_full = !daystream::program::has_room(*space);
  if (is_full == (status_.disk_full_since_s != 0)) return;
  status_.disk_full_since_s = is_full ? std::time(nullptr) : 0;
  if (is_full) {
    const std::string problem = daystream::program::no_room_text(space->free_bytes);
    spdlog::warn("daystream \"{}\": {}", directory_.string(), problem);
    notify_.status(problem);
  } else {
    spdlog::info("daystream \"{}\" has room again", directory_.string());
    notify_.status(fmt::format("streaming from {}", status_.lsn.text()));
  }
}

void Progress::warn_in_time(Time now) {
  if (status_.disk_left_s && *status_.disk_left_s < kWarnBeforeSeconds && disk_warnings_.due(now)) {
    spdlog::warn("daystream \"{}\" has {} of disk left: {} at the present rate",
                 directory_.string(),
                 daystream::program::bytes_text(static_cast<double>(*status_.disk_free_bytes)),
                 daystream::program::seconds_text(*status_.disk_left_s));
  }
  if (status_.server.until_lost_s && *status_.server.until_lost_s < kWarnBeforeSeconds &&
      status_.server.wal_status != "reserved" && slot_warnings_.due(now)) {
    spdlog::warn(
        "slot \"{}\" is {} of WAL from being lost (max_slot_wal_keep_size): {} at the "
        "present rate",
        status_.slot,
        daystream::program::bytes_text(static_cast<double>(*status_.server.until_lost_bytes)),
        daystream::program::seconds_text(*status_.server.until_lost_s));
  }
}

void Progress::report() {
  std::string text = fmt::format("flushed {} position={} rate={:.0f} lines/s, {}/s",
                                 status_.lsn.text(), status_.position.text(), status_.lines_per_s,
                                 daystream::program::bytes_text(status_.bytes_per_s));
  if (status_.server.lag_bytes) {
    text +=
        fmt::format(" lag={}, {}",
                    daystream::program::bytes_text(static_cast<double>(*status_.server.lag_bytes)),
                    daystream::program::seconds_text(status_.server.lag_s.value_or(0)));
  }
  if (status_.server.retained_wal_bytes) {
    text += fmt::format(
        " retained={}",
        daystream::program::bytes_text(static_cast<double>(*status_.server.retained_wal_bytes)));
  }
  if (status_.server.until_lost_s)
    text += fmt::format(" until_lost={}",
                        daystream::program::seconds_text(*status_.server.until_lost_s));
  spdlog::info("{}", text);
  notify_.status(text);
}

void Progress::save() {
  status_.updated_s = std::time(nullptr);
  file_.save(status_);
}

}  // namespace deltastream
