// The Writer against power losses, kills, failing calls and clocks that walk, with a server that
// sends again what was not confirmed. Nothing lost, nothing twice, no false refusal.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>

#include "daystream/durable.h"
#include "daystream/error.h"
#include "daystream/housekeeping.h"
#include "support/catch2_positions.h"
#include "support/memory_dir.h"
#include "unit/daystream/stream_fixture.h"

using namespace daystream;
using namespace daystream::test;
using support::MemoryDir;

namespace {

// DAYSTREAM_SEED=n runs that one seed, DAYSTREAM_SEEDS=n so many; together, so many from that one.
std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

struct Delivered {
  Position position;
  std::string text;
  bool operator==(const Delivered&) const = default;
};

// What a reader sees of `dir`. Throws what the reader throws.
std::vector<Delivered> read_all(const MemoryDir& dir, const std::filesystem::path& real) {
  dir.write_to(real);
  Reader reader(real, {});
  std::vector<Delivered> all;
  while (Transaction* next = reader.next()) {
    if (next->kind() == Transaction::Kind::Transaction) {
      all.push_back({next->position(), text_of(*next)});
    }
  }
  return all;
}

// A server, a Writer and a disk that fail by one seed.
class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed), seed_(seed) {
    dir_ = std::make_shared<MemoryDir>(lock_.path());
    for (int number = 1; number <= 60; ++number) {
      const int rows = chance(5) ? 40 + pick(200) : 1 + pick(6);
      sent_.push_back(transaction(number, rows));
    }
  }

  int days_packed() const noexcept { return packed_; }

  void run() {
    for (int round = 0; round < 6 && confirmed_ < lsn_of(60); ++round) {
      session(false);
      crash();
    }
    session(true);
    const auto all = read_all(*dir_, real_.path());
    INFO("seed " << seed_);
    REQUIRE(all.size() == sent_.size());
    for (std::size_t i = 0; i < sent_.size(); ++i) {
      REQUIRE(all[i].text == sent_[i]);
      if (i > 0) REQUIRE(all[i - 1].position < all[i].position);
    }
    check_still_there(all);
  }

 private:
  bool chance(unsigned one_in) { return random_() % one_in == 0; }
  int pick(unsigned below) { return static_cast<int>(random_() % below); }

  void walk_clock() {
    if (chance(3)) now_ += pick(3);
    if (chance(40)) now_ += 86400 * (1 + pick(3));
    if (chance(40)) now_ -= 86400 * (1 + pick(3));
    if (chance(30)) now_ += 86399 - now_ % 86400;  // the last second of a day
  }

  // A connection: the server sends what follows what it was told is safe.
  void session(bool to_the_end) {
    WriterOptions options;
    options.clock = [this](std::int64_t) { return now_; };
    options.day_mark = [] { return MarkFacts{1, 7, {}}; };
    options.buffer_bytes = 700 + static_cast<std::size_t>(pick(3000));
    options.block_bytes = 64 + static_cast<std::size_t>(pick(2000));
    options.dir = dir_;
    // A slot's own place may lag behind what was confirmed; from a pipe there is none.
    std::optional<Lsn> slot = confirmed_;
    if (chance(3)) slot.reset();
    Writer writer(lock_.path(), source(), slot, options);
    INFO("seed " << seed_);
    REQUIRE(writer.last_lsn() >= confirmed_);
    check_still_there(read_all(*dir_, real_.path()));

    const int last = to_the_end ? 60 : 5 + pick(60);
    const int first = chance(2) ? 1 : static_cast<int>((confirmed_.value - 0x1000) / 16) + 1;
    for (int number = confirmed_.value == 0 ? 1 : first; number <= std::min(last, 60); ++number) {
      walk_clock();
      const std::string& lines = sent_[static_cast<std::size_t>(number - 1)];
      std::size_t at = 0;
      while (at < lines.size()) {
        const std::size_t newline = lines.find('\n', at + static_cast<std::size_t>(pick(400)));
        const std::size_t end = std::min(lines.size(), newline);
        writer.append(std::string_view(lines).substr(at, end - at));
        at = end + 1;
        if (chance(12)) flush(writer);
        if (!to_the_end && chance(400)) return;
      }
      if (chance(6)) writer.mark(lsn_of(number), {});
      if (chance(8)) tidy();
      if (chance(5)) flush(writer);
    }
    if (to_the_end) flush(writer);
  }

  void flush(Writer& writer) {
    Writer::Flush group = writer.begin_flush();
    group.run();
    // Between the two a reader may have seen it all and we may die unconfirmed.
    if (chance(8)) remember();
    if (chance(10)) return;
    writer.finish_flush(group);
    if (!chance(4)) confirmed_ = std::max(confirmed_, writer.flushed());
  }

  // Beside the Writer, as deltastream does it; what it was at when it was told to stop leaves no
  // trace.
  void tidy() {
    HousekeepingRules rules;
    rules.compress = 1;
    Housekeeping housekeeping(lock_.path(), rules, dir_);
    int left = pick(6);
    if (housekeeping.step(confirmed_, [&left] { return left-- == 0; })) ++packed_;
  }

  // What a reader has seen is never taken back.
  void remember() {
    const auto seen = read_all(*dir_, real_.path());
    if (seen.size() > seen_.size()) seen_ = seen;
  }

  void check_still_there(const std::vector<Delivered>& all) {
    INFO("seed " << seed_);
    REQUIRE(all.size() >= seen_.size());
    for (std::size_t i = 0; i < seen_.size(); ++i) REQUIRE((all[i] == seen_[i]));
  }

  void crash() { dir_ = chance(4) ? dir_->after_kill() : dir_->after_power_loss(random_); }

  std::mt19937_64 random_;
  std::uint64_t seed_;
  support::ScratchDir lock_;
  support::ScratchDir real_;
  std::shared_ptr<MemoryDir> dir_;
  std::vector<std::string> sent_;
  std::vector<Delivered> seen_;
  Lsn confirmed_;
  std::int64_t now_ = kNoon;
  int packed_ = 0;
};

}  // namespace

TEST_CASE("power loss: nothing lost, nothing twice, whatever the disk kept", "[fault]") {
  const std::uint64_t first = from_environment("DAYSTREAM_SEED", 1);
  const bool one = std::getenv("DAYSTREAM_SEED") != nullptr;
  const std::uint64_t count = from_environment("DAYSTREAM_SEEDS", one ? 1 : 300);
  int packed = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    CAPTURE(seed);
    World world(seed);
    world.run();
    packed += world.days_packed();
  }
  if (count > 100) CHECK(packed > static_cast<int>(count) / 10);  // else nothing was tried
}

TEST_CASE("faults: each call fails once, or from then on", "[fault]") {
  const int error = GENERATE(EIO, ENOSPC);
  const bool sticky = GENERATE(false, true);
  for (std::uint64_t n = 1;; ++n) {
    CAPTURE(error, sticky, n);
    support::ScratchDir lock;
    support::ScratchDir real;
    auto dir = std::make_shared<MemoryDir>(lock.path());
    std::int64_t now = kNoon;
    Lsn confirmed;
    const auto scenario = [&] {
      WriterOptions options;
      options.clock = [&now](std::int64_t) { return now; };
      options.buffer_bytes = 2000;
      options.block_bytes = 100;
      options.dir = dir;
      Writer writer(lock.path(), source(), confirmed, options);
      writer.declare_holding({{}, "fox", {}});
      for (int number = 1; number <= 12; ++number) {
        now += 20'000;
        writer.append(transaction(number, number % 4 == 0 ? 80 : 2));
        if (number % 2 == 0) {
          writer.flush();
          confirmed = writer.flushed();
        }
      }
      HousekeepingRules rules;
      rules.compress = 1;
      Housekeeping housekeeping(lock.path(), rules, dir);
      while (housekeeping.step(confirmed, [] { return false; })) {
      }
    };
    dir->fail_call(n, error, sticky);
    bool passed = true;
    try {
      scenario();
    } catch (const IoError& e) {
      CHECK(e.error_number() == error);
      passed = false;
    }
    CHECK(passed == !dir->failed());
    // As it is when only the process dies, and when the power goes with it.
    std::mt19937_64 random(n);
    dir = n % 2 == 0 ? dir->after_kill() : dir->after_power_loss(random);
    const Lsn before = confirmed;
    scenario();
    CHECK(confirmed >= before);
    // What was flushed in the end is on the disk, not only in the page cache: also where a sync
    // failed and the kernel forgot the pages.
    dir = dir->after_power_loss(random);
    WriterOptions options;
    options.dir = dir;
    CHECK(Writer(lock.path(), source(), confirmed, options).last_lsn() == lsn_of(12));
    const auto all = read_all(*dir, real.path());
    REQUIRE(all.size() == 12);
    for (int number = 1; number <= 12; ++number) {
      CHECK(all[static_cast<std::size_t>(number - 1)].text ==
            transaction(number, number % 4 == 0 ? 80 : 2));
    }
    if (passed) break;
  }
}

// The kernel may have dropped what was to be synced: the next sync would succeed without it.
TEST_CASE("faults: after a sync that failed no other counts", "[fault]") {
  int failures = 0;
  for (std::uint64_t n = 1;; ++n) {
    CAPTURE(n);
    support::ScratchDir lock;
    auto dir = std::make_shared<MemoryDir>(lock.path());
    std::int64_t now = kNoon;
    WriterOptions options;
    options.clock = [&now](std::int64_t) { return now; };
    options.dir = dir;
    Writer writer(lock.path(), source(), Lsn{}, options);
    writer.append(transaction(1));
    writer.flush();
    dir->fail_call(n, EIO, false);
    Lsn last = lsn_of(1);
    try {
      for (int number = 2; number <= 6; ++number) {
        now += 50'000;
        writer.append(transaction(number));
        writer.flush();
        last = lsn_of(number);
      }
      break;  // there are fewer calls than that
    } catch (const IoError&) {
      ++failures;
    }
    CHECK(writer.flushed() == last);
    for (int again = 0; again < 3; ++again) {
      CHECK_THROWS_AS(writer.flush(), IoError);
      CHECK_THROWS_AS(writer.append(transaction(9)), IoError);
    }
    CHECK(writer.flushed() == last);
  }
  CHECK(failures > 10);
}
