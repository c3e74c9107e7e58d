// deltamirror: from PostgreSQL and a daystream into a SQLite file.
#include <fmt/format.h>

#include "command/commands.h"
#include "daystream/manifest.h"
#include "program/common_flags.h"
#include "program/program.h"
#include "program/usage.h"
#include "store/mirrored_table.h"
#include "up/up.h"

namespace program = daystream::program;

namespace deltamirror {

namespace {

int run(int argc, char** argv) {
  CLI::App app{"deltamirror keeps tables of PostgreSQL as a SQLite file that follows them.",
               "deltamirror"};
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  program::add_common_flags(app, fmt::format("mirror format {}, daystream format {}", kMirrorFormat,
                                             daystream::kFormatVersion));
  app.require_subcommand(1);
  app.fallthrough();
  program::LogOptions log;
  app.add_option("--log-level", log.level, "error, warn, info, debug (default: info)")
      ->check(CLI::IsMember({"error", "warn", "info", "debug"}));
  app.add_option("--log-format", log.format, "text, json (default: text)")
      ->check(CLI::IsMember({"text", "json"}));
  Chosen chosen;
  add_seed(app, chosen, add_to_up);
  add_reseed(app, chosen);
  add_remove(app, chosen);
  add_run(app, chosen);
  add_up(app, chosen);
  add_down(app, chosen);
  add_status(app, chosen);
  add_doctor(app, chosen);
  add_list(app, chosen);
  add_wait(app, chosen);
  add_snapshot(app, chosen);
  add_restore(app, chosen);
  add_verify(app, chosen);
  add_config(app, chosen);
  app.footer(
      "Examples:\n"
      "  deltamirror seed flights.db -d service=prod --daystream /var/lib/daystream/prod \\\n"
      "              --table flights\n"
      "  deltamirror run flights.db --daystream /var/lib/daystream/prod\n"
      "  deltamirror up flights.db -d service=prod --table flights\n"
      "  deltamirror status flights.db\n\n"
      "\"deltamirror COMMAND --help\" has the options and examples of a command.\n\n"
      "Exit codes: 0 done, 1 failed (wait: not there in time), 2 wrong usage, 3 a person or a "
      "re-seed is\nneeded (verify: rows differ).");
  program::parse(app, std::vector<std::string>(argv + 1, argv + argc));
  program::start_log("deltamirror", log);
  program::Signals signals;  // before any thread
  return chosen(signals);
}

}  // namespace

}  // namespace deltamirror

int main(int argc, char** argv) {
  return program::run("deltamirror", [&] {
    // Other users' programs read a mirror: who may is for the operator's umask to say.
    const program::GivenUmask readable;
    return deltamirror::run(argc, argv);
  });
}
