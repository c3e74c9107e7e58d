// deltamirror: from PostgreSQL and a daystream into a SQLite file.
#include <fmt/format.h>

#include <cstdio>

#include "arguments.h"
#include "follow.h"
#include "program/program.h"
#include "remote/enable.h"
#include "seed.h"
#include "status.h"
#include "up.h"
#include "verify.h"
#include "wait.h"

namespace program = daystream::program;

namespace deltamirror {

namespace {

int run(int argc, char** argv) {
  const Arguments arguments = parse_arguments(argc, argv);
  daystream::remote::enable();
  program::start_log("deltamirror", arguments.log);
  const program::Signals signals;  // before any thread
  switch (arguments.command) {
    case Command::Seed:
      seed({arguments.mirror, arguments.conninfo, arguments.daystream, arguments.config}, signals);
      return 0;
    case Command::Run:
      follow({arguments.mirror, arguments.daystream, arguments.once, arguments.lsn},
             {[&] { return signals.stop_requested(); }, signals.fd()});
      return 0;
    case Command::Up:
      return up({arguments.mirror, arguments.conninfo, arguments.slot, arguments.config}, signals);
    case Command::Status:
      fmt::print("{}", status_text({arguments.mirror, arguments.json, arguments.rows}));
      return 0;
    case Command::Verify: {
      const VerifyResult result = verify(
          {arguments.mirror, arguments.conninfo, arguments.daystream, arguments.repair}, signals);
      if (result.differences == 0 || arguments.repair) return 0;
      throw daystream::NeedsPerson(fmt::format("{} rows of mirror \"{}\" differ from PostgreSQL",
                                               result.differences, arguments.mirror),
                                   "stop its \"run\" and mend it with --repair, or seed it again");
    }
    case Command::Wait:
      if (wait_for_lsn(arguments.mirror, *arguments.lsn, arguments.timeout, signals)) return 0;
      throw daystream::Error(fmt::format("mirror \"{}\" has not reached {} in time",
                                         arguments.mirror, arguments.lsn->text()));
  }
  return 0;
}

}  // namespace

}  // namespace deltamirror

int main(int argc, char** argv) {
  return program::run("deltamirror", [&] { return deltamirror::run(argc, argv); });
}
