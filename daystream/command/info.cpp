// daystream info: what a stream holds, without reading it through.
#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "calendar.h"
#include "commands.h"
#include "day_file.h"
#include "dir.h"
#include "json_text.h"
#include "program/common_flags.h"
#include "program/figures.h"
#include "program/harmless.h"
#include "program/stream_health.h"
#include "range.h"
#include "stream_json.h"
#include "table_counts.h"

namespace daystream::command {

namespace {

using program::harmless;  // all of it may be the words of a server

std::string json_text(const StreamInfo& info) {
  using nlohmann::ordered_json;
  return harmless(json_page(to_json(info)), program::Keep::Lines);
}

std::string point_text(const StreamInfo::Point& point) {
  return fmt::format("{}  {}  LSN {}", point.position.text(), utc_text(at_second(point.position.c)),
                     point.lsn.text());
}

std::string keeps_text(const Manifest& manifest) {
  std::string text;
  if (manifest.keep_days) {
    text = fmt::format("the current day and {} before it",
                       program::counted(*manifest.keep_days, "day"));
  }
  if (manifest.keep_bytes) {
    text += fmt::format("{}at most {}", text.empty() ? "" : ", ",
                        program::bytes_text(static_cast<double>(*manifest.keep_bytes)));
  }
  return text.empty() ? "all days" : text;
}

// A size, and what it takes on disk where that is less.
std::string stored_text(std::uint64_t size_bytes, std::uint64_t stored_bytes) {
  std::string size = fmt::format("{:>8}", program::bytes_text(static_cast<double>(size_bytes)));
  if (stored_bytes >= size_bytes) return size;
  return size + fmt::format(", {} on disk", program::bytes_text(static_cast<double>(stored_bytes)));
}

std::string source_text(const Manifest& manifest) {
  std::string text;
  for (const MergedSource& source : manifest.sources) {
    text += fmt::format("source    \"{}\": database \"{}\" of system {}, slot \"{}\"\n",
                        harmless(source.name), harmless(source.database),
                        harmless(source.system_identifier), harmless(source.slot));
  }
  if (!text.empty()) return text;
  if (manifest.system_identifier.empty()) return "source    standard input\n";
  return fmt::format("source    database \"{}\" of system {}, slot \"{}\"\n",
                     harmless(manifest.database), harmless(manifest.system_identifier),
                     harmless(manifest.slot));
}

std::string holding_text(const Holding& holding) {
  std::string text = holding.tables.empty() ? "all tables" : holding.tables;
  for (const auto& [key, value] : holding.options) text += fmt::format(", {}={}", key, value);
  return fmt::format("holds     {} (since {})\n", harmless(text), holding.since.text());
}

std::string rate_text(const StreamInfo::Rate& rate) {
  return fmt::format("rate      {}/s, {:.1f} lines/s, {:.1f} transactions/s over the last {}\n",
                     program::bytes_text(rate.bytes), rate.lines, rate.transactions,
                     rate.seconds < 120 ? fmt::format("{} s", rate.seconds)
                                        : fmt::format("{} min", rate.seconds / 60));
}

std::string days_text(const StreamInfo::Whole& whole) {
  std::string text = fmt::format(
      "size      {} in {}{}\n", program::bytes_text(static_cast<double>(whole.size_bytes)),
      program::counted(whole.days.size(), "day"),
      whole.stored_bytes < whole.size_bytes
          ? fmt::format(", {} on disk",
                        program::bytes_text(static_cast<double>(whole.stored_bytes)))
          : "");
  for (const StreamInfo::Day& day : whole.days) {
    text += fmt::format("  {}  {}\n", harmless(day.file),
                        stored_text(day.size_bytes, day.stored_bytes));
  }
  return text;
}

// One that waits for room has let go of the files, so that somebody can make some.
std::string waiting_writer(const Stream& stream) {
  const auto directory = stream.directory();
  if (!directory) return {};
  const auto told = program::read_streamer_status(*real_dir(*directory));
  if (!told) return {};
  const program::StreamHealth health = program::streamer_health(told, std::time(nullptr));
  return health.fresh && !health.is_well() ? health.trouble : std::string();
}

std::string writer_text(const StreamInfo& info, const Stream& stream) {
  if (info.whole->writer) return *info.whole->writer;
  const std::string waits = waiting_writer(stream);
  return waits.empty() ? "none on the machine that has the files" : waits;
}

std::string text_of(const StreamInfo& info, const Stream& stream) {
  const Manifest& manifest = info.manifest;
  std::string text = fmt::format("name      {}\n{}created   {}\n", harmless(manifest.name),
                                 source_text(manifest), harmless(manifest.created));
  for (const Holding& holding : manifest.holdings) text += holding_text(holding);
  if (info.whole) {
    text += fmt::format("keeps     {}\nwriter    {}\n", keeps_text(manifest),
                        harmless(writer_text(info, stream)));
  }
  if (!info.first || !info.last) return text + "no line yet\n";
  text +=
      fmt::format("first     {}\nlast      {}\n", point_text(*info.first), point_text(*info.last));
  if (!info.durable) text += fmt::format("durable   no readable file \"{}\"\n", kDurableName);
  if (info.whole) text += rate_text(info.whole->rate) + days_text(*info.whole);
  return text;
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
  command
      .add_option("STREAM", options->source,
                  "the daystream's directory, http(s):// or nats:// URL, or s3:// archive")
      ->required();
  program::add_json_flag(command, options->json);
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
    chosen = [options](const Reach& reach) {
      const Stream stream = reach.streams.open(options->source);
      if (options->tables) return info_tables(stream, options->range, options->json);
      const StreamInfo info = stream.info();
      std::fputs((options->json ? json_text(info) : text_of(info, stream)).c_str(), stdout);
      return 0;
    };
  });
}

}  // namespace daystream::command
