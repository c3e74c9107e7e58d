// daystream consume: hands whole transactions to a program, and remembers what it acknowledged.
//
// At least once. The checkpoint moves only after an acknowledgement, so that whatever is killed
// when, the next start hands over again at most what was not acknowledged, and never less.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "commands.h"
#include "consume_progress.h"
#include "consume_session.h"
#include "consumer.h"
#include "consumer_checkpoint.h"
#include "daystream/error.h"
#include "daystream/reader.h"
#include "daystream/stop.h"
#include "group_worker.h"
#include "line_presenter.h"
#include "patient_reader.h"
#include "places.h"
#include "printer.h"
#include "program/check_report.h"
#include "program/common_flags.h"
#include "program/config_file.h"
#include "program/notify.h"
#include "program/program.h"
#include "program/usage.h"
#include "program/when.h"

namespace daystream::command {

namespace {

struct ConsumeOptions {
  std::string source;
  std::string checkpoint;
  GroupOptions group;
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

// The lines of the tables that were asked for, as they are or as JSON.
class PrinterSieve final : public Sieve {
 public:
  explicit PrinterSieve(const ConsumeOptions& options)
      : options_(options), looking_(printer(nowhere_)) {}

  bool wants(Transaction& transaction) override { return looking_.wants(transaction); }
  void show(Transaction& transaction, Output& output) override {
    if (output_ != &output) printer_.emplace(printer(output));
    output_ = &output;
    printer_->show(transaction);
  }

 private:
  Printer printer(Output& output) const {
    SelectionOptions selection;
    selection.tables = options_.tables;
    const Format format = options_.json ? Format::Json : Format::Tsv;
    return Printer(Selection(selection), std::make_unique<LinePresenter>(format), std::nullopt,
                   output);
  }

  const ConsumeOptions& options_;
  Output nowhere_{-1};
  Printer looking_;
  const Output* output_ = nullptr;  // of printer_
  std::optional<Printer> printer_;
};

class OurCheckpoint final : public ProgressPlace {
 public:
  OurCheckpoint(const ConsumerCheckpoint& file, std::string system_identifier)
      : file_(file), system_identifier_(std::move(system_identifier)) {}
  void check() const override { file_.check_place(); }
  void save(const Acknowledged& done, bool) override { file_.save(done, system_identifier_); }

 private:
  const ConsumerCheckpoint& file_;
  std::string system_identifier_;
};

class Process final : public Employer {
 public:
  Process() { notify_.ready(); }
  const Stop& stop_request() const override { return stop_; }
  void alive() override { notify_.alive(); }

 private:
  const Stop stop_ = program::Signals().stop();
  program::Notify notify_;
};

std::string gap_hint(Position gap) {
  return fmt::format(
      "bring what consumes it up to date from PostgreSQL, remove the checkpoint, and start with "
      "--after {}",
      gap.text());
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
  std::filesystem::path folder = std::filesystem::absolute(options.checkpoint).parent_path();
  if (!options.group.name.empty()) {
    folder = groups_folder(streams.open(options.source), options.group.folder);
    if (!std::filesystem::exists(folder)) folder = std::filesystem::absolute(folder).parent_path();
  }
  report.check_directory(folder);
  std::string system;
  const bool there = report.check("daystream", [&] {
    const Manifest manifest = streams.open(options.source).manifest();
    system = manifest.system_identifier;
    return fmt::format("\"{}\" is of database \"{}\"", options.source, manifest.database);
  });
  if (there && !options.checkpoint.empty() && std::filesystem::exists(options.checkpoint)) {
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
  const std::string system = stream.manifest().system_identifier;  // before a lock is made
  const ConsumerCheckpoint checkpoint(options.checkpoint);
  StartAfter start;
  if (const auto done = checkpoint.load(system)) {
    start = {done->position, done->lsn};
  } else if (options.after == "end") {
    if (const auto bounds = stream.extent()) start.position = bounds->last;
  } else if (!options.after.empty()) {
    start.position = program::parse_position("--after", options.after);
  }
  PatientReader reader(stream, start, !options.once);
  OurCheckpoint place(checkpoint, system);
  ConsumeProgress progress(place);
  PrinterSieve sieve(options);
  Process process;
  const Consumer::Setup setup{options.command, checkpoint.lock_fd(), process,
                              std::chrono::seconds(options.stop_timeout_s)};
  ConsumeSession session{reader, progress, setup, sieve, options.window, options.once, gap_hint};
  options.batch ? session.run_batches() : session.run_long();
  if (session.gap) throw *session.gap;
  return 0;
}

WorkerOptions worker_options(const ConsumeOptions& options) {
  return {options.group,
          options.after,
          options.tables,
          options.window,
          options.batch,
          options.once,
          options.json ? Format::Json : Format::Tsv,
          std::chrono::seconds(options.stop_timeout_s),
          options.command};
}

CLI::Option* add_group_options(CLI::App& command, GroupOptions& options) {
  const std::string kind = "Sharing the work with others";
  auto* group = command
                    .add_option("--group", options.name,
                                "instead of --checkpoint: work for this consumer group, with all "
                                "others who do on this host")
                    ->group(kind);
  const auto add = [&](const std::string& name, auto& target, const std::string& what) {
    return command.add_option(name, target, what)->group(kind)->needs(group);
  };
  add("--by", options.by,
      "how a new group shares out the stream: by table, or by a hash of each row's key (default: "
      "key)")
      ->check(CLI::IsMember({"table", "key"}));
  add("--into", options.into, "how many parts a new group has, for good")
      ->check(CLI::Range(std::uint32_t{1}, std::uint32_t{1024}));
  add("--lease", options.lease_s,
      "seconds after which others take the parts of a worker that does not show up, and COMMAND is "
      "ended that does nothing with what it was handed")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  add("--max-deliver", options.max_deliver,
      "how often a transaction is handed over before it becomes a dead letter (default: until it "
      "is done)")
      ->check(CLI::Range(1, 1'000'000));
  add("--expire", options.expire, "leave out transactions that are older than this: 90s, 2h, 7d");
  add("--groups", options.folder, "where groups are kept (default: STREAM/.groups)");
  return group;
}

// How much COMMAND is handed before it has acknowledged, and how it is ended.
void add_handing_options(CLI::App& command, ConsumeOptions& options) {
  command.add_flag("--batch", options.batch,
                   "start COMMAND for each batch; exit code 0 acknowledges it");
  command
      .add_option("--window", options.window,
                  "transactions handed over and not acknowledged, or in a batch, at most")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000}))
      ->capture_default_str();
  command
      .add_option("--stop-timeout", options.stop_timeout_s,
                  "seconds that COMMAND has after SIGTERM to acknowledge and end; then it is sent "
                  "SIGTERM too, and killed 5 s later")
      ->check(CLI::Range(0, 86400))
      ->capture_default_str();
}

}  // namespace

void add_consume(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<ConsumeOptions>();
  CLI::App& command =
      *app.add_subcommand("consume", "hand transactions to a program, remember what it has done");
  command.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  add_place(command, "STREAM", options->source, "the daystream's directory");
  add_place(command, "COMMAND", options->command, "after \"--\": the program and its arguments");
  auto* checkpoint = command.add_option("--checkpoint", options->checkpoint,
                                        "file that keeps how far it is; made when there is none");
  add_group_options(command, options->group)->excludes(checkpoint);
  add_handing_options(command, *options);
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
      "With --group, any number of these share the work: each has some of the parts into which\n"
      "the stream is shared out, and runs a COMMAND for each, which finds DAYSTREAM_GROUP,\n"
      "DAYSTREAM_PART and DAYSTREAM_EPOCH in its environment. The line \"working\" on its output\n"
      "says that it needs longer than --lease. One that fails is started again, after a pause\n"
      "that grows. \"daystream group\" shows how they are.\n\n"
      "At least once: what was not acknowledged when anything ended comes again. Without --group\n"
      "a COMMAND that ends by itself ends this with exit code 1; start it again and it goes on.\n"
      "SIGTERM hands over no more, waits for the rest of the acknowledgements, --stop-timeout at\n"
      "most, and ends.\n\n"
      "Examples:\n"
      "  daystream consume /srv/prod --checkpoint /var/lib/index/at -- /opt/index/update\n"
      "  daystream consume /srv/prod --checkpoint at --batch --window 1000 --once -- \\\n"
      "      psql -d copy -f apply.sql\n"
      "  daystream consume /srv/prod --group mail --by key --into 8 -- /opt/mail/send");
  command.callback([options, &command, &chosen] {
    for (const char* const place : {"STREAM", "COMMAND"}) require_place(command, place);
    if (options->group.name.empty() && options->checkpoint.empty()) {
      program::usage("--checkpoint is required, or --group");
    }
    chosen = [options](const Reach& reach) {
      return options->check ? check(*options, reach.streams)
             : options->group.name.empty()
                 ? consume(*options, reach.streams.open(options->source))
                 : work_for_group(worker_options(*options), reach.streams.open(options->source));
    };
  });
}

}  // namespace daystream::command
