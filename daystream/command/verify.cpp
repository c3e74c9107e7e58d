// daystream verify: every byte of a directory.
#include <memory>
#include <string>

#include "commands.h"
#include "verification.h"

namespace daystream::command {

void add_verify(CLI::App& app, Chosen& chosen) {
  auto source = std::make_shared<std::string>();
  CLI::App& command = *app.add_subcommand("verify", "check every byte of a daystream");
  command.set_help_flag("-h,--help", "show this help and exit");
  command.add_option("DIR", *source, "the daystream's directory")->required();
  command.footer(
      "Checks positions and CRCs of all that is durable, also while a writer is at work. Damage "
      "is\n"
      "told with file and byte, and exit code 3.\n\n"
      "Examples:\n"
      "  daystream verify /srv/prod");
  command.callback([source, &chosen] {
    chosen = [source](const Reach& reach) {
      verify_directory(reach.streams.open(*source));
      return 0;
    };
  });
}

}  // namespace daystream::command
