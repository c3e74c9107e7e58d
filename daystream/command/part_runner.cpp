#include "part_runner.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

#include "calendar.h"
#include "daystream/error.h"
#include "dir.h"

namespace daystream::command {

namespace {

class FileOutput final : public Output {
 public:
  explicit FileOutput(File& file) : Output(-1), file_(file) {}

 protected:
  void send(std::string_view text) override {
    file_.write_at(text, at_);
    at_ += text.size();
  }

 private:
  File& file_;
  std::uint64_t at_ = 0;
};

// A letter has no other place than the dead letters.
class NoPlace final : public ProgressPlace {
 public:
  void check() const override {}
  void save(const Acknowledged&, bool) override {}
};

std::string gap_hint(const std::string& group, Position gap) {
  return fmt::format(
      "bring what the group writes up to date from PostgreSQL, then \"daystream group STREAM reset "
      "{} --to {}\"",
      group, gap.text());
}

}  // namespace

std::chrono::milliseconds retry_pause(std::uint32_t failures) {
  constexpr std::chrono::milliseconds kFirst{500};
  constexpr std::chrono::milliseconds kLongest{60'000};
  if (failures == 0) return std::chrono::milliseconds{0};
  return std::min(kFirst * (1 << std::min(failures - 1, 7U)), kLongest);
}

// Its acknowledgements go into the part's record, as long as the lease is ours.
class PartRunner::Place final : public ProgressPlace {
 public:
  Place(PartRunner& runner, PartSieve& sieve) : runner_(runner), sieve_(sieve) {}

  void check() const override {
    if (!runner_.lease_->is_held()) runner_.lease_->renew();  // says that it is lost
  }
  void save(const Acknowledged& done, bool acknowledged) override {
    runner_.lease_->keep([&](sharing::PartRecord& record) {
      record.position = done.position;
      record.lsn = done.lsn;
      record.expired += sieve_.take_expired();
      if (!acknowledged) return;
      record.failures = 0;
      record.careful = false;
      record.problem.clear();
    });
  }

 private:
  PartRunner& runner_;
  PartSieve& sieve_;
};

PartRunner::PartRunner(const GroupWork& work, sharing::DeadLetters letters,
                       std::unique_ptr<sharing::Lease> lease)
    : work_(work), letters_(std::move(letters)), lease_(std::move(lease)) {
  thread_ = std::jthread([this] { run(); });
}

PartRunner::~PartRunner() {
  stop();
}

void PartRunner::stop() noexcept {
  stopping_ = true;
  wake_.wake();
}

// The command has --lease to do something with what it was handed; a worker that has lost the part
// has nothing more to say to it.
bool PartRunner::gives_up() const {
  if (!lease_->is_held()) return true;
  return progress_ != nullptr && progress_->pending() > 0 &&
         sharing::boot_time() - worked_at_ > lease_->length();
}

void PartRunner::run() noexcept {
  try {
    work();
  } catch (const sharing::LeaseLost& e) {
    spdlog::warn("{}", e.what());
  } catch (...) {
    error_ = std::current_exception();
  }
  ended_ = true;
  work_.news.wake();
}

void PartRunner::work() {
  while (!is_over()) {
    letters_due_ = false;
    retry_letters();
    const sharing::PartRecord record = lease_->record();
    pause(retry_pause(record.failures));
    if (is_over()) return;
    if (!work_once(record)) {
      reached_end_ = !is_over();
      return;
    }
  }
}

Consumer::Setup PartRunner::setup(bool retry) {
  worked();
  return {work_.command,
          -1,
          *this,
          work_.patience,
          {"DAYSTREAM_GROUP=" + work_.group, fmt::format("DAYSTREAM_PART={}", lease_->part()),
           fmt::format("DAYSTREAM_PARTS={}", work_.rule.into),
           fmt::format("DAYSTREAM_EPOCH={}", lease_->epoch()),
           fmt::format("DAYSTREAM_RETRY={}", retry ? 1 : 0)}};
}

// False: nothing is left to do.
bool PartRunner::work_once(const sharing::PartRecord& record) {
  PatientReader reader(work_.stream, {record.position, record.lsn}, !work_.once);
  PartSieve::Setup sought{work_.stream, work_.rule, lease_->part(), work_.format};
  if (work_.expire) {
    sought.oldest = [this] { return std::time(nullptr) - work_.expire->count(); };
  }
  PartSieve sieve(sought, record.position);
  Place place(*this, sieve);
  ConsumeProgress progress(place);
  const Consumer::Setup with = setup(false);
  ConsumeSession session{
      reader, progress, with, sieve, work_.window, work_.once, [this](Position gap) {
        return gap_hint(work_.group, gap);
      }};
  progress_ = &progress;
  bool more = true;
  const bool alone = record.failures > 0 || record.careful;
  try {
    if (work_.max_deliver > 0 && record.failures >= work_.max_deliver) {
      bury(session, sieve, record);
    } else if (alone) {
      more = deliver_alone(session, record);
    } else {
      work_.batch ? session.run_batches() : session.run_long();
      more = letters_due_;
    }
  } catch (const CommandFailed& e) {
    count_failure(e.what(), alone);
  }
  progress_ = nullptr;
  if (session.gap) throw *session.gap;
  return more;
}

// The first transaction that something is wanted of, to a command that gets no other. It counts
// before it is handed over: whatever it does to us, it was tried. False: there is none, and nothing
// more is to come.
bool PartRunner::deliver_alone(ConsumeSession& session, const sharing::PartRecord& record) {
  Transaction* transaction = session.next_wanted();
  while (transaction == nullptr && !stop_command_.requested() && !session.gap && !session.once) {
    session.progress.save(false);
    session.reader.wait(PlaceWatch::kBetweenLooks, stop_command_.fd());
    transaction = session.next_wanted();
  }
  session.progress.save(true);
  if (transaction == nullptr) return letters_due_;
  lease_->keep([&](sharing::PartRecord& next) {
    ++next.failures;
    ++next.redeliveries;
    if (next.problem.empty()) next.problem = "it was not acknowledged";
  });
  spdlog::info("part {}: handing over {} once more, try {}", lease_->part(),
               transaction->position().text(), record.failures + 1);
  Consumer consumer(session.setup, work_.batch ? FedChild::Output::Ours : FedChild::Output::Pipe,
                    session.progress);
  session.hand_over(*transaction, consumer);
  consumer.flush();
  const std::string how = consumer.finish();
  if (work_.batch && how.empty()) session.progress.acknowledge_all();
  session.progress.save(true);
  if (session.progress.pending() > 0) consumer.ended(how);
  return true;
}

// What is handed over as often as it may be becomes a dead letter, and counts as done.
void PartRunner::bury(ConsumeSession& session, PartSieve& sieve,
                      const sharing::PartRecord& record) {
  Transaction* const transaction = session.next_wanted();
  if (transaction == nullptr) {
    // It has expired since, or all of this is about to end.
    session.progress.save(true);
    lease_->keep([](sharing::PartRecord& next) { next.failures = 0; });
    return;
  }
  sharing::DeadLetter letter;
  letter.part = lease_->part();
  letter.position = transaction->position();
  letter.failures = record.failures;
  letter.problem = record.problem;
  letter.since = utc_text(at_second(std::time(nullptr)));
  letters_.put(letter, [&](File& file) {
    FileOutput output(file);
    transaction->rewind();
    sieve.show(*transaction, output);
    output.flush();
  });
  spdlog::error(
      "part {}: {} was handed over {} times and never done, the last time as {}; it is "
      "now the dead letter {}",
      letter.part, letter.position.text(), letter.failures, letter.problem, letter.name());
  session.progress.handed(*transaction);
  session.progress.acknowledge_all();
  session.progress.save(false);
  lease_->keep([](sharing::PartRecord& next) { ++next.dead; });
}

// `counted`: as it was handed over. Of one that we have ended ourselves nothing can be said.
void PartRunner::count_failure(const std::string& problem, bool counted) {
  const bool ours_to_say = !stop_command_.requested();
  const bool idle = progress_->pending() == 0;
  progress_->save(true);
  if (ours_to_say) spdlog::warn("part {}: {}", lease_->part(), problem);
  lease_->keep([&](sharing::PartRecord& record) {
    if (!ours_to_say) {
      if (counted && record.failures > 0) --record.failures;
      return;
    }
    record.problem = problem;
    if (!counted && !idle) ++record.failures;
  });
  if (ours_to_say && idle) pause(retry_pause(1));
}

void PartRunner::retry_letters() {
  for (const sharing::DeadLetter& letter : letters_.list()) {
    if (letter.part == lease_->part() && letter.to_retry && !stop_command_.requested())
      retry(letter);
  }
}

void PartRunner::retry(sharing::DeadLetter letter) {
  NoPlace place;
  ConsumeProgress progress(place);
  progress_ = &progress;
  std::string how;
  try {
    const Consumer::Setup with = setup(true);
    Consumer consumer(with, work_.batch ? FedChild::Output::Ours : FedChild::Output::Pipe,
                      progress);
    progress.handed({letter.position, Lsn{}});
    const auto folder = real_dir(letters_.lines_of(letter).parent_path());
    const auto file = folder->open(letters_.lines_of(letter).filename().string());
    std::array<char, 64 * 1024> bytes{};
    std::uint64_t at = 0;
    for (std::size_t got = 1; file && got > 0; at += got) {
      got = file->read_at(bytes, at);
      consumer.write({bytes.data(), got});
    }
    consumer.flush();
    how = consumer.finish();
    if (work_.batch && how.empty()) progress.acknowledge_all();
    if (progress.pending() > 0) consumer.ended(how);
  } catch (const CommandFailed& e) {
    how = e.what();
  }
  progress_ = nullptr;
  if (progress.pending() == 0) {
    letters_.remove(letter);
    spdlog::info("dead letter {} was done", letter.name());
    return;
  }
  if (stop_command_.requested()) return;
  ++letter.failures;
  letter.problem = how;
  letter.to_retry = false;
  letters_.update(letter);
  spdlog::warn("dead letter {}: {}", letter.name(), how);
}

void PartRunner::pause(std::chrono::milliseconds length) {
  const auto end = std::chrono::steady_clock::now() + length;
  while (!stop_command_.requested() && std::chrono::steady_clock::now() < end) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    WaitSet{stop_command_.fd()}.wait(std::min(left, std::chrono::milliseconds{1000}));
  }
}

}  // namespace daystream::command
