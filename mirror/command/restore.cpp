// deltamirror restore: a mirror as it was.
#include "snapshot/restore.h"

#include <memory>

#include "command/commands.h"

namespace deltamirror {

void add_restore(CLI::App& app, Chosen& chosen) {
  struct Options {
    RestoreOptions restore;
  };
  auto options = std::make_shared<Options>();
  RestoreOptions& restore_options = options->restore;
  CLI::App& command =
      *app.add_subcommand("restore", "make a mirror as it was at a time, LSN or position");
  command.add_option("OUT", restore_options.out, "new SQLite file")
      ->required()
      ->each(check_file_name);
  command
      .add_option("--snapshot", restore_options.snapshot,
                  "a snapshot to begin with; or of a directory of them, s3://BUCKET/PREFIX or "
                  "https://HOST:PORT/NAME the newest that will do")
      ->required();
  add_daystream_option(command, restore_options.daystream);
  add_sources_config_option(command, restore_options.config_file);
  add_source_option(command, restore_options.source,
                    "of several sources the one whose LSN or position --to is");
  command
      .add_option("--to", restore_options.to,
                  "\"2026-11-21 10:15\" (UTC, or with an offset), \"2h ago\", an LSN, a position "
                  "of the daystream, latest")
      ->required();
  command.footer(
      "Examples:\n"
      "  deltamirror restore was.db --snapshot /srv/snapshots --daystream prod \\\n"
      "              --to \"2026-11-21 10:15\"\n"
      "  deltamirror restore was.db --snapshot s3://our-streams/prod --daystream "
      "s3://our-streams/prod \\\n"
      "              --to yesterday\n"
      "  deltamirror restore was.db --snapshot all.db --to 0/17B1480 --source eu");
  command.callback([options, &chosen] {
    chosen = [options](daystream::program::Signals& signals) {
      restore(options->restore, signals);
      return 0;
    };
  });
}

}  // namespace deltamirror
