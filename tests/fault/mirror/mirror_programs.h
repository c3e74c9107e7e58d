// PostgreSQL, a deltastream for each of its databases, and the mirror of them all: killed and
// started again by whoever tries what they stand.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "storm_oracle.h"
#include "support/cluster.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace fault {

struct MirrorSetting {
  int sources = 1;        // more than one: they share their tables
  bool connected = true;  // `run` has a connection; else somebody does what the mirror says
  bool lent = false;      // or there are snapshots of another mirror, which has one
  std::map<std::string, std::string> called;  // SCHEMA.TABLE that is wished: its name in the mirror
  std::string streamed;                       // deltastream's --tables; empty: all
};

class MirrorPrograms {
 public:
  // `prepare` makes the tables of a database before anything looks at it.
  MirrorPrograms(const MirrorSetting& setting,
                 const std::function<void(support::Cluster&, const StormSource&)>& prepare);

  support::Cluster& cluster() { return cluster_; }
  const std::vector<StormSource>& sources() const { return sources_; }
  support::Process& owner() { return *owner_; }

  void kill_owner();
  void kill_stream(std::size_t source);
  void kill_server();          // SIGKILL
  void shut_server_at_once();  // an immediate shutdown
  void cut_connections();      // those of all deltastreams
  void read_configuration();   // SIGHUP

  // Makes the same mirror once more, beside what goes on.
  void begin_seed();
  // It takes the mirror's place once it is made. What came of it; empty: nothing as yet.
  std::string take_up_seeded();

  // Waits until the mirror has all that was committed. What is wrong then; empty: nothing.
  // `copies`: every table that can be had is to be there, also without a connection.
  std::string complaint(bool copies);
  // Does what the hint of each table in trouble says, or puts a newer snapshot where it may come
  // from. What was done.
  std::string do_as_told();
  std::string ending();      // of an owner that has ended
  std::string told() const;  // by the owner, of late
  void stop();

 private:
  std::filesystem::path mirror() const { return dir_ / "mirror.db"; }
  std::string config(bool connected) const;
  std::vector<std::string> command(const std::string& verb, const std::string& file,
                                   bool connected) const;
  void start_stream(std::size_t source, bool first = false);
  void start_owner();
  std::filesystem::path lender() const { return dir_ / "lender.db"; }
  std::string lend();
  void wait_until_it_hears();

  const MirrorSetting setting_;
  support::Cluster cluster_;
  const support::TempDir dir_;
  std::vector<StormSource> sources_;
  std::vector<std::unique_ptr<support::Process>> streams_;
  std::unique_ptr<StormOracle> oracle_;
  std::unique_ptr<support::Process> owner_;
  std::unique_ptr<support::Process> lender_;  // owns the mirror whose snapshots there are
  std::unique_ptr<support::Process> seed_;
};

}  // namespace fault
