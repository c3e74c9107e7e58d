// daystream compress: the days that are over, now and by hand.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "commands.h"
#include "daystream/error.h"
#include "daystream/housekeeping.h"
#include "daystream/manifest.h"
#include "daystream/stop.h"
#include "json_text.h"
#include "program/common_flags.h"
#include "program/figures.h"
#include "program/program.h"
#include "source.h"

namespace daystream::command {

namespace {

void print(const Housekeeping::Step& step, bool json) {
  if (json) {
    fmt::print("{}", json_line(nlohmann::ordered_json{{"action", "compressed"},
                                                      {"file", step.file},
                                                      {"size_bytes", step.bytes_before},
                                                      {"stored_bytes", step.bytes_after}}));
  } else {
    fmt::print("{}  {} to {}\n", step.file,
               program::bytes_text(static_cast<double>(step.bytes_before)),
               program::bytes_text(static_cast<double>(step.bytes_after)));
  }
  std::fflush(stdout);
}

int compress(const Stream& source, int level, bool json) {
  const std::filesystem::path directory = local_directory(source);
  Manifest::load(directory);  // or it is no daystream
  const Stop stop = program::Signals().stop();
  HousekeepingRules rules;
  rules.compress = level;
  Housekeeping housekeeping(directory, rules);
  int count = 0;
  while (const auto step = housekeeping.step(std::nullopt, stop)) {
    ++count;
    print(*step, json);
  }
  if (stop.requested())
    throw Error("stopped: the day that was begun stays as it was", "the same command goes on");
  if (housekeeping.busy()) {
    throw Error(fmt::format("another process compresses daystream \"{}\"", source.address()),
                "deltastream --compress does it by itself");
  }
  if (count == 0 && !json) fmt::print("daystream \"{}\": nothing to compress\n", source.address());
  return 0;
}

}  // namespace

void add_compress(CLI::App& app, Chosen& chosen) {
  struct Options {
    std::string source;
    int level = kDefaultCompression;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("compress", "compress the days that are over");
  command.add_option("DIR", options->source, "the daystream's directory")->required();
  command
      .add_option(
          "--level", options->level,
          fmt::format("of zstd, 1 to {} (default: {})", kMostCompression, kDefaultCompression))
      ->check(CLI::Range(1, kMostCompression));
  program::add_json_flag(command, options->json, "one JSON object a day");
  command.footer(
      "What deltastream --compress does by itself, also beside a deltastream and its readers.\n"
      "Each day is read back and checked before its plain file goes; \"zstd -d\" gives that back.\n"
      "\n"
      "Examples:\n"
      "  daystream compress /srv/prod\n"
      "  nice ionice -c3 daystream compress /srv/prod --level 12");
  command.callback([options, &chosen] {
    chosen = [options](const Reach& reach) {
      return compress(reach.streams.open(options->source), options->level, options->json);
    };
  });
}

}  // namespace daystream::command
