// daystream cat, daystream tail: whole committed transactions, as lines.
#include <fmt/format.h>
#include <unistd.h>

#include <ctime>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "commands.h"
#include "daystream/error.h"
#include "daystream/reader.h"
#include "format.h"
#include "output.h"
#include "program/program.h"
#include "selection.h"
#include "source.h"
#include "stream_view.h"
#include "when.h"

namespace daystream::command {

namespace {

constexpr std::uint64_t kLastOfSecond = std::numeric_limits<std::uint64_t>::max();

struct Options {
  std::string source;
  std::string after;
  std::string since;
  std::string until;
  std::string lsn;
  SelectionOptions selection;
  std::optional<std::uint64_t> last;  // tail: how many transactions
  bool follow = false;
  bool json = false;
  std::string format = "tsv";
};

// Where to stop: the first transaction that ends beyond it is not shown.
struct Until {
  std::optional<Position> position;
  std::optional<Lsn> lsn;

  bool passed(const Transaction& transaction) const {
    if (position && transaction.position() > *position) return true;
    return lsn && transaction.kind() == Transaction::Kind::Transaction && transaction.lsn() > *lsn;
  }
};

std::optional<Position> before_second(std::int64_t seconds) {
  if (seconds <= 0) return std::nullopt;
  return Position{seconds - 1, kLastOfSecond};
}

StartAfter start_of(const Options& options, const std::filesystem::path& directory) {
  if (!options.after.empty()) return {parse_position("--after", options.after), std::nullopt};
  if (!options.lsn.empty()) {
    // A commit's LSN is where it ends: the transaction that holds an LSN is the first to end at or
    // after it.
    const Lsn lsn = parse_lsn("--lsn", options.lsn);
    if (lsn.value == 0) return {};
    return {Position::begin(), Lsn{lsn.value - 1}};
  }
  if (options.since.empty()) return {};
  const When since = parse_when("--since", options.since, std::time(nullptr));
  const auto bounds = extent(directory);
  if (!bounds) return {};
  StartAfter start;
  if (const auto* time = std::get_if<Time>(&since)) {
    start.position = before_second(time->seconds).value_or(Position::begin());
  } else if (const auto* position = std::get_if<Position>(&since)) {
    if (position->s > 0)
      start.position = {position->c, position->s - 1};
    else
      start.position = before_second(position->c).value_or(Position::begin());
  } else {
    const Lsn lsn = std::get<Lsn>(since);
    if (lsn.value == 0) return {};
    start.lsn = Lsn{lsn.value - 1};
  }
  // From before what is kept: all that is kept. (After a position this would be a gap: an error.)
  if (!start.lsn && start.position < bounds->first) return {};
  return start;
}

Until until_of(const Options& options) {
  Until until;
  if (options.until.empty()) return until;
  const When when = parse_when("--until", options.until, std::time(nullptr));
  if (const auto* time = std::get_if<Time>(&when)) {
    until.position = before_second(time->seconds).value_or(Position::begin());
  } else if (const auto* position = std::get_if<Position>(&when)) {
    until.position = *position;
  } else {
    until.lsn = std::get<Lsn>(when);
  }
  return until;
}

class Printer {
 public:
  Printer(Selection selection, Format format, std::optional<Position> after)
      : selection_(std::move(selection)), format_(format), after_(after), output_(STDOUT_FILENO) {}

  // True: something of it was wanted, and shown.
  bool show(Transaction& transaction) {
    if (!selection_.takes_transaction(transaction)) return false;
    bool shown = selection_.takes_all();
    if (shown && format_ == Format::Tsv && !after_ && !transaction.text().empty()) {
      output_.write(transaction.text());
      return true;
    }
    Line line;
    while (transaction.next_line(line)) {
      if (after_ && line.position <= *after_) continue;
      if (selection_.looks_at_rows() && is_replace(line)) {
        shown = show_pair(transaction, line) || shown;
      } else if (selection_.takes_all() || selection_.takes_line(line)) {
        put(line);
        shown = true;
      }
    }
    if (shown && !(after_ && transaction.position() <= *after_)) put(transaction.end_line());
    return shown;
  }

  // Whether show() would show something.
  bool wants(Transaction& transaction) {
    if (!selection_.takes_transaction(transaction)) return false;
    if (selection_.takes_all()) return transaction.kind() == Transaction::Kind::Transaction;
    Line line;
    bool wanted = false;
    while (!wanted && transaction.next_line(line)) wanted = selection_.takes_line(line);
    return wanted;
  }

  void flush() { output_.flush(); }

 private:
  static bool is_replace(const Line& line) {
    return line.body.find("\t_action\treplace") != std::string_view::npos &&
           parse_change(line.body).action == Action::Replace;
  }

  // `replace` and the `update` it belongs to are one change.
  bool show_pair(Transaction& transaction, const Line& replace) {
    const std::string whole(replace.whole);
    const std::string body(replace.body);
    const Line kept{replace.position, body, whole};
    const bool wanted = selection_.takes_line(kept);
    Line update;
    if (!transaction.next_line(update)) return false;
    if (!wanted && !selection_.takes_line(update)) return false;
    put(kept);
    put(update);
    return true;
  }

  void put(const Line& line) {
    format_line(output_.buffer(), format_, line);
    output_.written();
  }

  Selection selection_;
  Format format_;
  std::optional<Position> after_;
  Output output_;
};

// Where the last `count` transactions that `printer` would show begin.
StartAfter start_of_last(const std::filesystem::path& directory, std::uint64_t count,
                         const Options& options) {
  const auto dir = real_dir(directory);
  const StreamView view(*dir);
  // Goes back far enough, and looks how many of those there are wanted; further if too few.
  for (std::uint64_t wanted = count;; wanted *= 8) {
    std::uint64_t seen = 0;
    std::optional<Position> start;
    bool reached_begin = true;
    for (auto day = view.days().rbegin(); day != view.days().rend() && !start; ++day) {
      const DayView open = view.open(*day);
      const Seeker seeker(*open.file, open.limit);
      for (auto end = seeker.last_end_before(open.limit); end;
           end = seeker.last_end_before(end->begin)) {
        if (end->action != Action::Commit) continue;
        if (seen++ == wanted) {
          start = end->position;
          reached_begin = false;
          break;
        }
      }
    }
    const StartAfter from{start.value_or(Position::begin()), std::nullopt};
    std::vector<Position> begins;  // after which each wanted one stands
    Printer printer(Selection(options.selection), Format::Tsv, std::nullopt);
    Reader reader(directory, from);
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

int show(const Options& options) {
  const std::filesystem::path directory = source_directory(options.source);
  const Format format = options.json || options.format == "json" ? Format::Json : Format::Tsv;
  Selection selection(options.selection);
  const Until until = until_of(options);
  std::optional<Position> after;
  if (!options.after.empty()) after = parse_position("--after", options.after);
  const StartAfter start = options.last ? start_of_last(directory, *options.last, options)
                                        : start_of(options, directory);
  std::optional<program::Signals> signals;
  if (options.follow) signals.emplace();

  Printer printer(std::move(selection), format, after);
  Reader reader(directory, start);
  for (;;) {
    while (Transaction* transaction = reader.next()) {
      if (until.passed(*transaction)) {
        printer.flush();
        return 0;
      }
      printer.show(*transaction);
      if (!options.lsn.empty() && transaction->kind() == Transaction::Kind::Transaction) {
        printer.flush();
        return 0;
      }
      if (signals && signals->stop_requested()) break;
    }
    printer.flush();
    if (!options.follow || signals->stop_requested()) return 0;
    reader.wait(std::chrono::hours(1), signals->fd());
  }
}

void add_common(CLI::App& command, const std::shared_ptr<Options>& options) {
  command.add_option("SOURCE", options->source, "the daystream's directory")->required();
  command.add_option("--tables", options->selection.tables,
                     "only lines of these tables: flights,ops.crew,ops.*");
  command
      .add_option("--where", options->selection.where,
                  "only rows with COLUMN=VALUE (\\N is NULL); several must all hold")
      ->take_all()
      ->allow_extra_args(false);
  command.add_option("--actions", options->selection.actions, "only these: insert,update,delete…")
      ->delimiter(',');
  command.add_option("--xid", options->selection.xid, "only this transaction id");
  command.add_option("--format", options->format, "how lines are shown: tsv or json")
      ->check(CLI::IsMember({"tsv", "json"}))
      ->capture_default_str();
  command.add_flag("--json", options->json, "one JSON object a line, as --format=json");
  command.set_help_flag("-h,--help", "show this help and exit");
}

}  // namespace

void add_cat(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("cat", "show transactions, oldest first");
  add_common(command, options);
  auto* after = command.add_option("--after", options->after,
                                   "what stands after this position, C/S: 1507507200/17");
  auto* since = command.add_option("--since", options->since,
                                   "from a time (UTC), position or LSN on: \"10:15\", \"2h ago\"");
  auto* lsn = command.add_option("--lsn", options->lsn, "only the transaction with this LSN");
  after->excludes(since);
  lsn->excludes(after)->excludes(since);
  command.add_option("--until", options->until,
                     "up to and without a time; up to and with a position or LSN");
  command.add_flag("-f,--follow", options->follow, "go on as more comes, until told to stop");
  command.footer(
      "Shows lines as they stand in the files, whole committed transactions only. With a filter,\n"
      "marks and the commits of transactions of which nothing is left are not shown.\n\n"
      "Examples:\n"
      "  daystream cat /srv/prod\n"
      "  daystream cat /srv/prod --since \"2026-11-21 10:15\" --until 10:20 --tables flights\n"
      "  daystream cat /srv/prod --where id=4711 --actions update,delete\n"
      "  daystream cat /srv/prod --after 1507507200/17 --follow --json");
  command.callback([options, &chosen] { chosen = [options] { return show(*options); }; });
}

void add_tail(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<Options>();
  options->last = 10;
  CLI::App& command = *app.add_subcommand("tail", "show the last transactions");
  add_common(command, options);
  command.add_option("-n,--lines", options->last, "how many transactions")->capture_default_str();
  command.add_option("--after", options->after, "instead: what stands after this position, C/S");
  command.add_option("--since", options->since, "instead: from a time, position or LSN on");
  command.add_option("--until", options->until,
                     "up to and without a time; up to and with a position or LSN");
  command.add_flag("-f,--follow", options->follow, "go on as more comes, until told to stop");
  command.footer(
      "Examples:\n"
      "  daystream tail /srv/prod\n"
      "  daystream tail /srv/prod -n 100 --tables flights --follow");
  command.callback([options, &chosen] {
    if (!options->after.empty() || !options->since.empty()) options->last.reset();
    chosen = [options] { return show(*options); };
  });
}

}  // namespace daystream::command
