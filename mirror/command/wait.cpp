// deltamirror wait: until a mirror has come to a place in PostgreSQL's log, or to a time: to read
// what one has written. A table that is being copied is not there yet, so it is waited for as well.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "command/commands.h"
#include "history/history_tables.h"
#include "program/when.h"
#include "seed/requests.h"
#include "src/calendar.h"
#include "src/waiting.h"
#include "store/checkpoint.h"
#include "store/mirror_file.h"
#include "store/mirrored_table.h"

namespace deltamirror {

using daystream::UniqueFd;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

// What to wait for: all that is given.
struct WaitGoal {
  std::optional<daystream::Lsn> lsn;
  std::string time;    // as Checkpoint::complete_to; empty: none
  std::string source;  // of a mirror of several; empty: all of them, which an LSN does not go with
  std::vector<std::string> tables;  // by their names in the mirror; empty: all of them

  std::string text() const;  // in words
};

// A commit writes to the log; the file itself changes when it is checkpointed.
UniqueFd watch(const std::string& mirror) {
  UniqueFd fd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd) throw daystream::IoError("could not watch files", errno);
  for (const std::string& path : {mirror, beside(mirror, "-wal")}) {
    inotify_add_watch(fd.get(), path.c_str(), IN_MODIFY);  // a missing -wal: the fallback serves
  }
  return fd;
}

void drain(int fd) {
  char events[4096];
  while (read(fd, events, sizeof events) > 0) {
  }
}

std::string WaitGoal::text() const {
  if (!lsn) return time;
  return time.empty() ? lsn->text() : fmt::format("{} and {}", lsn->text(), time);
}

bool has_come_to(const Database& db, const WaitGoal& goal) {
  const bool is_one = goal.lsn || !goal.source.empty();
  const std::vector<Checkpoint> all =
      is_one ? std::vector{load_checkpoint(db, goal.source)} : load_checkpoints(db);
  return std::all_of(all.begin(), all.end(), [&](const Checkpoint& at) {
    return (!goal.lsn || at.lsn >= *goal.lsn) && at.complete_to >= goal.time;
  });
}

struct AbsentTable {
  std::string name;
  std::string state;
  std::string reason;
};

// Those of the goal's tables that are not followed now.
std::vector<AbsentTable> absent_tables(const Database& db, const WaitGoal& goal) {
  const std::vector<MirroredTable> tables = load_tables(db);
  std::vector<const MirroredTable*> asked;
  for (const std::string& name : goal.tables) {
    for (const MirroredTable* const table : find_tables(tables, name)) asked.push_back(table);
  }
  std::vector<AbsentTable> absent;
  for (const MirroredTable& table : tables) {
    if (table.is_static() || table.is_followed()) continue;
    const bool is_asked =
        goal.tables.empty() || std::find(asked.begin(), asked.end(), &table) != asked.end();
    const bool of_source = goal.source.empty() || goal.source == table.source;
    if (!is_asked || !of_source) continue;
    absent.push_back({shown_name(table), state_name(table.standing.state), table.standing.reason});
  }
  return absent;
}

void check_tables(const Database& db, const WaitGoal& goal) {
  const std::vector<MirroredTable> tables = load_tables(db);
  for (const std::string& name : goal.tables) static_cast<void>(find_table(tables, name));
}

// What was waited for is not what readers find of such a table.
void warn_of(const std::vector<AbsentTable>& absent) {
  for (const AbsentTable& table : absent) {
    spdlog::warn("table {} is {}{}{}; \"deltamirror status\" says more", table.name, table.state,
                 table.reason.empty() ? "" : ": ", table.reason);
  }
}

// One look, at one commit of the mirror. True: all is there that can come by itself.
bool is_there(const Database& db, const WaitGoal& goal) {
  const ReadTransaction at_one_commit(db);
  if (!has_come_to(db, goal)) return false;
  const std::vector<AbsentTable> absent = absent_tables(db, goal);
  const bool comes = std::any_of(absent.begin(), absent.end(), [](const AbsentTable& table) {
    return table.state == state_name(TableState::Copying);
  });
  if (comes) return false;
  if (!goal.tables.empty() && !absent.empty()) {
    const AbsentTable& first = absent.front();
    throw daystream::Error(fmt::format("table {} is {}: {}", first.name, first.state, first.reason),
                           "\"deltamirror status\" says what to do");
  }
  warn_of(absent);
  return true;
}

// False: `timeout` passed first, or a stop was requested. Sleeps until the mirror commits, as
// inotify on its files wakes it, and it looks once a second besides.
bool wait_for(const std::string& mirror, const WaitGoal& goal, std::optional<milliseconds> timeout,
              const daystream::program::Signals& signals) {
  const Database db = open_for_reading(mirror);
  const UniqueFd watcher = watch(mirror);
  const auto end = steady_clock::now() + timeout.value_or(milliseconds(0));
  check_tables(db, goal);
  for (;;) {
    drain(watcher.get());
    if (is_there(db, goal)) return true;
    // Commits wake us; the second is for what inotify cannot see, as another host's writes.
    auto pause = milliseconds(1000);
    if (timeout) {
      const auto left = std::chrono::ceil<milliseconds>(end - steady_clock::now());
      if (left.count() <= 0) return false;
      pause = std::min(pause, left);
    }
    daystream::WaitSet{watcher.get(), signals.stop().fd()}.wait(pause);
    if (signals.stop_requested()) return false;
  }
}

struct WaitOptions {
  std::string mirror;
  WaitGoal goal;
  std::optional<milliseconds> timeout;
};

int wait(const WaitOptions& options, const daystream::program::Signals& signals) {
  if (wait_for(options.mirror, options.goal, options.timeout, signals)) return 0;
  if (signals.stop_requested()) {
    throw daystream::Error(fmt::format("stopped before mirror \"{}\" had reached {}",
                                       options.mirror, options.goal.text()),
                           "the same command waits again");
  }
  throw daystream::Error(
      fmt::format("mirror \"{}\" has not reached {} in time", options.mirror, options.goal.text()),
      "\"deltamirror status\" says how far it is, and what is wrong; --timeout waits longer");
}

// A number is of seconds, and may have a fraction.
milliseconds parse_timeout(const std::string& text) {
  constexpr double kMostSeconds = 1e6;
  double seconds = -1;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, seconds);
  const bool is_ms = read.ec == std::errc() && std::string_view(read.ptr, end) == "ms";
  if (is_ms) {
    seconds /= 1000;
  } else if (const auto span = daystream::program::parse_span(text)) {
    seconds = static_cast<double>(*span);
  } else if (read.ec != std::errc() || read.ptr != end) {
    seconds = -1;
  }
  if (!(seconds >= 0 && seconds <= kMostSeconds)) {
    usage(
        fmt::format("invalid --timeout \"{}\": write it like 5, 500ms, 30 s or 1h, no more than "
                    "1000000 seconds",
                    text));
  }
  return milliseconds(std::llround(seconds * 1000));
}

}  // namespace

void add_wait(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<WaitOptions>();
  CLI::App& command = *app.add_subcommand("wait", "wait until a mirror has come to an LSN or time");
  add_mirror_option(command, options->mirror);
  command.add_option_function<std::string>(
      "--lsn",
      [options](const std::string& text) {
        options->goal.lsn = daystream::Lsn::parse(text);
        if (!options->goal.lsn)
          usage(fmt::format("invalid --lsn \"{}\": write it like 0/17B1480", text));
      },
      "place in PostgreSQL's log");
  command.add_option_function<std::string>(
      "--time",
      [options](const std::string& text) {
        const auto time = daystream::program::parse_time_us(text, daystream::now_us());
        if (!time)
          usage(fmt::format(
              "invalid --time \"{}\": write it like now, \"2026-11-21 10:15\" or \"2 min ago\"",
              text));
        options->goal.time = timestamp_of(*time);
      },
      "all committed before it is here: now, \"2026-11-21 10:15:04.5\" (UTC, or with an offset), "
      "\"2 min ago\", @SECONDS");
  add_source_option(command, options->goal.source,
                    "the source that it is about (default for --time: all)");
  command.add_option(
      "--table", options->goal.tables,
      "only this table counts, by its name in the mirror (may be repeated); an error "
      "where it cannot be followed");
  command.add_option_function<std::string>(
      "--timeout", [options](const std::string& text) { options->timeout = parse_timeout(text); },
      "seconds, or as 500ms, 30 s, 5 min or 1h (default: forever)");
  command.footer(
      "Examples:\n"
      "  deltamirror wait flights.db --lsn 0/17B1480 --timeout 5 && sqlite3 -readonly flights.db\n"
      "      read what one has just written to PostgreSQL\n"
      "  deltamirror wait flights.db --time now\n\n"
      "A table that is being copied is waited for. One that cannot be followed is reported on\n"
      "standard error, unless --table names it.\n\n"
      "Exit code 1: not there in time, or a table of --table cannot be followed.");
  command.callback([options, &chosen] {
    if (!options->goal.lsn && options->goal.time.empty()) usage("give --lsn or --time");
    chosen = [options](daystream::program::Signals& signals) { return wait(*options, signals); };
  });
}

}  // namespace deltamirror
