// daystream consume: hands whole transactions to a program, and remembers what it acknowledged.
//
// At least once. The checkpoint moves only after an acknowledgement, so that whatever is killed
// when, the next start hands over again at most what was not acknowledged, and never less.
#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "child.h"
#include "commands.h"
#include "consumer_checkpoint.h"
#include "daystream/error.h"
#include "daystream/reader.h"
#include "line_presenter.h"
#include "printer.h"
#include "program/program.h"
#include "program/when.h"
#include "source.h"
#include "text.h"

namespace daystream::command {

namespace {

struct Options {
  std::string source;
  std::string checkpoint;
  std::string after;
  std::string tables;
  std::uint64_t window = 100;
  bool batch = false;
  bool follow = false;
  bool once = false;
  bool json = false;
  std::vector<std::string> command;
};

// What the command was handed, and what of it counts as done.
class Progress {
 public:
  Progress(const ConsumerCheckpoint& file, std::string system_identifier)
      : file_(file), system_identifier_(std::move(system_identifier)) {}

  std::size_t pending() const noexcept { return pending_.size(); }

  void handed(const Transaction& transaction) {
    pending_.push_back({transaction.position(), {transaction.position(), transaction.lsn()}});
  }
  // A mark, or a transaction that a filter leaves nothing of: done as soon as all before is.
  void passed(const Transaction& transaction) {
    const Acknowledged place{transaction.position(), transaction.lsn()};
    if (pending_.empty()) {
      done_ = place;
    } else {
      pending_.back().through = place;
    }
  }

  // The command is done with the transaction that ends at `position`, and with all before it.
  // False: it was not handed such a one, or has acknowledged it before.
  bool acknowledge(Position position) {
    while (!pending_.empty() && pending_.front().position <= position) {
      const Pending first = pending_.front();
      if (pending_.size() > 1 && pending_[1].position <= position) {
        pending_.pop_front();
        continue;
      }
      if (first.position != position) return false;
      done_ = first.through;
      pending_.pop_front();
      acknowledged_ = true;
      return true;
    }
    return false;
  }
  void acknowledge_all() {
    if (!pending_.empty()) acknowledge(pending_.back().position);
  }

  // Acknowledgements go to disk at once, those that came together in one go. Where only marks
  // passed nothing would be done twice: then it need not be often.
  void save(bool also_passed) {
    const auto now = std::chrono::steady_clock::now();
    if (!done_ || !(acknowledged_ || also_passed || now - saved_ > kPassedInterval)) return;
    if (saved_position_ == done_->position) return;
    file_.save(*done_, system_identifier_);
    saved_position_ = done_->position;
    saved_ = now;
    acknowledged_ = false;
  }

 private:
  static constexpr std::chrono::seconds kPassedInterval{10};
  struct Pending {
    Position position;     // what is acknowledged
    Acknowledged through;  // what is done then
  };

  const ConsumerCheckpoint& file_;
  std::string system_identifier_;
  std::deque<Pending> pending_;
  std::optional<Acknowledged> done_;
  bool acknowledged_ = false;  // since the last save
  std::optional<Position> saved_position_;
  std::chrono::steady_clock::time_point saved_{};
};

// The command's standard input, and what it says meanwhile: it may be waiting for us to read its
// acknowledgements before it reads on.
class Consumer : public Output {
 public:
  Consumer(const std::vector<std::string>& command, Child::Output output, Progress& progress)
      : Output(-1), name_(command.front()), child_(command, output), progress_(progress) {}

  int acknowledgements() const noexcept { return child_.output(); }
  bool closed() const noexcept { return closed_; }

  // Reads what the command has acknowledged by now.
  void hear() {
    char bytes[4096];
    while (!closed_ && child_.output() >= 0) {
      const ssize_t got = ::read(child_.output(), bytes, sizeof bytes);
      if (got > 0) {
        heard_.append(bytes, static_cast<std::size_t>(got));
        take_lines();
      } else if (got == 0) {
        closed_ = true;
      } else if (errno == EAGAIN) {
        return;
      } else if (errno != EINTR) {
        throw IoError("could not read from the command", errno);
      }
    }
  }

  void wait_for_word(int wake_fd) {
    pollfd fds[] = {{child_.output(), POLLIN, 0}, {wake_fd, POLLIN, 0}};
    ::poll(fds, 2, -1);  // whatever it says, the caller looks again
  }

  // No more input: hears it out and tells how it ended, as Child::wait().
  std::string finish() {
    child_.close_input();
    while (!closed_ && child_.output() >= 0) {
      wait_for_word(-1);
      hear();
      progress_.save(false);
    }
    return child_.wait();
  }

  [[noreturn]] void ended(const std::string& how) const {
    throw Error(fmt::format("command \"{}\" ended {}, with {} not acknowledged", name_,
                            how.empty() ? "with exit code 0" : how,
                            count_text(progress_.pending(), "transaction")),
                "start again: it goes on after what was acknowledged");
  }

 protected:
  void send(std::string_view text) override {
    while (!text.empty()) {
      const ssize_t put = ::write(child_.input(), text.data(), text.size());
      if (put >= 0) {
        text.remove_prefix(static_cast<std::size_t>(put));
      } else if (errno == EPIPE) {
        ended(finish());
      } else if (errno == EAGAIN) {
        pollfd fds[] = {{child_.input(), POLLOUT, 0}, {closed_ ? -1 : child_.output(), POLLIN, 0}};
        ::poll(fds, 2, -1);
        hear();
      } else if (errno != EINTR) {
        throw IoError("could not write to the command", errno);
      }
    }
  }

 private:
  void take_lines() {
    std::size_t begin = 0;
    for (auto end = heard_.find('\n'); end != std::string::npos; end = heard_.find('\n', begin)) {
      const std::string line = heard_.substr(begin, end - begin);
      const auto position = Position::parse(line);
      if (!position || !progress_.acknowledge(*position)) {
        throw ProtocolError(
            fmt::format("command \"{}\" wrote \"{}\", which is no position of a transaction that "
                        "it was handed and has not acknowledged",
                        name_, line.substr(0, 60)),
            "its standard output is for acknowledgements: the C/S of a commit line, "
            "1507507200/17; other words belong on standard error");
      }
      begin = end + 1;
    }
    heard_.erase(0, begin);
  }

  std::string name_;
  Child child_;
  Progress& progress_;
  std::string heard_;
  bool closed_ = false;
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
  const Options& options;
  const program::Signals& signals;
  Reader& reader;
  Progress& progress;
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
  Consumer consumer(work.options.command, Child::Output::Pipe, work.progress);
  Printer printer = work.printer(consumer);
  const UniqueFd wake = either(work.signals.fd(), consumer.acknowledgements());
  while (!work.signals.stop_requested()) {
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
      work.reader.wait(std::chrono::seconds(10), wake.get());
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
        consumer.emplace(work.options.command, Child::Output::Ours, work.progress);
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
    work.reader.wait(std::chrono::seconds(10), work.signals.fd());
  }
  work.progress.save(true);
}

int consume(const Options& options) {
  const std::filesystem::path directory = source_directory(options.source);
  const program::Signals signals;
  const ConsumerCheckpoint checkpoint(options.checkpoint);
  const std::string system = Manifest::load(directory).system_identifier;
  StartAfter start;
  if (const auto done = checkpoint.load(system)) {
    start = {done->position, done->lsn};
  } else if (options.after == "end") {
    if (const auto bounds = extent(directory)) start.position = bounds->last;
  } else if (!options.after.empty()) {
    start.position = program::parse_position("--after", options.after);
  }
  Reader reader(directory, start);
  Progress progress(checkpoint, system);
  std::optional<PositionGone> gap;
  const Work work{options, signals, reader, progress, gap};
  options.batch ? run_batches(work) : run_long(work);
  if (gap) throw *gap;
  return 0;
}

}  // namespace

void add_consume(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App& command =
      *app.add_subcommand("consume", "hand transactions to a program, remember what it has done");
  command.set_help_flag("-h,--help", "show this help and exit");
  command.add_option("SOURCE", options->source, "the daystream's directory")->required();
  command.add_option("COMMAND", options->command, "after \"--\": the program and its arguments")
      ->required();
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
  command.add_option("--after", options->after,
                     "where there is no checkpoint yet: a position, C/S, or \"end\" (default: the "
                     "first line there is)");
  command.add_option("--tables", options->tables,
                     "only lines of these tables: flights,ops.crew,ops.*");
  command.add_flag("--json", options->json, "lines as JSON objects, as of \"cat --json\"");
  auto* follow = command.add_flag("-f,--follow", options->follow,
                                  "go on as more comes, until told to stop (default)");
  command.add_flag("--once", options->once, "end after what is there now")->excludes(follow);
  command.footer(
      "COMMAND reads lines as \"daystream cat\" shows them, whole committed transactions, each\n"
      "ending in its commit line. For each one it is done with, it writes the _c and _s of that\n"
      "commit line as one line C/S (1507507200/17) to its standard output, at once; that\n"
      "acknowledges all before it too. With --batch its exit code 0 acknowledges all it was\n"
      "handed. Lines without a commit line at the end of input are to be forgotten.\n\n"
      "At least once: what was not acknowledged when anything ended comes again. When COMMAND\n"
      "ends by itself, this ends with exit code 1; start it again and it goes on. SIGTERM hands\n"
      "over no more, waits for the rest of the acknowledgements, and ends.\n\n"
      "Examples:\n"
      "  daystream consume /srv/prod --checkpoint /var/lib/index/at -- /opt/index/update\n"
      "  daystream consume /srv/prod --checkpoint at --batch --window 1000 --once -- \\\n"
      "      psql -d copy -f apply.sql");
  command.callback([options, &chosen] { chosen = [options] { return consume(*options); }; });
}

}  // namespace daystream::command
