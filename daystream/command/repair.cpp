// daystream repair: what deltastream does when it starts, without a server.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "commands.h"
#include "daystream/error.h"
#include "daystream/manifest.h"
#include "daystream/writer.h"
#include "program/figures.h"
#include "source.h"
#include "verification.h"

namespace daystream::command {

namespace {

void cut(const Stream& source) {
  const std::filesystem::path directory = local_directory(source);
  const Manifest manifest = Manifest::load(directory);
  const Writer writer(directory, manifest, std::nullopt, {});
  const Recovery& done = writer.recovery();
  if (!done.cut_file.empty()) {
    fmt::print("cut {} from byte {} of file \"{}\", never confirmed: {}\n",
               program::counted(done.cut_bytes, "byte"), done.cut_at_bytes, done.cut_file,
               done.cut_reason);
  }
  if (done.aborted_xid) {
    fmt::print("ended the unfinished transaction {} with an abort line\n", *done.aborted_xid);
  }
  if (done.cut_file.empty() && !done.aborted_xid) {
    fmt::print("daystream \"{}\": nothing to cut\n", source.address());
  }
}

int repair(const Stream& source) {
  cut(source);
  // Opening reads no more than what may not have reached the disk.
  verify_directory(source, false);
  return 0;
}

}  // namespace

void add_repair(CLI::App& app, Chosen& chosen) {
  auto source = std::make_shared<std::string>();
  CLI::App& command =
      *app.add_subcommand("repair", "cut what was never confirmed and is not whole");
  command.add_option("DIR", *source, "the daystream's directory")->required();
  command.footer(
      "Does what deltastream does when it starts; it is not needed before that. Then it checks\n"
      "every byte, as verify does. Bytes that were confirmed are never touched: damage there is\n"
      "reported, with exit code 3. Refuses while a writer has the directory.\n\n"
      "Examples:\n"
      "  daystream repair /srv/prod");
  command.callback([source, &chosen] {
    chosen = [source](const Reach& reach) { return repair(reach.streams.open(*source)); };
  });
}

}  // namespace daystream::command
