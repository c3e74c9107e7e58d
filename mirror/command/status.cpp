#include "command/status.h"

#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "daystream/durable.h"
#include "filter/row_filter.h"
#include "history/history_tables.h"
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

// Seconds since `text`, a UTC time as utc_text() writes it.
double seconds_since(const std::string& text) {
  std::tm parts{};
  int fraction = 0;
  if (std::sscanf(text.c_str(), "%d-%d-%d %d:%d:%d.%d", &parts.tm_year, &parts.tm_mon,
                  &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &fraction) != 7) {
    return 0;
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  const auto then = static_cast<std::int64_t>(timegm(&parts)) * 1'000'000 + fraction;
  return static_cast<double>(now_us() - then) / 1e6;
}

ordered_json table_json(const Database& db, const MirroredTable& table, bool rows, bool analyzed) {
  ordered_json out;
  out["name"] = shown_name(table);
  out["source"] = table.source;
  out["source_table"] = table.is_static() ? ordered_json() : ordered_json(table.source_table);
  out["kind"] = table.is_static() ? "static" : "followed";
  if (table.mode != TableMode::Mirror) out["mode"] = mode_name(table.mode);
  if (table.keep_days != 0) out["keep_days"] = table.keep_days;
  if (table.where) out["where"] = table.where->text(table.shape);
  if (!table.query.empty()) out["query"] = table.query;
  out["seeded_at"] = table.seeded_at;
  out["seeded_rows"] = table.seeded_rows;
  const auto change =
      table.is_static() ? std::nullopt : load_change(db, table.source, table.shape.oid);
  out["last_change"] = change ? ordered_json(change->at) : ordered_json();
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

void add_error(ordered_json& out, const std::optional<LastError>& error) {
  out["last_error"] = error ? ordered_json(error->message) : ordered_json();
  out["last_error_at"] = error ? ordered_json(error->at) : ordered_json();
}

void add_source(ordered_json& out, const Checkpoint& at) {
  out["source"] = at.source;
  out["daystream"] = at.directory;
  out["system_identifier"] = at.system_identifier;
  out["database"] = at.database;
  out["timeline"] = at.timeline;
  out["position"] = at.position.text();
  out["lsn"] = at.lsn.text();
  out["consistent_at"] = at.consistent_at.text();
  out["state"] = at.lsn >= at.consistent_at ? "following" : "seeded";
  out["commit_time"] = at.commit_time.empty() ? ordered_json() : ordered_json(at.commit_time);
  out["applied_at"] = at.applied_at;
  out["complete_to"] = at.complete_to.empty() ? ordered_json() : ordered_json(at.complete_to);
  const auto durable = daystream::Durable::load(at.directory);
  if (durable) {
    const bool behind = durable->lsn > at.lsn;
    out["daystream_lsn"] = durable->lsn.text();
    out["lag_bytes"] = behind ? durable->lsn.value - at.lsn.value : 0;
    out["lag_seconds"] = behind && !at.commit_time.empty() ? seconds_since(at.commit_time) : 0.0;
  }
}

// Each source, and before all else whether one stands still.
void add_sources(ordered_json& out, const Database& db, const std::vector<Checkpoint>& all) {
  std::string stopped;
  ordered_json sources = ordered_json::array();
  for (const Checkpoint& at : all) {
    ordered_json& source = sources.emplace_back();
    add_source(source, at);
    const auto error = load_error(db, at.source);
    if (error && error->after == AfterError::Waiting) source["state"] = "waiting";
    if (error && error->after == AfterError::Stopped) {
      source["state"] = "stopped";
      stopped += (stopped.empty() ? "stopped: " : ", ") + at.source;
    }
    add_error(source, error);
  }
  out["state"] = stopped.empty() ? "following" : stopped;
  out["sources"] = std::move(sources);
}

ordered_json collect(const StatusOptions& options) {
  const Database db = open_for_reading(options.mirror);
  static_cast<void>(load_tables(db));  // says so where the file is no mirror
  const std::vector<Checkpoint> all = load_checkpoints(db);
  ordered_json out;
  out["mirror"] = options.mirror;
  const int owner = MirrorLock::holder(options.mirror);
  out["running"] = owner != 0;
  out["pid"] = owner != 0 ? ordered_json(owner) : ordered_json();
  const bool several = all.size() > 1;
  if (several) {
    add_sources(out, db, all);
  } else {
    add_source(out, all.front());
  }
  out["size_bytes"] = file_size(options.mirror);
  out["wal_size_bytes"] = file_size(options.mirror + "-wal");
  if (!several) add_error(out, load_error(db, all.front().source));
  out["tables"] = ordered_json::array();
  const bool analyzed =
      db.value("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'").has_value();
  for (const MirroredTable& table : load_tables(db)) {
    out["tables"].push_back(table_json(db, table, options.rows, analyzed));
  }
  return out;
}

std::string shown(const ordered_json& value) {
  if (value.is_null()) return "-";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace

std::string status_text(const StatusOptions& options) {
  const ordered_json facts = collect(options);
  if (options.json) return facts.dump(2) + "\n";
  std::string out;
  for (const auto& [key, value] : facts.items()) {
    if (key == "tables" || key == "sources") continue;
    out += fmt::format("{:<18}{}\n", key, shown(value));
  }
  for (const ordered_json& source : facts.value("sources", ordered_json::array())) {
    out += fmt::format("source {}\n", shown(source["source"]));
    for (const auto& [key, value] : source.items()) {
      if (key != "source") out += fmt::format("  {:<18}{}\n", key, shown(value));
    }
  }
  for (const ordered_json& table : facts["tables"]) {
    out += fmt::format("table {:<30} {} {}{}, {} rows {}, last change {}\n", shown(table["name"]),
                       table["kind"] == "static" ? "static query" : "from",
                       facts.contains("sources") ? shown(table["source"]) + " " : "",
                       table["kind"] == "static" ? "" : shown(table["source_table"]),
                       shown(table.contains("rows") ? table["rows"] : table["seeded_rows"]),
                       table.contains("rows") ? "now" : "seeded " + shown(table["seeded_at"]),
                       shown(table["last_change"]));
  }
  return out;
}

}  // namespace deltamirror
