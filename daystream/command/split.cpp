// daystream split: one daystream into several.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "commands.h"
#include "daystream/error.h"
#include "daystream/stop.h"
#include "program/program.h"
#include "splitter.h"

namespace daystream::command {

namespace {

struct SplitOptions {
  std::string source;
  std::string directory;
  std::string by = "table";
  std::uint32_t into = 0;
  std::string tables;
  bool follow = false;  // as without --once
  bool once = false;
};

SplitRule rule_of(const SplitOptions& options) {
  SplitRule rule;
  rule.by = options.by == "table"    ? SplitBy::Table
            : options.by == "schema" ? SplitBy::Schema
                                     : SplitBy::Key;
  rule.into = options.into;
  rule.tables = options.tables;
  if (rule.by == SplitBy::Key && rule.into == 0) {
    throw ConfigError("--by=key needs --into", "say into how many parts: --into 4");
  }
  if (!rule.tables.empty()) check_table_list(rule.tables);
  return rule;
}

int split(const SplitOptions& options, const Stream& source) {
  const SplitRule rule = rule_of(options);
  Splitter splitter(source, options.directory, rule);
  const Stop stop = program::Signals().stop();
  for (;;) {
    splitter.work(stop);
    if (stop.requested()) return 0;
    if (options.once) {
      splitter.mark_all();
      splitter.work(stop);
      return 0;
    }
    splitter.reader().wait(splitter.mark_due().value_or(std::chrono::hours(1)), stop.fd());
  }
}

}  // namespace

void add_split(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<SplitOptions>();
  CLI::App& command = *app.add_subcommand("split", "make several daystreams of one");
  command.add_option("STREAM", options->source, "the daystream's directory")->required();
  command
      .add_option("DIR", options->directory,
                  "where the parts are to be: a directory each, made when needed")
      ->required();
  command
      .add_option("--by", options->by,
                  "table, schema or key: what goes together (key: rows by a hash of their key)")
      ->check(CLI::IsMember({"table", "schema", "key"}))
      ->type_name("WHAT")
      ->capture_default_str();
  command
      .add_option(
          "--into", options->into,
          "how many parts, called 0, 1, …, by a hash (default: one for each table or schema)")
      ->check(CLI::Range(std::uint32_t{1}, std::uint32_t{1024}));
  command.add_option("--tables", options->tables, "only these tables: flights,ops.crew,ops.*");
  auto* follow = command.add_flag("-f,--follow", options->follow,
                                  "go on as more comes, until told to stop (default)");
  command.add_flag("--once", options->once, "end after what is there now")->excludes(follow);
  command.footer(
      "Each part is a daystream like any other, with the commits, LSNs and seconds of its source.\n"
      "Started again with the same options it goes on where it was: every transaction is in its\n"
      "parts exactly once, whatever was killed when. A row whose key changes is in the parts of\n"
      "its old and its new key; what concerns a whole table or nobody's is in all of --by=key.\n\n"
      "Examples:\n"
      "  daystream split /srv/prod /srv/by-table\n"
      "  daystream split /srv/prod /srv/shards --by key --into 4 --tables flights\n"
      "  daystream split /srv/prod /srv/by-schema --by schema --once");
  command.callback([options, &chosen] {
    chosen = [options](const Reach& reach) {
      return split(*options, reach.streams.open(options->source));
    };
  });
}

}  // namespace daystream::command
