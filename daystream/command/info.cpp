// daystream info: what a directory holds, without reading it through.
#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "calendar.h"
#include "commands.h"
#include "day_file.h"
#include "daystream/manifest.h"
#include "durable_file.h"
#include "manifest_file.h"
#include "range.h"
#include "rate.h"
#include "reader_source.h"
#include "remote_info.h"
#include "source.h"
#include "stream_view.h"
#include "table_counts.h"
#include "text.h"
#include "writer_of.h"

namespace daystream::command {

namespace {

struct Day {
  std::string file;
  std::uint64_t size_bytes;    // what may be read of it
  std::uint64_t stored_bytes;  // what that takes on disk
};

struct Info {
  Manifest manifest;
  std::vector<Day> days;
  std::uint64_t size_bytes = 0;
  std::uint64_t stored_bytes = 0;
  std::optional<EndLine> first;  // the mark it begins with
  std::optional<EndLine> last;   // the last commit, mark, abort or gap
  Durable durable;
  bool has_durable = false;
  Rate rate;
  std::optional<std::string> writer;
};

Info gather(const std::filesystem::path& directory) {
  const auto dir = real_dir(directory);
  Info info;
  info.manifest = load_manifest(*dir);
  info.writer = writer_of(directory);
  info.has_durable = load_durable(*dir).has_value();
  const StreamView view(*dir);
  if (view.empty()) return info;
  info.durable = view.durable();
  for (const std::int64_t day : view.days()) {
    const auto kept = view.open_if_kept(day);
    if (!kept) continue;  // deleted just now
    const DayView& open = *kept;
    info.days.push_back(
        {open.packed ? packed_file_name(day) : day_file_name(day), open.limit, open.stored_bytes});
    info.size_bytes += open.limit;
    info.stored_bytes += open.stored_bytes;
    if (!info.first) {
      info.first =
          Seeker(*open.file, open.limit).first_end_from(0, [](const EndLine&) { return true; });
    }
  }
  info.last = view.last_end();
  info.rate = recent_rate(view, directory);
  return info;
}

nlohmann::ordered_json place_json(const Position& position, Lsn lsn) {
  return {
      {"c", position.c}, {"s", position.s}, {"time", utc_text(position.c)}, {"lsn", lsn.text()}};
}

void print_json(const Info& info) {
  using nlohmann::ordered_json;
  ordered_json value;
  value["name"] = info.manifest.name;
  value["format"] = info.manifest.format;
  value["system_identifier"] = info.manifest.system_identifier;
  value["database"] = info.manifest.database;
  value["slot"] = info.manifest.slot;
  value["created"] = info.manifest.created;
  for (const MergedSource& source : info.manifest.sources) {
    value["sources"].push_back(ordered_json{{"name", source.name},
                                            {"system_identifier", source.system_identifier},
                                            {"database", source.database},
                                            {"slot", source.slot}});
  }
  value["holdings"] = ordered_json::array();
  for (const Holding& holding : info.manifest.holdings) {
    ordered_json options = ordered_json::object();
    for (const auto& [key, text] : holding.options) options[key] = text;
    value["holdings"].push_back(ordered_json{
        {"since", holding.since.text()}, {"tables", holding.tables}, {"options", options}});
  }
  value["writer"] = info.writer ? ordered_json(*info.writer) : ordered_json(nullptr);
  value["keep_days"] =
      info.manifest.keep_days ? ordered_json(*info.manifest.keep_days) : ordered_json(nullptr);
  value["keep_bytes"] =
      info.manifest.keep_bytes ? ordered_json(*info.manifest.keep_bytes) : ordered_json(nullptr);
  value["size_bytes"] = info.size_bytes;
  value["stored_bytes"] = info.stored_bytes;
  value["bytes_per_second"] = info.rate.bytes;
  value["lines_per_second"] = info.rate.lines;
  value["transactions_per_second"] = info.rate.transactions;
  value["rate_seconds"] = info.rate.seconds;
  value["first"] = info.first ? place_json(info.first->position, info.first->lsn) : ordered_json();
  value["last"] = info.last ? place_json(info.last->position, info.durable.lsn) : ordered_json();
  value["durable"] =
      info.days.empty() ? ordered_json() : place_json(info.durable.position, info.durable.lsn);
  value["days"] = ordered_json::array();
  for (const Day& day : info.days) {
    value["days"].push_back(ordered_json{
        {"file", day.file}, {"size_bytes", day.size_bytes}, {"stored_bytes", day.stored_bytes}});
  }
  std::puts(value.dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
}

std::string place_text(const Position& position, Lsn lsn) {
  return fmt::format("{}  {}  LSN {}", position.text(), utc_text(position.c), lsn.text());
}

std::string keeps_text(const Manifest& manifest) {
  std::string text;
  if (manifest.keep_days) {
    text = fmt::format("the current day and {} before it", count_text(*manifest.keep_days, "day"));
  }
  if (manifest.keep_bytes) {
    text += fmt::format("{}at most {}", text.empty() ? "" : ", ",
                        bytes_text(static_cast<double>(*manifest.keep_bytes)));
  }
  return text.empty() ? "all days" : text;
}

// A size, and what it takes on disk where that is less.
std::string stored_text(std::uint64_t size_bytes, std::uint64_t stored_bytes) {
  const std::string size = fmt::format("{:>8}", bytes_text(static_cast<double>(size_bytes)));
  if (stored_bytes >= size_bytes) return size;
  return size + fmt::format(", {} on disk", bytes_text(static_cast<double>(stored_bytes)));
}

void print_text(const Info& info) {
  const Manifest& manifest = info.manifest;
  fmt::print("name      {}\n", manifest.name);
  for (const MergedSource& source : manifest.sources) {
    fmt::print("source    \"{}\": database \"{}\" of system {}, slot \"{}\"\n", source.name,
               source.database, source.system_identifier, source.slot);
  }
  if (!manifest.sources.empty()) {
    // Said above.
  } else if (manifest.system_identifier.empty()) {
    fmt::print("source    standard input\n");
  } else {
    fmt::print("source    database \"{}\" of system {}, slot \"{}\"\n", manifest.database,
               manifest.system_identifier, manifest.slot);
  }
  fmt::print("created   {}\n", manifest.created);
  for (const Holding& holding : manifest.holdings) {
    std::string text = holding.tables.empty() ? "all tables" : holding.tables;
    for (const auto& [key, value] : holding.options) text += fmt::format(", {}={}", key, value);
    fmt::print("holds     {} (since {})\n", text, holding.since.text());
  }
  fmt::print("keeps     {}\n", keeps_text(manifest));
  fmt::print("writer    {}\n", info.writer.value_or("none on this machine"));
  if (info.days.empty()) {
    fmt::print("no line yet\n");
    return;
  }
  if (info.first) fmt::print("first     {}\n", place_text(info.first->position, info.first->lsn));
  if (info.last) fmt::print("last      {}\n", place_text(info.last->position, info.durable.lsn));
  if (!info.has_durable) fmt::print("durable   no readable file \"{}\"\n", kDurableName);
  fmt::print("rate      {}/s, {:.1f} lines/s, {:.1f} transactions/s over the last {}\n",
             bytes_text(info.rate.bytes), info.rate.lines, info.rate.transactions,
             info.rate.seconds < 120 ? fmt::format("{} s", info.rate.seconds)
                                     : fmt::format("{} min", info.rate.seconds / 60));
  fmt::print("size      {} in {}{}\n", bytes_text(static_cast<double>(info.size_bytes)),
             count_text(info.days.size(), "day"),
             info.stored_bytes < info.size_bytes
                 ? fmt::format(", {} on disk", bytes_text(static_cast<double>(info.stored_bytes)))
                 : "");
  for (const Day& day : info.days) {
    fmt::print("  {}  {}\n", day.file, stored_text(day.size_bytes, day.stored_bytes));
  }
}

}  // namespace

void add_info(CLI::App& app, Chosen& chosen) {
  struct Options {
    std::string source;
    bool json = false;
    bool tables = false;
    RangeOptions range;
  };
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("info", "tell what a daystream holds, and who writes it");
  command.set_help_flag("-h,--help", "show this help and exit");
  command.add_option("SOURCE", options->source, "the daystream's directory, or its http(s):// URL")
      ->required();
  command.add_flag("--json", options->json, "for programs");
  auto* tables =
      command.add_flag("--tables", options->tables, "instead: count changes per table and action");
  command
      .add_option("--since", options->range.since,
                  "with --tables: from a time (UTC), position or LSN on")
      ->needs(tables);
  command
      .add_option("--until", options->range.until,
                  "with --tables: up to and without a time; up to and with a position or LSN")
      ->needs(tables);
  command.footer(
      "Examples:\n"
      "  daystream info /srv/prod\n"
      "  daystream info /srv/prod --json\n"
      "  daystream info /srv/prod --tables --since \"1h ago\"");
  command.callback([options, &chosen] {
    chosen = [options] {
      if (options->tables) return info_tables(options->source, options->range, options->json);
      if (const auto url = remote_url(options->source)) return info_remote(*url, options->json);
      const Info info = gather(source_directory(options->source));
      options->json ? print_json(info) : print_text(info);
      return 0;
    };
  });
}

}  // namespace daystream::command
