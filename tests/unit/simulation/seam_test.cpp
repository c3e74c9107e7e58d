// The exact seam of a seed (docs/guarantees.md#the-exact-seam-of-a-seed) under random histories of
// transactions: what a snapshot saw, and what is replayed after it, is all of it, once.
#include <catch2/catch.hpp>
#include <set>

#include "daystream/line.h"
#include "history.h"
#include "model/mvcc_snapshot.h"

using deltamirror::MvccSnapshot;
using simulation::History;

namespace {

struct Event {
  enum class Kind { Begin, Commit, Abort, Mark, Seed };
  Kind kind = Kind::Begin;
  std::uint64_t which = 0;  // of the open ones
};

Event draw(std::mt19937_64& random) {
  static constexpr Event::Kind kKinds[] = {
      Event::Kind::Begin, Event::Kind::Begin, Event::Kind::Commit, Event::Kind::Commit,
      Event::Kind::Abort, Event::Kind::Mark,  Event::Kind::Seed};
  return {kKinds[random() % 7], random()};
}

std::string text_of(const Event& event) {
  static const char* const kNames[] = {"begin", "commit", "abort", "mark", "seed"};
  return kNames[static_cast<int>(event.kind)] + (" " + std::to_string(event.which % 8));
}

// A commit (with an id) or a mark, as the stream has it.
struct EndLine {
  std::optional<std::uint32_t> xid;
  std::uint64_t next;
};

class Server {
 public:
  // Ids begin so that 32 bits wrap in the middle of a history.
  explicit Server(std::uint64_t first) : next_(first) { lines_.push_back({{}, next_}); }

  void take(const Event& event) {
    switch (event.kind) {
      case Event::Kind::Begin:
        open_.push_back(next_++);
        return;
      case Event::Kind::Commit:
        if (const auto xid = end_one(event.which)) {
          committed_.insert(*xid);
          lines_.push_back({static_cast<std::uint32_t>(*xid), next_});
        }
        return;
      case Event::Kind::Abort:
        end_one(event.which);
        return;
      case Event::Kind::Mark:
        lines_.push_back({{}, next_});
        return;
      case Event::Kind::Seed:
        seeds_.push_back({snapshot(), committed_});
    }
  }

  // What a mirror lacks or has twice at the end; empty: nothing.
  std::string complaint() const {
    for (const auto& [snapshot, rows] : seeds_) {
      std::multiset<std::uint64_t> mirror(rows.begin(), rows.end());
      for (std::size_t i = after_seam(snapshot); i < lines_.size(); ++i) {
        if (!lines_[i].xid) continue;
        const std::uint64_t xid = daystream::widen_xid(*lines_[i].xid, lines_[i].next);
        if (!snapshot.sees(xid)) mirror.insert(xid);
      }
      if (mirror != std::multiset<std::uint64_t>(committed_.begin(), committed_.end())) {
        return "a seed at " + snapshot.text() + " has " + std::to_string(mirror.size()) + " of " +
               std::to_string(committed_.size());
      }
    }
    return "";
  }

 private:
  std::optional<std::uint64_t> end_one(std::uint64_t which) {
    if (open_.empty()) return std::nullopt;
    const auto at = std::next(open_.begin(), static_cast<std::ptrdiff_t>(which % open_.size()));
    const std::uint64_t xid = *at;
    open_.erase(at);
    return xid;
  }

  MvccSnapshot snapshot() const {
    std::string running;
    for (const std::uint64_t xid : open_)
      running += (running.empty() ? "" : ",") + std::to_string(xid);
    const std::uint64_t xmin =
        open_.empty() ? next_ : *std::min_element(open_.begin(), open_.end());
    return MvccSnapshot::parse(std::to_string(xmin) + ":" + std::to_string(next_) + ":" + running);
  }

  // Behind the last line that is old enough. Where there is none a seed waits: it begins at the
  // first.
  std::size_t after_seam(const MvccSnapshot& snapshot) const {
    std::size_t after = 0;
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      if (lines_[i].next <= snapshot.xmin()) after = i + 1;
    }
    return after;
  }

  struct Seed {
    MvccSnapshot snapshot;
    std::set<std::uint64_t> rows;
  };
  std::uint64_t next_;
  std::vector<std::uint64_t> open_;
  std::set<std::uint64_t> committed_;
  std::vector<EndLine> lines_;
  std::vector<Seed> seeds_;
};

std::string judge(const History<Event>& history) {
  for (const std::uint64_t first : {std::uint64_t{3}, (std::uint64_t{5} << 32) - 4}) {
    Server server(first);
    for (const Event& event : history) server.take(event);
    if (std::string wrong = server.complaint(); !wrong.empty()) return wrong;
  }
  return "";
}

}  // namespace

TEST_CASE("simulation: a seed and what is replayed after it are all transactions, once",
          "[simulation][seam]") {
  CHECK(simulation::try_histories<Event>(40, draw, judge, text_of) == "");
}

TEST_CASE("simulation: a history that fails is told by its shortest part", "[simulation]") {
  // Wrong where a 7 stands before a 3.
  const auto judge_numbers = [](const History<int>& numbers) -> std::string {
    const auto seven = std::find(numbers.begin(), numbers.end(), 7);
    return std::find(seven, numbers.end(), 3) == numbers.end() ? "" : "3 after 7";
  };
  History<int> numbers;
  for (int i = 0; i < 100; ++i) numbers.push_back(i % 10);
  CHECK(simulation::shrunk<int>(numbers, judge_numbers) == History<int>{7, 3});
  CHECK(simulation::try_histories<int>(
            50, [](std::mt19937_64& random) { return static_cast<int>(random() % 10); },
            judge_numbers, [](const int& number) { return std::to_string(number); })
            .starts_with("3 after 7, after:\n  7\n  3\n"));
}
