// daystream verify: every byte of what is there as files.
#include <memory>
#include <string>

#include "commands.h"
#include "program/common_flags.h"
#include "verification.h"

namespace daystream::command {

void add_verify(CLI::App& app, Chosen& chosen) {
  struct Options {
    std::string source;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("verify", "check every byte of a daystream");
  command.add_option("STREAM", options->source, "the daystream's directory, or its s3:// archive")
      ->required();
  program::add_json_flag(command, options->json);
  command.footer(
      "Checks positions and CRCs of all that is durable, also while a writer is at work. Damage "
      "is\n"
      "reported with file and byte, and exit code 3.\n\n"
      "Examples:\n"
      "  daystream verify /srv/prod\n"
      "  daystream verify /srv/prod --json | jq .transactions");
  command.callback([options, &chosen] {
    chosen = [options](const Reach& reach) {
      verify_directory(reach.streams.open(options->source), options->json);
      return 0;
    };
  });
}

}  // namespace daystream::command
