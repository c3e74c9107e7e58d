#include "world/world.h"

#include <fmt/format.h>

#include <csignal>
#include <thread>

#include "common/invariant_reader.h"
#include "common/power_loss.h"
#include "common/streaming.h"
#include "common/synced_file.h"
#include "support/free_port.h"
#include "support/wait.h"
#include "world/consumed.h"

namespace fault {

using support::CutProxy;
using Strings = std::vector<std::string>;

namespace {

constexpr const char* kSlot = "world";

bool answers(support::Session& session) {
  try {
    session.scalar("SELECT 1");
    return true;
  } catch (const daystream::Error&) {
    return false;
  }
}

bool answers(const support::Cluster& cluster) {
  try {
    support::Session session = cluster.session();
    return answers(session);
  } catch (const daystream::Error&) {
    return false;
  }
}

// Until the stream's writer is back after a loss of power, who does not wait for it says so.
bool is_torn(const support::Result& result) {
  return result.exit == support::Exit{3, 0} &&
         result.err.find("nothing says that it was on disk") != std::string::npos;
}

std::chrono::milliseconds up_to(Random& random, std::uint64_t most_ms) {
  return std::chrono::milliseconds(random.below(most_ms));
}

}  // namespace

World::World(support::Cluster& cluster)
    : cluster_(cluster),
      proxy_(cluster.socket_dir()),
      clock_(dir_ / "clock"),
      port_(support::free_port()) {
  const auto add = [&](const std::string& name, Strings argv) {
    // The consumer's command is the test's.
    Part::Setting setting{.below = dir_.path(), .except = "taken"};
    if (name == "deltastream") setting.clock = &clock_;
    if (name == "far mirror") setting.keep_synced = mirrors()[1].filename();
    parts_.push_back(std::make_unique<Part>(name, std::move(argv), setting));
  };
  const std::string daystream = support::program("daystream");
  const std::string mirror = support::program("deltamirror");
  add("deltastream",
      {support::program("deltastream"), "-d", conninfo(), "-S", kSlot, "-D", this->daystream(),
       "--create-slot", "--if-not-exists", "--require-copies", "1"});
  add("serve", {daystream, "serve", "stream=" + this->daystream().string(), "--listen",
                fmt::format("127.0.0.1:{}", port_), "--record-copies"});
  add("relay", {daystream, "pull", url(), copy()});
  add("near mirror", {mirror, "run", mirrors()[0], "--daystream", this->daystream()});
  add("far mirror", {mirror, "run", mirrors()[1], "--daystream", url()});
  add("consumer", consume_command(copy(), dir_ / "consumer.at", consumed()));
}

std::string World::conninfo() const {
  return proxy_.conninfo() + " user=postgres dbname=postgres";
}

std::string World::url() const {
  return fmt::format("http://127.0.0.1:{}/stream", port_);
}

void World::start_stream() {
  stream().start();
  wait_until_streaming(daystream(), stream().process());
  parts_[1]->start();
  relay().start();
}

void World::start_readers() {
  for (const std::filesystem::path& mirror : mirrors()) {
    support::run_ok(seed_command(cluster_, daystream(), mirror));
  }
  // A seed has synced its file before it gave it its name.
  std::filesystem::copy_file(mirrors()[1], parts_[4]->faults().synced_copy(mirrors()[1]));
  for (std::size_t i = 3; i < parts_.size(); ++i) parts_[i]->start();
}

std::string World::kill_part(Random& random) {
  Part& part = any_part(random);
  part.kill();
  part.start();
  ++counts_.kills;
  return "killed " + part.name();
}

std::string World::stop_part(Random& random) {
  Part& part = any_part(random);
  part.stop_for(up_to(random, 500));
  ++counts_.stops;
  return "stopped " + part.name();
}

std::string World::arm_part(Random& random) {
  Part& part = any_part(random);
  ++counts_.armed;
  std::string what = part.arm(random);
  // As a disk that is full for a while: it ends before anybody's patience does.
  std::this_thread::sleep_for(up_to(random, 300));
  if (random.one_in(2)) part.heal();
  return what;
}

std::string World::cut(Random& random) {
  static constexpr CutProxy::Fault kFaults[] = {CutProxy::Fault::Close, CutProxy::Fault::Reset,
                                                CutProxy::Fault::Stall};
  const std::uint64_t which = random.below(3);
  proxy_.break_all(kFaults[which]);
  ++counts_.cuts;
  if (which < 2) return which == 0 ? "closed the connection" : "reset the connection";
  std::this_thread::sleep_for(up_to(random, 500));
  proxy_.drop_stalled();
  return "half of the connection was gone";
}

// PostgreSQL starts all over after a SIGKILL of any backend: it has begun when a session from
// before is gone, and is done when it takes new ones.
std::string World::kill_walsender() {
  const support::Rows rows =
      cluster_.query("SELECT active_pid FROM pg_replication_slots WHERE active");
  if (rows.empty()) return "no walsender to kill";
  support::Session witness = cluster_.session();
  kill(static_cast<pid_t>(std::stol(*rows[0][0])), SIGKILL);
  const bool noticed = support::eventually([&] { return !answers(witness); });
  if (!noticed || !support::eventually([&] { return answers(cluster_); })) {
    throw std::runtime_error("PostgreSQL did not come back");
  }
  ++counts_.kills;
  return "killed the walsender";
}

std::string World::kill_postmaster(Random& random) {
  ++counts_.kills;
  if (random.one_in(2)) {
    cluster_.restart(support::Cluster::Shutdown::Immediate);
    return "stopped PostgreSQL at once";
  }
  cluster_.kill9();
  cluster_.start();
  return "killed the postmaster";
}

// The host of the stream or that of the copy dies, with what was not synced, and with those that
// read it there; each may be the first to come back.
std::string World::lose_power(Random& random) {
  const bool of_copy = random.one_in(4);
  Part& writer = of_copy ? relay() : stream();
  std::vector<Part*> parts = {&writer};
  for (const int reader : of_copy ? std::vector{5} : std::vector{1, 3}) {
    parts.push_back(parts_[static_cast<std::size_t>(reader)].get());
  }
  for (Part* const part : parts) part->kill();
  counts_.kills += parts.size();
  PowerLoss(of_copy ? copy() : daystream(), writer.faults().sync_log()).strike(random);
  while (!parts.empty()) {
    const auto next = parts.begin() + static_cast<std::ptrdiff_t>(random.below(parts.size()));
    (*next)->start();
    parts.erase(next);
    std::this_thread::sleep_for(up_to(random, 300));
  }
  ++counts_.power_losses;
  return of_copy ? "the copy's host lost its power" : "the stream's host lost its power";
}

// The far mirror's host dies: what SQLite did not sync may be there or not, sector by sector. The
// mirror goes back, to a state it had, and its readers with it.
std::string World::lose_far_power(Random& random) {
  if (far_reader_ == nullptr) return "no far mirror yet";
  Part& far = *parts_[4];
  far_reader_->pause();
  far.kill();
  const std::string mirror = mirrors()[1];
  for (const char* suffix : {"", "-wal"}) {
    fault::lose_power(mirror + suffix, far.faults().synced_copy(mirror + suffix), random);
  }
  far.start();
  // Its owner has to recover it before somebody can read who may not write.
  std::string wrong;
  const bool back = support::eventually([&] {
    wrong = far.tend();
    if (!wrong.empty()) return true;
    try {
      const Strings seen = InvariantReader::look_once(mirror);
      wrong = seen.empty() ? "" : seen.front();
      return true;
    } catch (const std::exception&) {
      return false;
    }
  });
  if (!wrong.empty())
    throw std::runtime_error("after a power loss the far mirror is wrong: " + wrong);
  if (!back) throw std::runtime_error("the far mirror does not recover: " + far.words());
  far_reader_->resume();
  ++counts_.power_losses;
  ++counts_.kills;
  return "the far mirror's host lost its power";
}

// Days back, and nearly as far ahead as is let pass.
std::string World::step_clock(Random& random) {
  constexpr std::int64_t kDay = 86'400;
  const std::int64_t offset = static_cast<std::int64_t>(random.below(3 * kDay + 3'000)) - 3 * kDay;
  clock_.set_offset(offset);
  ++counts_.clock_steps;
  return fmt::format("deltastream's clock is {} s off", offset);
}

std::string World::starve_part(Random& random) {
  Part& part = any_part(random);
  part.starve(random.below(1 << 22), up_to(random, 300));
  ++counts_.shortages;
  return part.name() + " was short of memory";
}

std::string World::disturb(Random& random) {
  switch (random.below(20)) {
    case 0:
      return kill_walsender();
    case 1:
      return kill_postmaster(random);
    case 2:
    case 3:
      return lose_power(random);
    case 4:
    case 5:
      return cut(random);
    case 6:
      return stop_part(random);
    case 16:
      return starve_part(random);
    case 17:
      return step_clock(random);
    case 18:
    case 19:
      return lose_far_power(random);
    case 7:
    case 8:
    case 9:
    case 10:
      return arm_part(random);
    default:
      return kill_part(random);
  }
}

Strings World::tend() {
  Strings wrong;
  for (const auto& part : parts_) {
    const std::string what = part->tend();
    if (!what.empty()) wrong.push_back(what);
  }
  return wrong;
}

// One that was made impossible must say so and leave nothing.
Strings World::side_seed() {
  const support::TempDir dir;
  const auto side = dir / "side.db";
  const support::Result seed = support::run(seed_command(cluster_, daystream(), side));
  if (!seed.ok()) {
    const bool said = seed.exit == support::Exit{1, 0} || is_torn(seed);
    if (said && !std::filesystem::exists(side)) return {};
    return {"seed: " + seed.err};
  }
  const support::Result replay = support::run(replay_command(daystream(), side));
  if (is_torn(replay)) return {};
  if (!replay.ok()) return {"replay after a seed: " + replay.err};
  ++counts_.side_seeds;
  return InvariantReader::look_once(side);
}

// What is not where it is to be yet; empty: all is.
std::string World::behind(const std::string& end) const {
  if (confirmed() < support::parse_lsn(end)) {
    return "the slot is confirmed up to " + support::lsn_text(confirmed()) + ", not " + end;
  }
  const std::vector<std::uint64_t> handed = consumed_commits(consumed());
  const support::StreamContent content = support::check_stream(copy(), {.live = true});
  const auto commits = content.commits();
  if (commits.empty() || handed.empty()) return "nothing was handed over";
  if (handed.back() == commits.back()->lsn) return "";
  return "the consumer is at " + support::lsn_text(handed.back()) + ", not " +
         support::lsn_text(commits.back()->lsn);
}

Strings World::settle(const std::string& end, std::chrono::seconds patience) {
  Strings wrong;
  for (const auto& part : parts_) part->heal();
  const auto until = std::chrono::steady_clock::now() + patience;
  std::string behind = "not looked yet";
  while (!behind.empty() && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));  // to look is not cheap
    for (std::string& what : tend()) wrong.push_back(std::move(what));
    behind = this->behind(end);
  }
  if (!behind.empty()) wrong.push_back(behind);
  for (const std::filesystem::path& mirror : mirrors()) {
    // What ends meanwhile, of what it met before, has to be started again as before.
    const auto last = std::chrono::steady_clock::now() + patience;
    std::string waits = "not looked yet";
    while (!waits.empty() && std::chrono::steady_clock::now() < last) {
      for (std::string& what : tend()) wrong.push_back(std::move(what));
      const support::Result wait = support::run(
          {support::program("deltamirror"), "wait", mirror, "--lsn", end, "--timeout", "5"});
      waits = wait.ok() ? "" : mirror.filename().string() + ": " + wait.err;
    }
    if (!waits.empty()) wrong.push_back(waits);
  }
  for (auto part = parts_.rbegin(); part != parts_.rend(); ++part) {
    (*part)->process().signal(SIGTERM);
    const support::Exit exit = (*part)->process().wait();
    if (exit != support::Exit{0, 0}) {
      wrong.push_back(fmt::format("{} did not end well: {}", (*part)->name(), exit.code));
    }
  }
  return wrong;
}

World::Counts World::counts() const {
  Counts all = counts_;
  for (const auto& part : parts_) {
    all.struck += part->faults().struck();
    all.ended += static_cast<std::uint64_t>(part->ends());
  }
  return all;
}

std::uint64_t World::confirmed() const {
  return support::parse_lsn(cluster_.scalar(fmt::format(
      "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '{}'", kSlot)));
}

std::string World::words() const {
  std::string all;
  for (const auto& part : parts_) all += part->name() + ":\n" + part->words() + "\n";
  return all;
}

}  // namespace fault
