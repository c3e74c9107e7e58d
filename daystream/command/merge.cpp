// daystream merge: several daystreams into one.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands.h"
#include "daystream/error.h"
#include "daystream/manifest.h"
#include "daystream/stop.h"
#include "merger.h"
#include "origin.h"
#include "program/program.h"
#include "split_catalog.h"
#include "time_merger.h"

namespace daystream::command {

namespace {

struct MergeOptions {
  std::vector<std::string> inputs;
  std::string into;
  bool follow = false;  // as without --once
  bool once = false;
};

// NAME=STREAM, or STREAM alone.
NamedInput named(const std::string& text, const StreamKinds& streams) {
  const auto equals = text.find('=');
  const bool has_name = equals != std::string::npos && equals > 0 && text.find('/') > equals &&
                        !std::filesystem::exists(text);
  if (!has_name) return {"", streams.open(text)};
  return {text.substr(0, equals), streams.open(text.substr(equals + 1))};
}

bool are_of_one_database(const std::vector<NamedInput>& inputs) {
  const SourceIdentity first = source_of(inputs.front().stream);
  return std::all_of(inputs.begin(), inputs.end(), [&first](const NamedInput& input) {
    return source_of(input.stream) == first;
  });
}

// What is written is not to be read as well.
void check_output(const std::vector<NamedInput>& sources, const std::filesystem::path& into) {
  std::error_code none;
  for (const auto& [name, stream] : sources) {
    const auto own = stream.directory();
    if (!own) continue;
    const bool in_split =
        std::filesystem::exists(*own / kSplitName) &&
        std::filesystem::equivalent(*own, std::filesystem::absolute(into).parent_path(), none);
    if (!in_split && !std::filesystem::equivalent(*own, into, none)) continue;
    throw ConfigError(fmt::format("cannot merge into \"{}\": it is {} \"{}\"", into.string(),
                                  in_split ? "among the parts in" : "the source", stream.address()),
                      "name another directory");
  }
}

template <typename AnyMerger>
int run(AnyMerger& merger, bool once) {
  const Stop stop = program::Signals().stop();
  for (;;) {
    merger.work(stop);
    if (stop.requested()) return 0;
    if (once) {
      merger.mark();
      merger.work(stop);
      return 0;
    }
    merger.wait(stop.fd());
  }
}

int merge(const MergeOptions& options, const StreamKinds& streams) {
  std::vector<NamedInput> inputs;
  for (const std::string& input : options.inputs) inputs.push_back(named(input, streams));
  check_output(inputs, options.into);
  if (!are_of_one_database(inputs)) {
    for (const NamedInput& input : inputs) {
      if (!split_directory(input.stream)) continue;
      throw ConfigError(
          fmt::format("\"{}\" holds the parts of a split", input.stream.address()),
          "merge them by themselves first, and then what they give with the other databases");
    }
    TimeMerger merger(inputs, options.into);
    return run(merger, options.once);
  }
  std::vector<Stream> of_one;
  for (const NamedInput& input : inputs) of_one.push_back(input.stream);
  Merger merger(std::move(of_one), options.into);
  return run(merger, options.once);
}

}  // namespace

void add_merge(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<MergeOptions>();
  CLI::App& command = *app.add_subcommand("merge", "make one daystream of several");
  command
      .add_option("STREAM", options->inputs,
                  "daystreams, NAME=… to name one, or a directory of \"daystream split\": then all "
                  "its parts")
      ->required();
  command.add_option("--into", options->into, "the directory of the daystream to write")
      ->required();
  auto* follow = command.add_flag("-f,--follow", options->follow,
                                  "go on as more comes, until told to stop (default)");
  command.add_flag("--once", options->once, "end after what is there now")->excludes(follow);
  command.footer(
      "Inputs of one database, the parts of a split or streams of several slots: transactions go\n"
      "out in commit order, by LSN; what several have of one becomes one again. The output begins\n"
      "where all inputs have begun, and can be mirrored.\n\n"
      "Inputs of different databases: transactions go out in commit-time order, as far as the\n"
      "servers' clocks agree. Each line says where it is from, by the stream's name or the NAME\n"
      "given. It cannot be mirrored: what it holds is of several databases.\n\n"
      "Either way one goes out when all inputs are past it, so an input that stands still holds\n"
      "the others up. Started again it goes on where it was, every transaction exactly once.\n\n"
      "Examples:\n"
      "  daystream merge /srv/shards --into /srv/whole\n"
      "  daystream merge /srv/orders /srv/stock --into /srv/shop --once\n"
      "  daystream merge east=/srv/east/prod west=/srv/west/prod --into /srv/all");
  command.callback([options, &chosen] {
    chosen = [options](const Reach& reach) { return merge(*options, reach.streams); };
  });
}

}  // namespace daystream::command
