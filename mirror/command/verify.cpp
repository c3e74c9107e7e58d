// deltamirror verify: compares a mirror with PostgreSQL.
#include "verify/verify.h"

#include <fmt/format.h>

#include <memory>

#include "command/commands.h"
#include "command/table_commands.h"
#include "program/common_flags.h"
#include "program/figures.h"
#include "store/mirror_file.h"
#include "store/mirror_lock.h"

namespace deltamirror {

namespace {

struct VerifyArguments {
  std::string mirror;
  AskedPlaces places;
  bool repair = false;
  bool json = false;
  std::optional<SampleSize> sample;
};

int run(const VerifyArguments& options, daystream::program::Signals& signals) {
  // A mirror that runs is mended by its owner.
  const bool owned = options.repair && MirrorLock::holder(options.mirror) != 0;
  VerifyReport report(options.mirror, options.json);
  const std::vector<SourcePlace> places =
      source_places(open_for_reading(options.mirror), options.places);
  for (const SourcePlace& place : places) {
    const std::string& source = place.at.source;
    report.source(place.at, places.size() > 1);
    const VerifyOptions own{options.mirror,  place.conninfo.value_or(""),
                            place.daystream, options.repair && !owned,
                            source,          options.sample.value_or(SampleSize{})};
    std::vector<std::string> different;
    if (options.sample) {
      verify_sample(own, signals, report);
    } else {
      different = verify(own, signals, report);
    }
    if (!owned || different.empty()) continue;
    AskedPlaces only = options.places;
    only.source = source;
    only.conninfo = place.conninfo;
    reseed_tables({.mirror = options.mirror, .places = std::move(only)}, different, signals);
  }
  report.finish();
  const std::uint64_t differences = report.differences();
  if (differences == 0 || options.repair) return 0;
  throw daystream::NeedsPerson(fmt::format("{} of mirror \"{}\" {} from PostgreSQL",
                                           daystream::program::counted(differences, "row"),
                                           options.mirror, differences == 1 ? "differs" : "differ"),
                               "mend it with --repair, or seed it again");
}

}  // namespace

void add_verify(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<VerifyArguments>();
  CLI::App& command = *app.add_subcommand("verify", "compare a mirror with PostgreSQL row by row");
  add_mirror_option(command, options->mirror);
  add_connection_option(command, options->places.conninfo);
  add_daystream_option(command, options->places.daystream);
  add_sources_config_option(command, options->places.config_file);
  add_source_option(command, options->places.source,
                    "only that one of several sources (default: all, one after the other)");
  command.add_flag(
      "--repair", options->repair,
      "mend what differs, through the \"run\" that owns the mirror where there is one");
  command.add_option_function<std::string>(
      "--sample",
      [options](const std::string& text) {
        options->sample = daystream::program::parse_sample_size(text);
        if (!options->sample)
          usage(fmt::format("invalid --sample \"{}\": {}", text,
                            daystream::program::kSampleSizeLike));
      },
      "compare only about so many rows of each table: 1%, 1000");
  daystream::program::add_json_flag(command, options->json);
  command.footer(
      "Examples:\n"
      "  deltamirror verify flights.db -d service=prod --daystream /var/lib/daystream/prod\n"
      "      prove that the copy is right, while both go on\n"
      "  deltamirror verify flights.db -d service=prod --sample 0.1%\n\n"
      "Exit code 3: rows differ.");
  command.callback([options, &chosen] {
    if (options->sample && options->repair) {
      usage("--repair mends all rows: it does not go with --sample");
    }
    chosen = [options](daystream::program::Signals& signals) { return run(*options, signals); };
  });
}

}  // namespace deltamirror
