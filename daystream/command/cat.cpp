// daystream cat, daystream tail: whole committed transactions, as lines.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands.h"
#include "daystream/error.h"
#include "daystream/reader.h"
#include "daystream/stop.h"
#include "line_presenter.h"
#include "origin.h"
#include "output.h"
#include "printer.h"
#include "program/harmless.h"
#include "program/program.h"
#include "program/terminal.h"
#include "program/when.h"
#include "range.h"
#include "selection.h"
#include "sql_presenter.h"
#include "text_presenter.h"

namespace daystream::command {

namespace {

// Of one transaction, on a terminal.
constexpr std::size_t kMostLines = 1000;

struct CatOptions {
  std::string source;
  RangeOptions range;
  SelectionOptions selection;
  std::optional<std::uint64_t> last;  // tail: how many transactions
  bool follow = false;
  bool json = false;
  bool all = false;  // lines of a transaction, also on a terminal
  std::string format = "auto";
  std::string colour = "auto";
};

// Text is for a person at a terminal; programs, files and pipes get the lines themselves.
std::string format_of(const CatOptions& options) {
  if (options.json) return "json";
  if (options.format != "auto") return options.format;
  return program::is_terminal(STDOUT_FILENO) || options.colour == "always" ? "text" : "tsv";
}

bool has_colours(const CatOptions& options) {
  return format_of(options) == "text" &&
         (options.colour == "always" ||
          (options.colour == "auto" && program::may_colour(STDOUT_FILENO)));
}

std::unique_ptr<Presenter> presenter_of(const CatOptions& options, const Stream& stream) {
  const std::string format = format_of(options);
  if (format == "text") {
    const bool colours = has_colours(options);
    return program::is_terminal(STDOUT_FILENO) && !options.all
               ? std::make_unique<TextPresenter>(colours, kMostLines)
               : std::make_unique<TextPresenter>(colours);
  }
  if (format == "sql") {
    return std::make_unique<SqlPresenter>(stream,
                                          chosen_source(stream, options.selection.source, true));
  }
  return std::make_unique<LinePresenter>(format == "json" ? Format::Json : Format::Tsv);
}

// Where the last `count` transactions that `printer` would show begin.
StartAfter start_of_last(const Stream& stream, std::uint64_t count, const CatOptions& options) {
  static_cast<void>(stream.manifest());  // or it is no stream
  // Goes back far enough, and looks how many of those there are wanted; further if too few.
  for (std::uint64_t wanted = count;; wanted *= 8) {
    const auto start = stream.before_last(wanted);
    const bool reached_begin = !start;
    const StartAfter from{start.value_or(Position::begin()), std::nullopt,
                          options.selection.tables};
    std::vector<Position> begins;  // after which each wanted one stands
    Output nowhere(-1);
    Printer printer(Selection(options.selection), std::make_unique<LinePresenter>(Format::Tsv),
                    std::nullopt, nowhere);
    Reader reader(stream, from);
    Position before = reader.position();
    while (Transaction* transaction = reader.next()) {
      if (printer.wants(*transaction)) begins.push_back(before);
      before = transaction->position();
    }
    if (begins.size() >= count && count > 0) return {begins[begins.size() - count], std::nullopt};
    if (count == 0) return {before, std::nullopt};
    if (reached_begin)
      return begins.empty() ? StartAfter{before, std::nullopt}
                            : StartAfter{begins.front(), std::nullopt};
  }
}

// Of the filters that were given, as they were given; empty: there is none.
std::string filters_of(const SelectionOptions& selection) {
  std::string out;
  const auto add = [&out](const char* flag, const std::string& value) {
    out += fmt::format("{}{} \"{}\"", out.empty() ? "" : " ", flag, value);
  };
  if (!selection.tables.empty()) add("--tables", selection.tables);
  for (const std::string& condition : selection.where) add("--where", condition);
  for (const std::string& action : selection.actions) add("--actions", action);
  if (selection.xid) add("--xid", std::to_string(*selection.xid));
  return out;
}

// Silence would look like a daystream in which nothing happened.
void tell_nothing_fits(const CatOptions& options) {
  const std::string filters = filters_of(options.selection);
  if (filters.empty()) return;
  fmt::print(stderr,
             "daystream: no line that was read fits {}\nHINT: \"daystream info {} --tables\" lists "
             "the tables; --where takes COLUMN=VALUE as the lines have them, without spaces\n",
             filters, options.source);
}

int show(const CatOptions& options, const Stream& stream) {
  Selection selection(options.selection);
  if (!options.selection.source.empty()) chosen_source(stream, options.selection.source, false);
  const Until until = until_of(options.range);
  std::optional<Position> after;
  if (!options.range.after.empty()) after = program::parse_position("--after", options.range.after);
  StartAfter start = options.last ? start_of_last(stream, *options.last, options)
                                  : start_of(options.range, stream);
  start.tables = options.selection.tables;
  const Stop stop = options.follow ? program::Signals().stop() : Stop();

  Output output(STDOUT_FILENO,
                has_colours(options) ? program::Keep::Colours : program::Keep::Lines);
  Printer printer(std::move(selection), presenter_of(options, stream), after, output);
  Reader reader(stream, start);
  bool done = false;
  bool told = false;
  bool silent = options.last.has_value();  // something was read, and nothing shown
  while (!done) {
    try {
      while (Transaction* transaction = reader.next()) {
        done = until.passed(*transaction);
        if (done) break;
        if (printer.show(*transaction)) told = true;
        silent = silent || transaction->kind() == Transaction::Kind::Transaction;
        done = !options.range.lsn.empty() && transaction->kind() == Transaction::Kind::Transaction;
        if (done || stop.requested()) break;
      }
    } catch (const ConnectionLost&) {
      // A server that went away before all was here. The reader has said so, and tries on.
      if (!options.follow) throw;
    }
    output.flush();
    if (silent && !std::exchange(told, true)) tell_nothing_fits(options);
    done = done || !options.follow || stop.requested();
    if (!done) reader.wait(std::chrono::hours(1), stop.fd());
  }
  printer.finish();
  return 0;
}

void add_common(CLI::App& command, const std::shared_ptr<CatOptions>& options) {
  command
      .add_option("STREAM", options->source,
                  "the daystream's directory, http(s):// or nats:// URL, or s3:// archive")
      ->required();
  command.add_option("--tables", options->selection.tables,
                     "only lines of these tables: flights,ops.crew,ops.*");
  command
      .add_option("--where", options->selection.where,
                  "only rows with COLUMN=VALUE (\\N is NULL); several must all hold")
      ->take_all()
      ->allow_extra_args(false);
  command.add_option("--actions", options->selection.actions, "only these: insert,update,delete…")
      ->delimiter(',');
  command
      .add_option("--source", options->selection.source,
                  "of a stream merged of several databases, only this source")
      ->type_name("NAME");
  command.add_option("--xid", options->selection.xid, "only this transaction id");
  command
      .add_option("--format", options->format,
                  "tsv: the lines as they are; json: an object a line; sql: statements that do it "
                  "again; text: for people (default: text on a terminal, else tsv)")
      ->check(CLI::IsMember({"auto", "tsv", "json", "sql", "text"}))
      ->type_name("tsv|json|sql|text");
  command.add_flag("--all", options->all,
                   fmt::format("all lines of a transaction, also on a terminal (default there: {})",
                               kMostLines));
  command
      .add_option("--color", options->colour,
                  "auto, always or never; NO_COLOR in the environment counts (default: auto)")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->type_name("WHEN");
  command.add_flag("--json", options->json, "one JSON object a line, as --format=json");
}

}  // namespace

void add_cat(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<CatOptions>();
  CLI::App& command = *app.add_subcommand("cat", "show transactions, oldest first");
  add_common(command, options);
  auto* after = command.add_option("--after", options->range.after,
                                   "what stands after this position, C/S: 1507507200/17");
  auto* since = command.add_option("--since", options->range.since,
                                   "from a time (UTC), position or LSN on: \"10:15\", \"2h ago\"");
  auto* lsn = command.add_option("--lsn", options->range.lsn, "only the transaction with this LSN");
  after->excludes(since);
  lsn->excludes(after)->excludes(since);
  command.add_option("--until", options->range.until,
                     "up to and without a time; up to and with a position or LSN");
  command.add_flag("-f,--follow", options->follow, "go on as more comes, until told to stop");
  command.footer(
      "Shows lines as they stand in the files, whole committed transactions only. With a filter,\n"
      "marks and the commits of transactions of which nothing is left are not shown.\n\n"
      "Examples:\n"
      "  daystream cat /srv/prod\n"
      "  daystream cat /srv/prod --since \"2026-11-21 10:15\" --until 10:20 --tables flights\n"
      "  daystream cat /srv/prod --where id=4711 --actions update,delete\n"
      "  daystream cat /srv/prod --after 1507507200/17 --follow --json\n"
      "  daystream cat /srv/prod --since yesterday --tables flights --format=sql | psql copy");
  command.callback([options, &chosen] {
    chosen = [options](const Reach& reach) {
      return show(*options, reach.streams.open(options->source));
    };
  });
}

void add_tail(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<CatOptions>();
  options->last = 10;
  CLI::App& command = *app.add_subcommand("tail", "show the last transactions");
  add_common(command, options);
  command.add_option("-n,--lines", options->last, "how many transactions")->capture_default_str();
  command.add_option("--after", options->range.after,
                     "instead: what stands after this position, C/S");
  command.add_option("--since", options->range.since, "instead: from a time, position or LSN on");
  command.add_option("--until", options->range.until,
                     "up to and without a time; up to and with a position or LSN");
  command.add_flag("-f,--follow", options->follow, "go on as more comes, until told to stop");
  command.footer(
      "Examples:\n"
      "  daystream tail /srv/prod\n"
      "  daystream tail /srv/prod -n 100 --tables flights --follow");
  command.callback([options, &chosen] {
    if (!options->range.after.empty() || !options->range.since.empty()) options->last.reset();
    chosen = [options](const Reach& reach) {
      return show(*options, reach.streams.open(options->source));
    };
  });
}

}  // namespace daystream::command
