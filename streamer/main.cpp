// deltastream: from a replication slot into a daystream.
#include "command/checks.h"
#include "command/slot_commands.h"
#include "command/stdin_source.h"
#include "command/streamer.h"
#include "config/stream_config.h"
#include "program/program.h"
#include "status/status.h"

namespace program = daystream::program;

namespace deltastream {

namespace {

int run(int argc, char** argv) {
  Config config = parse_config(argc, argv);
  program::set_last_words(config.last_words);
  program::start_log("deltastream", {config.log_level, config.log_format, config.log_source});
  if (config.command == Command::Check) return run_checks(config);
  if (config.command == Command::Status) return run_status(config.directory, config.json);
  program::Signals signals;  // before any thread
  switch (config.command) {
    case Command::Follow:
      Streamer(config, signals).run();
      break;
    case Command::Stdin:
      follow_stdin(config, signals);
      break;
    case Command::CreateSlot:
      run_create_slot(config, signals);
      break;
    case Command::DropSlot:
      run_drop_slot(config);
      break;
    case Command::RecreateSlot:
      run_recreate_slot(config, signals);
      break;
    case Command::Check:
    case Command::Status:
      break;
  }
  return 0;
}

}  // namespace

}  // namespace deltastream

int main(int argc, char** argv) {
  return program::run("deltastream", [&] { return deltastream::run(argc, argv); });
}
