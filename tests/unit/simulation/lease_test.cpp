// The leases of a consumer group (docs/groups.md#leases) under random histories: workers that come,
// freeze, wake, crash and leave, with a clock that is a number and records that are in memory.
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "history.h"
#include "sharing/lease.h"
#include "sharing/share.h"

using daystream::Position;
using daystream::sharing::boot_id;
using daystream::sharing::BootTime;
using daystream::sharing::Lease;
using daystream::sharing::LeaseLost;
using daystream::sharing::Member;
using daystream::sharing::PartRecord;
using daystream::sharing::Rule;
using daystream::sharing::Store;
using simulation::History;

namespace {

constexpr std::uint32_t kParts = 5;
constexpr int kWorkers = 4;
constexpr std::chrono::seconds kLength{30};

struct Event {
  enum class Kind {
    Work,    // a worker looks around, and does something for each of its parts
    Freeze,  // it stops for a while
    Wake,
    Crash,
    Leave,
    Time,
  };
  Kind kind = Kind::Work;
  int worker = 0;
  int amount = 0;
};

Event draw(std::mt19937_64& random) {
  static constexpr int kSeconds[] = {1, 9, 10, 29, 31, 100};
  const std::uint64_t what = random() % 12;
  return {what < 5 ? Event::Kind::Work : static_cast<Event::Kind>(1 + what % 5),
          static_cast<int>(random() % kWorkers), kSeconds[random() % 6]};
}

std::string text_of(const Event& event) {
  static const char* const kNames[] = {"work", "freeze", "wake", "crash", "leave", "time"};
  return kNames[static_cast<int>(event.kind)] +
         (" worker " + std::to_string(event.worker) + " seconds " + std::to_string(event.amount));
}

class MemoryStore final : public Store {
 public:
  MemoryStore() { rule_.into = kParts; }
  const Rule& rule() const noexcept override { return rule_; }
  bool is_paused() override { return false; }
  void set_paused(bool) override {}
  std::vector<Member> members() override {
    std::vector<Member> all;
    for (const auto& [id, member] : members_) all.push_back(member);
    return all;
  }
  void beat(const Member& member) override { members_[member.id] = member; }
  void leave(const std::string& id) override { members_.erase(id); }
  PartRecord part(std::uint32_t part) override {
    auto& all = records_[part];
    return all.empty() ? PartRecord{} : all.rbegin()->second;
  }
  std::optional<PartRecord> record(std::uint32_t part, std::uint64_t epoch) override {
    const auto& all = records_[part];
    const auto at = all.find(epoch);
    return at == all.end() ? std::nullopt : std::optional(at->second);
  }
  bool take(std::uint32_t part, const PartRecord& next) override {
    if (records_[part].contains(next.epoch) || this->part(part).epoch > next.epoch) return false;
    records_[part].emplace(next.epoch, next);
    return true;
  }
  bool keep(std::uint32_t part, const PartRecord& mine) override {
    records_[part].insert_or_assign(mine.epoch, mine);
    return records_[part].rbegin()->first == mine.epoch;
  }

 private:
  Rule rule_;
  std::map<std::string, Member> members_;
  std::map<std::uint32_t, std::map<std::uint64_t, PartRecord>> records_;
};

struct Worker {
  std::string id;
  bool frozen = false;
  std::map<std::uint32_t, std::unique_ptr<Lease>> leases;
};

// Beside the workers, the database that they write to: for each part it takes a position only with
// the highest epoch it has seen.
class World {
 public:
  World() {
    for (int i = 0; i < kWorkers; ++i) start(i);
  }

  std::string take(const Event& event) {
    Worker& worker = workers_[event.worker];
    switch (event.kind) {
      case Event::Kind::Work:
        return worker.frozen ? "" : work(worker);
      case Event::Kind::Freeze:
        worker.frozen = true;
        break;
      case Event::Kind::Wake:
        worker.frozen = false;
        break;
      case Event::Kind::Crash:
        start(event.worker);
        break;
      case Event::Kind::Leave:
        for (auto& [part, lease] : worker.leases) lease->release();
        store_.leave(worker.id);
        start(event.worker);
        break;
      case Event::Kind::Time:
        now_ += std::chrono::seconds(event.amount);
        break;
    }
    return "";
  }

  // Where two go on for long enough, and all others stay frozen, they have all parts, evenly.
  std::string settle() {
    for (int i = 0; i < kWorkers; ++i) workers_[i].frozen = i > 1;
    now_ += 2 * kLength;
    for (int round = 0; round < 10; ++round) {
      for (int i = 0; i < 2; ++i) {
        std::string wrong = work(workers_[i]);
        if (!wrong.empty()) return wrong;
      }
      now_ += std::chrono::seconds(5);
    }
    const std::size_t one = workers_[0].leases.size();
    const std::size_t other = workers_[1].leases.size();
    if (one + other != kParts) return "a part is worked on by nobody";
    if (std::max(one, other) - std::min(one, other) > 1) return "parts are not spread evenly";
    return "";
  }

 private:
  void start(int i) {
    workers_[i] = {"w" + std::to_string(i) + "-" + std::to_string(started_++), false, {}};
  }

  std::string work(Worker& worker) {
    store_.beat({worker.id, 1, "", boot_id(), now_ + kLength});
    std::vector<PartRecord> parts;
    for (std::uint32_t part = 0; part < kParts; ++part) parts.push_back(store_.part(part));
    const auto due = share_of(worker.id, store_.members(), parts, now_);
    for (const std::uint32_t part : due.give) {
      worker.leases.at(part)->release();
      worker.leases.erase(part);
    }
    for (const std::uint32_t part : due.take) {
      if (auto lease = Lease::take(store_, {part, worker.id, kLength}, clock_)) {
        worker.leases.insert_or_assign(part, std::move(lease));
      }
    }
    for (auto at = worker.leases.begin(); at != worker.leases.end();) {
      std::string wrong = work_on(*at->second);
      if (!wrong.empty()) return wrong;
      at = at->second->is_held() ? std::next(at) : worker.leases.erase(at);
    }
    return "";
  }

  // First it commits in the database, then it acknowledges.
  std::string work_on(Lease& lease) {
    const std::uint32_t part = lease.part();
    if (holders_[part].contains(lease.epoch()) && holders_[part][lease.epoch()] != &lease) {
      return "two have one epoch";
    }
    holders_[part][lease.epoch()] = &lease;
    if (!lease.is_held()) return "";
    if (lease.epoch() < claimed_[part]) return "a lease counts as held, though a later one is";
    claimed_[part] = lease.epoch();
    try {
      lease.renew();
      lease.keep([](PartRecord& record) { record.position = {1, record.position.s + 1}; });
      if (lease.record().position <= acknowledged_[part])
        return "an acknowledgement was taken back";
      acknowledged_[part] = lease.record().position;
    } catch (const LeaseLost&) {
    }
    return "";
  }

  BootTime now_{std::chrono::hours(1)};
  const Lease::Clock clock_ = [this] { return now_; };
  MemoryStore store_;
  int started_ = 0;
  Worker workers_[kWorkers];
  std::map<std::uint32_t, std::map<std::uint64_t, const Lease*>> holders_;
  std::map<std::uint32_t, std::uint64_t> claimed_;
  std::map<std::uint32_t, Position> acknowledged_;
};

std::string judge(const History<Event>& history) {
  World world;
  for (const Event& event : history) {
    std::string wrong = world.take(event);
    if (!wrong.empty()) return wrong;
  }
  return world.settle();
}

}  // namespace

TEST_CASE("lease: a part has one holder, whoever freezes, crashes and comes", "[sharing]") {
  CHECK(simulation::try_histories<Event>(60, draw, judge, text_of, 10) == "");
}
