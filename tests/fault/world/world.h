// A whole small world under one seed: PostgreSQL, deltastream, which waits for a copy, a server, a
// relay, two mirrors and a consumer; and whatever may happen to them.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "common/invariant_reader.h"
#include "common/seed.h"
#include "common/wall_clock.h"
#include "support/cluster.h"
#include "support/cut_proxy.h"
#include "world/part.h"

namespace fault {

//   PostgreSQL ─(proxy)─ deltastream ─▶ stream/ ─▶ serve ─▶ relay ─▶ copy/ ─▶ consume ─▶ taken
//                                         └▶ near.db         └▶ far.db
class World {
 public:
  explicit World(support::Cluster& cluster);

  std::filesystem::path daystream() const { return dir_ / "stream"; }
  std::filesystem::path copy() const { return dir_ / "copy"; }
  std::filesystem::path consumed() const { return dir_ / "taken"; }
  std::vector<std::filesystem::path> mirrors() const { return {dir_ / "near.db", dir_ / "far.db"}; }

  Part& stream() { return *parts_[0]; }
  Part& relay() { return *parts_[2]; }
  void start_stream();   // with serve and relay, which it waits for
  void start_readers();  // seeds the mirrors; with the consumer

  // Who reads the far mirror while its host may lose its power.
  void set_far_reader(InvariantReader* reader) { far_reader_ = reader; }

  // One thing happens. What it was, so that a failed run can be read.
  std::string disturb(Random& random);
  // All that has ended is started again; what is wrong with how it ended.
  std::vector<std::string> tend();
  // A seed beside all else, replayed; what is wrong with it.
  std::vector<std::string> side_seed();
  // Nothing fails any more; where `end` is reached by all of them, all end. What is wrong: not all
  // did within `patience`, or one did not end well.
  std::vector<std::string> settle(const std::string& end, std::chrono::seconds patience);

  struct Counts {
    std::uint64_t kills = 0, stops = 0, cuts = 0, power_losses = 0, armed = 0, struck = 0,
                  ended = 0, side_seeds = 0, clock_steps = 0, shortages = 0;
  };
  Counts counts() const;
  std::uint64_t confirmed() const;
  std::string words() const;  // of all programs, for a person

 private:
  std::string kill_part(Random& random);
  std::string stop_part(Random& random);
  std::string arm_part(Random& random);
  std::string cut(Random& random);
  std::string kill_walsender();
  std::string kill_postmaster(Random& random);
  std::string lose_power(Random& random);
  std::string lose_far_power(Random& random);
  std::string step_clock(Random& random);
  std::string starve_part(Random& random);
  std::string behind(const std::string& end) const;
  Part& any_part(Random& random) { return *parts_[random.below(parts_.size())]; }
  std::string conninfo() const;  // by way of the proxy
  std::string url() const;

  support::Cluster& cluster_;
  support::TempDir dir_;
  support::CutProxy proxy_;
  WallClock clock_;  // of deltastream
  int port_;
  std::vector<std::unique_ptr<Part>> parts_;
  InvariantReader* far_reader_ = nullptr;
  Counts counts_;
};

}  // namespace fault
