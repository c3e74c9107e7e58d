// deltamirror snapshot: copies a mirror while it runs.
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "command/commands.h"
#include "remote/s3_address.h"
#include "snapshot/take.h"

namespace deltamirror {

void add_snapshot(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<SnapshotOptions>();
  CLI::App& command = *app.add_subcommand(
      "snapshot", "copy a mirror, while it runs, into one file that others start from");
  add_mirror_option(command, options->mirror);
  command
      .add_option(
          "OUT", options->out,
          "a new file; in a directory, or at s3://BUCKET/PREFIX: MIRROR-20261121T101504Z.db")
      ->required();
  command.add_flag_callback(
      "--raw", [options] { options->form = SnapshotForm::Raw; },
      "page by page: made faster, but no smaller than the mirror");
  command.add_option_function<std::string>(
      "--keep",
      [options](const std::string& text) {
        options->keep = parse_retention(text);
        if (!options->keep)
          usage(fmt::format("invalid --keep \"{}\": {}", text, daystream::program::kRetentionLike));
      },
      "remove older ones there, not of a file alone: 24h,7d,4w,12m keeps the newest of 24 hours, 7 "
      "days, 4 "
      "weeks and 12 months; 10 the last ten");
  command.footer(
      "Examples:\n"
      "  deltamirror snapshot flights.db copy.db\n"
      "  deltamirror snapshot flights.db /srv/snapshots --keep 7d,4w,12m\n"
      "      from cron: copies that other hosts start from\n"
      "  deltamirror snapshot flights.db s3://our-streams/prod --keep 7d");
  command.callback([options, &chosen] {
    if (!daystream::remote::S3Address::is_one(options->out) &&
        !std::filesystem::is_directory(options->out)) {
      check_file_name(options->out);
    }
    chosen = [options](daystream::program::Signals& signals) {
      fmt::print("{}\n", take_snapshot(*options, signals));
      return 0;
    };
  });
}

}  // namespace deltamirror
