#include "status/status.h"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "daystream/durable.h"
#include "daystream/error.h"
#include "program/figures.h"
#include "program/json.h"
#include "program/metrics_text.h"
#include "program/stream_health.h"
#include "src/calendar.h"
#include "src/dir.h"
#include "src/json_text.h"
#include "src/lock.h"

namespace deltastream {

namespace program = daystream::program;

using daystream::Lsn;
using daystream::Position;
using Json = nlohmann::ordered_json;

namespace {

constexpr const char* kStatusFile = "status.json";

template <typename T>
void put(Json& out, const char* key, const std::optional<T>& value) {
  out[key] = value ? Json(*value) : Json(nullptr);
}

template <typename T>
std::optional<T> get(const Json& in, const char* key) {
  const auto found = in.find(key);
  if (found == in.end() || found->is_null()) return std::nullopt;
  return found->get<T>();
}

void put_text(Json& out, const char* key, const std::string& text) {
  out[key] = text.empty() ? Json(nullptr) : Json(text);
}

std::string get_text(const Json& in, const char* key) {
  return get<std::string>(in, key).value_or("");
}

// Seconds since 1970; 0: it never was.
void put_time(Json& out, const char* key, std::int64_t seconds) {
  out[key] =
      seconds != 0 ? Json(daystream::utc_text(daystream::at_second(seconds))) : Json(nullptr);
}

std::int64_t get_time(const Json& in, const char* key) {
  const auto text = get<std::string>(in, key);
  const auto time = text ? daystream::parse_utc_text(*text) : std::nullopt;
  return time ? time->time_since_epoch().count() : 0;
}

Json to_json(const Status& status) {
  Json out;
  out["state"] = status.state;
  put_time(out, "since", status.since_s);
  out["pid"] = status.pid;
  put_time(out, "updated_at", status.updated_s);
  put_text(out, "slot", status.slot);
  out["position"] = status.position.text();
  out["lsn"] = status.lsn.text();
  out["lines_per_second"] = status.lines_per_s;
  out["bytes_per_second"] = status.bytes_per_s;
  out["server_lsn"] =
      status.server.server_lsn ? Json(status.server.server_lsn->text()) : Json(nullptr);
  put(out, "lag_bytes", status.server.lag_bytes);
  put(out, "lag_seconds", status.server.lag_s);
  put(out, "retained_wal_bytes", status.server.retained_wal_bytes);
  put(out, "until_lost_bytes", status.server.until_lost_bytes);
  put(out, "until_lost_seconds", status.server.until_lost_s);
  put_text(out, "wal_status", status.server.wal_status);
  put_text(out, "server_problem", status.server_problem);
  put(out, "disk_free_bytes", status.disk_free_bytes);
  put(out, "disk_left_seconds", status.disk_left_s);
  put_time(out, "disk_full_since", status.disk_full_since_s);
  put_text(out, "waiting_for", status.waiting_for);
  put_text(out, "left_out", status.left_out);
  put_text(out, "left_out_hint", status.left_out_hint);
  put_text(out, "last_error", status.last_error);
  put_text(out, "last_hint", status.last_hint);
  put_time(out, "last_error_at", status.last_error_s);
  out["needs_person"] = status.needs_person;
  return out;
}

// The blocks that are there need no room. A reader that comes in between sees no status, once.
bool overwrite(daystream::Dir& dir, const std::string& text) {
  const auto file = dir.open_writable(kStatusFile);
  if (!file) return false;
  file->write_at(text, 0);
  file->truncate(text.size());
  return true;
}

// Whether `pid` is a deltastream's: one that waits for room on the disk has let go of the lock.
bool is_deltastream(int pid) {
  std::ifstream in(fmt::format("/proc/{}/comm", pid));
  std::string name;
  return std::getline(in, name) && name == "deltastream";
}

// "waiting", not "streaming", once nobody updates it.
void print_status(const Status& status, const std::string& state) {
  const auto line = [](const char* name, const std::string& value) {
    std::printf("%-12s %s\n", name, value.c_str());
  };
  line("state", state);
  if (!status.slot.empty()) line("slot", status.slot);
  line("position", status.position.text());
  line("lsn", status.lsn.text());
  line("rate", fmt::format("{:.0f} lines/s, {}/s", status.lines_per_s,
                           program::bytes_text(status.bytes_per_s)));
  if (status.server.lag_bytes) {
    line("lag",
         fmt::format("{}, {}", program::bytes_text(static_cast<double>(*status.server.lag_bytes)),
                     program::seconds_text(status.server.lag_s.value_or(0))));
  }
  if (status.server.retained_wal_bytes) {
    std::string limit;
    if (status.server.until_lost_bytes) {
      limit =
          fmt::format(", {} before the slot is lost",
                      program::bytes_text(static_cast<double>(*status.server.until_lost_bytes)));
      if (status.server.until_lost_s)
        limit += fmt::format(" ({})", program::seconds_text(*status.server.until_lost_s));
    }
    line("WAL kept",
         fmt::format("{} ({}){}",
                     program::bytes_text(static_cast<double>(*status.server.retained_wal_bytes)),
                     status.server.wal_status, limit));
  }
  if (!status.server_problem.empty()) {
    line("server", "does not tell how far it is: " + status.server_problem);
  }
  if (status.disk_free_bytes) {
    line("disk",
         fmt::format("{} free{}", program::bytes_text(static_cast<double>(*status.disk_free_bytes)),
                     status.disk_left_s
                         ? fmt::format(" ({})", program::seconds_text(*status.disk_left_s))
                         : ""));
  }
  if (status.updated_s != 0)
    line("updated", daystream::utc_text(daystream::at_second(status.updated_s)));
  if (!status.waiting_for.empty()) line("waiting for", status.waiting_for);
  if (!status.last_error.empty()) {
    line("last error",
         fmt::format("{}: {}", daystream::utc_text(daystream::at_second(status.last_error_s)),
                     status.last_error));
  }
}

}  // namespace

std::string Status::json() const {
  return daystream::json_page(to_json(*this));
}

std::optional<Status> Status::parse(const std::string& text) {
  try {
    const Json in = program::parse_json<Json>(text);
    Status out;
    out.state = in.at("state").get<std::string>();
    out.since_s = get_time(in, "since");
    out.pid = in.at("pid").get<int>();
    out.updated_s = get_time(in, "updated_at");
    out.slot = get_text(in, "slot");
    out.position = Position::parse(in.at("position").get<std::string>()).value_or(Position{});
    out.lsn = Lsn::parse(in.at("lsn").get<std::string>()).value_or(Lsn{});
    out.lines_per_s = in.at("lines_per_second").get<double>();
    out.bytes_per_s = in.at("bytes_per_second").get<double>();
    if (const auto lsn = get<std::string>(in, "server_lsn"))
      out.server.server_lsn = Lsn::parse(*lsn);
    out.server.lag_bytes = get<std::uint64_t>(in, "lag_bytes");
    out.server.lag_s = get<double>(in, "lag_seconds");
    out.server.retained_wal_bytes = get<std::uint64_t>(in, "retained_wal_bytes");
    out.server.until_lost_bytes = get<std::uint64_t>(in, "until_lost_bytes");
    out.server.until_lost_s = get<double>(in, "until_lost_seconds");
    out.server.wal_status = get_text(in, "wal_status");
    out.server_problem = get_text(in, "server_problem");
    out.disk_free_bytes = get<std::uint64_t>(in, "disk_free_bytes");
    out.disk_left_s = get<double>(in, "disk_left_seconds");
    out.disk_full_since_s = get_time(in, "disk_full_since");
    out.waiting_for = get_text(in, "waiting_for");
    out.left_out = get_text(in, "left_out");
    out.left_out_hint = get_text(in, "left_out_hint");
    out.last_error = get_text(in, "last_error");
    out.last_hint = get_text(in, "last_hint");
    out.last_error_s = get_time(in, "last_error_at");
    out.needs_person = in.value("needs_person", false);
    return out;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;  // another version's
  }
}

void Status::enter(const std::string& next) {
  if (state == next) return;
  state = next;
  since_s = std::time(nullptr);
}

bool save_status(const std::filesystem::path& directory, const Status& status) noexcept {
  try {
    const std::string text = status.json();
    const auto dir = daystream::real_dir(directory);
    try {
      replace_file(*dir, kStatusFile, text, {.synced = false});
      return true;
    } catch (const daystream::IoError&) {
      dir->remove(std::string(kStatusFile) + ".new");
      return overwrite(*dir, text);
    }
  } catch (const std::exception&) {
    return false;  // no memory, or text that is not UTF-8: not worth the stream
  }
}

std::optional<Status> load_status(const std::filesystem::path& directory) {
  const auto file = daystream::real_dir(directory)->open(kStatusFile);
  return file ? Status::parse(daystream::read_whole(*file)) : std::nullopt;
}

void save_last_error(const std::filesystem::path& directory, const std::string& problem,
                     const std::string& hint, bool needs_person) noexcept {
  try {
    if (daystream::lock_owner(std::filesystem::path(directory) / "lock") != 0) return;
    std::optional<Status> status = load_status(directory);
    if (!status || (status->state == "waiting" && is_deltastream(status->pid))) return;
    status->enter("stopped");
    status->last_error = problem;
    status->last_hint = hint;
    status->last_error_s = std::time(nullptr);
    status->needs_person = needs_person;
    save_status(directory, *status);
  } catch (const std::exception&) {  // as save_status()
  }
}

namespace {

program::StreamHealth health_of(const Status& status) {
  return program::streamer_health(std::make_shared<const Json>(to_json(status)),
                                  std::time(nullptr));
}

// What only one that runs knows: an old number does not pass for a new one.
void forget_measured(Status& status) {
  status.lines_per_s = 0;
  status.bytes_per_s = 0;
  status.server = {};
  status.disk_free_bytes.reset();
  status.disk_left_s.reset();
  status.disk_full_since_s = 0;
  status.server_problem = "deltastream does not run";
}

// What the file says, put right by what is so now.
Status status_now(const std::filesystem::path& directory) {
  Status status = load_status(directory).value_or(Status{});
  // `durable` is newer than the status, and right also when deltastream was killed.
  if (const auto durable = daystream::Durable::load(directory)) {
    status.position = durable->position;
    status.lsn = durable->lsn;
  }
  const std::optional<int> holder =
      daystream::lock_owner(std::filesystem::path(directory) / "lock");
  int pid = holder.value_or(status.state == "stopped" ? 0 : status.pid);
  if (pid == 0 && status.state == "waiting" && is_deltastream(status.pid)) pid = status.pid;
  status.pid = pid;
  if (pid == 0 && status.state != "stopped") {  // killed, after it last wrote its status
    status.state = "stopped";
    status.since_s = status.updated_s;
  }
  if (pid == 0) forget_measured(status);
  return status;
}

}  // namespace

std::string metrics_of(const std::filesystem::path& directory, const Status& status) {
  const std::string name = daystream::whole_path(directory).filename();
  const std::optional<Position> durable =
      status.position <= Position{} ? std::nullopt : std::optional(status.position);
  const std::vector<program::StreamFacts> facts = {{name, durable, status.lsn, health_of(status)}};
  program::MetricsText out;
  out.build_info("deltastream_build_info", {{"stream", name}});
  program::add_durable_metrics(out, facts);
  program::add_streamer_metrics(out, facts);
  return out.take();
}

int run_status(const std::string& directory, bool json) {
  if (!std::filesystem::exists(std::filesystem::path(directory) / "daystream.json")) {
    throw daystream::Error(fmt::format("there is no daystream in \"{}\"", directory),
                           "name the directory that deltastream has as -D");
  }
  const Status status = status_now(directory);
  const program::StreamHealth health = health_of(status);
  if (json) {
    Json out = to_json(status);
    out["healthy"] = health.is_well();
    out["trouble"] = health.is_well() ? Json::array() : Json::array({health.text()});
    std::fputs(daystream::json_page(out).c_str(), stdout);
  } else {
    if (!health.is_well()) std::printf("TROUBLE: %s\n", health.text().c_str());
    print_status(status, status.pid != 0 ? fmt::format("{} (process {})", status.state, status.pid)
                                         : status.state);
  }
  if (health.is_well()) return 0;
  return static_cast<int>(health.needs_person ? daystream::ExitCode::NeedsPerson
                                              : daystream::ExitCode::Failed);
}

}  // namespace deltastream
