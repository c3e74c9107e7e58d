// deltamirror status: what a mirror is and how far it has come.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "command/commands.h"
#include "config/source_places.h"
#include "daystream/error.h"
#include "filter/row_filter.h"
#include "history/history_tables.h"
#include "program/counted.h"
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

struct StatusOptions {
  std::string mirror;
  bool json = false;
  bool rows = false;  // count them
  bool all = false;   // name each table, however many there are
};

// More tables than this are counted, and only those in trouble are named.
constexpr std::size_t kMostTables = 50;
// Also an idle source is heard of every 10 s or so: of one that is not nobody knows what it has.
constexpr double kSilentAfterSeconds = 25;

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
  out["state"] = table.is_static() ? "static" : state_name(table.state);
  if (!table.reason.empty()) out["reason"] = table.reason;
  if (!table.hint.empty()) out["hint"] = table.hint;
  if (!table.since.empty()) out["since"] = table.since;
  out["seeded_at"] = table.seeded_at;
  out["seeded_rows"] = table.seeded_rows;
  out["written_rows"] = table.written_rows;
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

// How far the stream is on disk; nullopt: that cannot be asked now.
std::optional<daystream::Lsn> end_of_stream(const std::string& address) {
  try {
    if (const auto extent = open_stream(address).extent()) return extent->last_lsn;
  } catch (const daystream::Error&) {
    // A server that does not answer is no reason to say nothing of the mirror.
  }
  return std::nullopt;
}

// The seconds are the age of what is here, by `complete_to`: none where the mirror has all that the
// stream has and has heard of the source just now.
void add_lag(ordered_json& out, const Checkpoint& at) {
  const auto end = end_of_stream(at.directory);
  const bool behind = end && *end > at.lsn;
  out["daystream_lsn"] = end ? ordered_json(end->text()) : ordered_json();
  out["lag_bytes"] = end ? ordered_json(behind ? end->value - at.lsn.value : 0) : ordered_json();
  out["lag_seconds"] = ordered_json();
  if (at.complete_to.empty()) return;
  const std::int64_t now = now_us();
  const auto age_us = std::max<std::int64_t>(0, now - parse_utc_text(at.complete_to).value_or(now));
  const double age = static_cast<double>(age_us) / 1e6;
  out["lag_seconds"] = behind || age > kSilentAfterSeconds ? age : 0.0;
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
  add_lag(out, at);
}

// What the source is at, beside its checkpoint. Gives what is wrong with it; empty: nothing.
std::string add_state(ordered_json& out, const Database& db, const Checkpoint& at) {
  const auto error = load_error(db, at.source);
  if (error && error->after == AfterError::Waiting) out["state"] = "waiting";
  if (error && error->after == AfterError::Stopped) out["state"] = "stopped";
  out["last_error"] = error ? ordered_json(error->message) : ordered_json();
  out["last_error_at"] = error ? ordered_json(error->at) : ordered_json();
  if (!error || error->after == AfterError::None) return {};
  return fmt::format("source \"{}\" is {} since {}: {}{}{}", at.source,
                     out["state"].get<std::string>(), error->at, error->message,
                     error->hint.empty() ? "" : "; ", error->hint);
}

// "following", or which of several stand still.
std::string state_of_all(const ordered_json& sources) {
  std::string stopped;
  for (const ordered_json& source : sources) {
    if (source["state"] != "stopped") continue;
    stopped += (stopped.empty() ? "stopped: " : ", ") + source["source"].get<std::string>();
  }
  return stopped.empty() ? "following" : stopped;
}

bool is_in_trouble(const ordered_json& table) {
  return table["state"] != "following" && table["state"] != "static";
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
  ordered_json trouble = ordered_json::array();
  if (owner == 0) trouble.push_back("no process owns the mirror: \"deltamirror run\" is not there");
  ordered_json sources = ordered_json::array();
  for (const Checkpoint& at : all) {
    ordered_json& source = sources.emplace_back();
    add_source(source, at);
    const std::string wrong = add_state(source, db, at);
    if (!wrong.empty()) trouble.push_back(wrong);
  }
  if (all.size() == 1) {
    out.update(sources.front());
  } else {
    out["state"] = state_of_all(sources);
    out["sources"] = std::move(sources);
  }
  out["size_bytes"] = file_size(options.mirror);
  out["wal_size_bytes"] = file_size(beside(options.mirror, "-wal"));
  out["tables"] = ordered_json::array();
  const bool analyzed =
      db.value("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'").has_value();
  for (const MirroredTable& table : load_tables(db)) {
    out["tables"].push_back(table_json(db, table, options.rows, analyzed));
  }
  // Those in trouble come first.
  std::stable_partition(out["tables"].begin(), out["tables"].end(), is_in_trouble);
  for (const ordered_json& table : out["tables"]) {
    if (!is_in_trouble(table)) break;
    const std::string hint = table.value("hint", "");
    trouble.push_back(fmt::format("table {} is {}{}{}{}{}{}", table["name"].get<std::string>(),
                                  table["state"].get<std::string>(),
                                  table.contains("since") ? " since " : "",
                                  table.value("since", ""), table.contains("reason") ? ": " : "",
                                  table.value("reason", ""), hint.empty() ? "" : "; " + hint));
  }
  out["healthy"] = trouble.empty();
  out["trouble"] = std::move(trouble);
  return out;
}

std::string shown(const ordered_json& value) {
  if (value.is_null()) return "-";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string seeded_text(const ordered_json& table) {
  const bool all = table["written_rows"] == table["seeded_rows"];
  return fmt::format("{} {}{}", all ? "seeded" : "compared", shown(table["seeded_at"]),
                     all ? "" : fmt::format(" ({} written)", shown(table["written_rows"])));
}

void write_table(std::string& out, const ordered_json& table, bool several) {
  const bool followed = table["kind"] != "static";
  out +=
      fmt::format("table {:<30} {} {}{}, {} rows {}, last change {}\n", shown(table["name"]),
                  followed ? "from" : "static query", several ? shown(table["source"]) + " " : "",
                  followed ? shown(table["source_table"]) : "",
                  shown(table.contains("rows") ? table["rows"] : table["seeded_rows"]),
                  table.contains("rows") ? "now" : seeded_text(table), shown(table["last_change"]));
}

void write_tables(std::string& out, const ordered_json& facts, bool all) {
  const ordered_json& tables = facts["tables"];
  const bool named = all || tables.size() <= kMostTables;
  std::map<std::string, std::size_t> states;
  for (const ordered_json& table : tables) {
    ++states[table["state"].get<std::string>()];
    if (named || is_in_trouble(table)) write_table(out, table, facts.contains("sources"));
  }
  std::string counts;
  for (const auto& [state, count] : states) {
    counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", count, state);
  }
  out += fmt::format("{}{}{}{}\n", daystream::program::counted(tables.size(), "table"),
                     counts.empty() ? "" : ": ", counts, named ? "" : " (--all names them)");
}

std::string text_of(const ordered_json& facts, bool all) {
  std::string out;
  for (const ordered_json& wrong : facts["trouble"]) {
    out += fmt::format("TROUBLE: {}\n", wrong.get<std::string>());
  }
  for (const auto& [key, value] : facts.items()) {
    if (key == "tables" || key == "sources" || key == "healthy" || key == "trouble") continue;
    out += fmt::format("{:<18}{}\n", key, shown(value));
  }
  for (const ordered_json& source : facts.value("sources", ordered_json::array())) {
    out += fmt::format("source {}\n", shown(source["source"]));
    for (const auto& [key, value] : source.items()) {
      if (key != "source") out += fmt::format("  {:<18}{}\n", key, shown(value));
    }
  }
  write_tables(out, facts, all);
  return out;
}

}  // namespace

void add_status(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<StatusOptions>();
  CLI::App& command = *app.add_subcommand(
      "status", "show what a mirror is, how far it has come, and what is wrong");
  add_mirror_option(command, options->mirror);
  command.add_flag("--json", options->json, "for machines");
  command.add_flag("--rows", options->rows, "count the rows of each table");
  command.add_flag("--all", options->all, "name each table, also where there are many");
  command.footer(
      "Examples:\n"
      "  deltamirror status flights.db\n"
      "  deltamirror status flights.db --json --rows\n\n"
      "Exit codes: 0 a process owns the mirror, and every source and table is followed; 1 not so.");
  command.callback([options, &chosen] {
    chosen = [options](daystream::program::Signals&) {
      const ordered_json facts = collect(*options);
      fmt::print("{}", options->json ? facts.dump(2) + "\n" : text_of(facts, options->all));
      return facts["healthy"].get<bool>() ? 0 : 1;
    };
  });
}

}  // namespace deltamirror
