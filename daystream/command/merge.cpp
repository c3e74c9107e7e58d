// daystream merge: several daystreams into one.
#include <memory>
#include <string>
#include <vector>

#include "commands.h"
#include "daystream/error.h"
#include "merger.h"
#include "program/program.h"
#include "source.h"

namespace daystream::command {

namespace {

struct Options {
  std::vector<std::string> sources;
  std::string into;
  bool follow = false;  // as without --once
  bool once = false;
};

int merge(const Options& options) {
  std::vector<std::filesystem::path> sources;
  for (const std::string& source : options.sources) sources.push_back(source_directory(source));
  const program::Signals signals;
  Merger merger(std::move(sources), options.into);
  const auto stop = [&] { return signals.stop_requested(); };
  for (;;) {
    merger.work(stop);
    if (signals.stop_requested()) return 0;
    if (options.once) {
      merger.mark();
      merger.work(stop);
      return 0;
    }
    merger.wait(signals.fd());
  }
}

}  // namespace

void add_merge(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("merge", "make one daystream of several");
  command.set_help_flag("-h,--help", "show this help and exit");
  command
      .add_option("SOURCE", options->sources,
                  "daystreams, or a directory of \"daystream split\": then all its parts")
      ->required();
  command.add_option("--into", options->into, "the directory of the daystream to write")
      ->required();
  auto* follow = command.add_flag("-f,--follow", options->follow,
                                  "go on as more comes, until told to stop (default)");
  command.add_flag("--once", options->once, "end after what is there now")->excludes(follow);
  command.footer(
      "The sources are of one database: the parts of a split, or streams of several slots. Their\n"
      "transactions go out in commit order, by LSN; what several have of one becomes one again.\n"
      "One goes out when all sources are past it, so a source that stands still holds the others\n"
      "up. The output begins where all sources have begun. Started again it goes on where it was,\n"
      "every transaction exactly once.\n\n"
      "Examples:\n"
      "  daystream merge /srv/shards --into /srv/whole\n"
      "  daystream merge /srv/orders /srv/stock --into /srv/shop --once");
  command.callback([options, &chosen] { chosen = [options] { return merge(*options); }; });
}

}  // namespace daystream::command
