// daystream consume: hands whole transactions to a program, and remembers what it acknowledged.
//
// At least once. The checkpoint moves only after an acknowledgement, so that whatever is killed
// when, the next start hands over again at most what was not acknowledged, and never less.
#include <fmt/format.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "commands.h"
#include "consume_progress.h"
#include "consumer.h"
#include "consumer_checkpoint.h"
#include "daystream/error.h"
#include "daystream/reader.h"
#include "line_presenter.h"
#include "patient_reader.h"
#include "places.h"
#include "printer.h"
#include "program/check_report.h"
#include "program/common_flags.h"
#include "program/config_file.h"
#include "program/program.h"
#include "program/when.h"

namespace daystream::command {

namespace {

struct ConsumeOptions {
  std::string source;
  std::string checkpoint;
  std::string after;
  std::string tables;
  std::uint64_t window = 100;
  bool batch = false;
  bool follow = false;
  bool once = false;
  bool json = false;
  std::uint32_t stop_timeout_s = 10;
  std::vector<std::string> command;
  bool check = false;
  std::string config;
};

PositionGone gap_error(const Transaction& gap) {
  return PositionGone(
      fmt::format("changes after LSN {} are missing, as the gap at {} says", gap.lsn().text(),
                  gap.position().text()),
      fmt::format("bring what consumes it up to date from PostgreSQL, remove the checkpoint, and "
                  "start with --after {}",
                  gap.position().text()));
}

// Both readable: as one descriptor to wait on.
UniqueFd either(int one, int other) {
  UniqueFd both(epoll_create1(EPOLL_CLOEXEC));
  for (const int fd : {one, other}) {
    epoll_event event{EPOLLIN, {}};
    if (!both || epoll_ctl(both.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      throw IoError("could not wait for the command", errno);
    }
  }
  return both;
}

struct Work {
  const ConsumeOptions& options;
  const program::Signals& signals;
  PatientReader& reader;
  ConsumeProgress& progress;
  const Consumer::Setup& setup;
  std::optional<PositionGone>& gap;  // met: thrown once what came before is done

  Printer printer(Output& output) const {
    SelectionOptions selection;
    selection.tables = options.tables;
    const Format format = options.json ? Format::Json : Format::Tsv;
    return Printer(Selection(selection), std::make_unique<LinePresenter>(format), std::nullopt,
                   output);
  }
};

// The next transaction of which `looking` wants something; nullptr: nothing more yet, a gap, or
// told to stop.
Transaction* next_wanted(const Work& work, Printer& looking) {
  while (!work.gap && !work.signals.stop_requested()) {
    work.setup.notify.alive();
    Transaction* transaction = work.reader.next();
    if (transaction == nullptr) return nullptr;
    if (transaction->kind() == Transaction::Kind::Gap) {
      work.gap = gap_error(*transaction);
      return nullptr;
    }
    if (transaction->kind() == Transaction::Kind::Transaction && looking.wants(*transaction)) {
      transaction->rewind();
      return transaction;
    }
    work.progress.passed(*transaction);
  }
  return nullptr;
}

// Known as handed over before its last byte is out: no acknowledgement can come before.
void hand_over(const Work& work, Transaction& transaction, Printer& printer) {
  work.progress.handed(transaction);
  printer.show(transaction);
}

// One command that runs for long and writes a line for each transaction it is done with.
void run_long(const Work& work) {
  Consumer consumer(work.setup, Child::Output::Pipe, work.progress);
  Printer printer = work.printer(consumer);
  const UniqueFd wake = either(work.signals.fd(), consumer.acknowledgements());
  while (!work.signals.stop_requested()) {
    work.setup.notify.alive();
    consumer.hear();
    work.progress.save(false);
    if (consumer.closed()) break;
    if (work.progress.pending() >= work.options.window) {
      consumer.flush();
      consumer.hear();
      if (work.progress.pending() >= work.options.window && !consumer.closed()) {
        consumer.wait_for_word(work.signals.fd());
      }
    } else if (Transaction* transaction = next_wanted(work, printer)) {
      hand_over(work, *transaction, printer);
    } else {
      consumer.flush();
      if (work.options.once || work.gap) break;
      work.reader.wait(PlaceWatch::kBetweenLooks, wake.get());
    }
  }
  const bool by_itself = consumer.closed();
  if (!by_itself) consumer.flush();
  const std::string how = consumer.finish();
  work.progress.save(true);
  if (!how.empty() || by_itself || work.progress.pending() > 0) consumer.ended(how);
}

// A command for each batch, which acknowledges it by its exit code.
void run_batches(const Work& work) {
  while (!work.signals.stop_requested()) {
    std::optional<Consumer> consumer;
    std::optional<Printer> printer;
    Output nowhere(-1);
    Printer looking = work.printer(nowhere);
    bool more = true;
    while (more && work.progress.pending() < work.options.window) {
      Transaction* transaction = next_wanted(work, looking);
      more = transaction != nullptr;
      if (!more) break;
      if (!consumer) {
        consumer.emplace(work.setup, Child::Output::Ours, work.progress);
        printer.emplace(work.printer(*consumer));
      }
      hand_over(work, *transaction, *printer);
    }
    if (consumer) {
      consumer->flush();
      const std::string how = consumer->finish();
      if (!how.empty()) consumer->ended(how);
      work.progress.acknowledge_all();
    }
    work.progress.save(false);
    if (more) continue;
    if (work.options.once || work.gap) break;
    work.reader.wait(PlaceWatch::kBetweenLooks, work.signals.fd());
  }
  work.progress.save(true);
}

// Where `name` would be started from; empty: nowhere.
std::string found_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return access(name.c_str(), X_OK) == 0 ? name : "";
  const char* const path = getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string file; std::getline(folders, file, ':');) {
    file.append("/").append(name);
    if (access(file.c_str(), X_OK) == 0) return file;
  }
  return {};
}

int check(const ConsumeOptions& options, const StreamKinds& streams) {
  program::CheckReport report(options.json);
  report.check_directory(std::filesystem::absolute(options.checkpoint).parent_path());
  std::string system;
  const bool there = report.check("daystream", [&] {
    const Manifest manifest = streams.open(options.source).manifest();
    system = manifest.system_identifier;
    return fmt::format("\"{}\" is of database \"{}\"", options.source, manifest.database);
  });
  if (there && std::filesystem::exists(options.checkpoint)) {
    report.check("checkpoint", [&] {
      const auto done = ConsumerCheckpoint(options.checkpoint).load(system);
      return fmt::format("goes on after {}", done->position.text());
    });
  }
  report.check("command", [&] {
    std::string program = found_program(options.command.front());
    if (!program.empty()) return program;
    throw ConfigError(fmt::format("cannot find program \"{}\"", options.command.front()),
                      "give its whole path, and let this user execute it");
  });
  return report.exit_code();
}

int consume(const ConsumeOptions& options, const Stream& stream) {
  const program::Signals signals;
  const ConsumerCheckpoint checkpoint(options.checkpoint);
  const std::string system = stream.manifest().system_identifier;
  StartAfter start;
  if (const auto done = checkpoint.load(system)) {
    start = {done->position, done->lsn};
  } else if (options.after == "end") {
    if (const auto bounds = stream.extent()) start.position = bounds->last;
  } else if (!options.after.empty()) {
    start.position = program::parse_position("--after", options.after);
  }
  PatientReader reader(stream, start, !options.once);
  ConsumeProgress progress(checkpoint, system);
  std::optional<PositionGone> gap;
  program::Notify notify;
  notify.ready();
  const Consumer::Setup setup{options.command, checkpoint.lock_fd(), signals,
                              std::chrono::seconds(options.stop_timeout_s), notify};
  const Work work{options, signals, reader, progress, setup, gap};
  options.batch ? run_batches(work) : run_long(work);
  if (gap) throw *gap;
  return 0;
}

}  // namespace

void add_consume(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<ConsumeOptions>();
  CLI::App& command =
      *app.add_subcommand("consume", "hand transactions to a program, remember what it has done");
  command.set_help_flag("-h,--help", "show this help and exit");
  command.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  add_place(command, "STREAM", options->source, "the daystream's directory");
  add_place(command, "COMMAND", options->command, "after \"--\": the program and its arguments");
  command
      .add_option("--checkpoint", options->checkpoint,
                  "file that keeps how far it is; made when there is none")
      ->required();
  command.add_flag("--batch", options->batch,
                   "start COMMAND for each batch; exit code 0 acknowledges it");
  command
      .add_option("--window", options->window,
                  "transactions handed over and not acknowledged, or in a batch, at most")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000}))
      ->capture_default_str();
  command
      .add_option("--stop-timeout", options->stop_timeout_s,
                  "seconds that COMMAND has after SIGTERM to acknowledge and end; then it is sent "
                  "SIGTERM too, and killed 5 s later")
      ->check(CLI::Range(0, 86400))
      ->capture_default_str();
  command.add_option("--after", options->after,
                     "where there is no checkpoint yet: a position, C/S, or \"end\" (default: the "
                     "first line there is)");
  command.add_option("--tables", options->tables,
                     "only lines of these tables: flights,ops.crew,ops.*");
  program::add_json_flag(command, options->json,
                         "lines as JSON objects, as of \"cat --json\"; of --check one a check");
  auto* follow = command.add_flag("-f,--follow", options->follow,
                                  "go on as more comes, until told to stop (default)");
  command.add_flag("--once", options->once, "end after what is there now")->excludes(follow);
  add_check_flag(command, options->check);
  program::add_config_option(command, options->config);
  command.footer(
      "COMMAND reads lines as \"daystream cat\" shows them, whole committed transactions, each\n"
      "ending in its commit line. For each one it is done with, it writes the _c and _s of that\n"
      "commit line as one line C/S (1507507200/17) to its standard output, at once; that\n"
      "acknowledges all before it too. With --batch its exit code 0 acknowledges all it was\n"
      "handed. Lines without a commit line at the end of input are to be forgotten.\n\n"
      "At least once: what was not acknowledged when anything ended comes again. When COMMAND\n"
      "ends by itself, this ends with exit code 1; start it again and it goes on. SIGTERM hands\n"
      "over no more, waits for the rest of the acknowledgements, --stop-timeout at most, and "
      "ends.\n\n"
      "Examples:\n"
      "  daystream consume /srv/prod --checkpoint /var/lib/index/at -- /opt/index/update\n"
      "  daystream consume /srv/prod --checkpoint at --batch --window 1000 --once -- \\\n"
      "      psql -d copy -f apply.sql");
  command.callback([options, &command, &chosen] {
    for (const char* const place : {"STREAM", "COMMAND"}) require_place(command, place);
    chosen = [options](const Reach& reach) {
      return options->check ? check(*options, reach.streams)
                            : consume(*options, reach.streams.open(options->source));
    };
  });
}

}  // namespace daystream::command
