// A program of a small world: started again whenever it ends, killed, stopped, and made to fail.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/seed.h"
#include "common/wall_clock.h"
#include "support/fault_preload.h"
#include "support/process.h"

namespace fault {

class Part {
 public:
  struct Setting {
    std::filesystem::path below;       // calls on what is in there can be made to fail,
    std::string except;                // but for files called so
    std::string keep_synced = {};      // FaultPreload::Plan
    const WallClock* clock = nullptr;  // the program's; nullptr: ours
  };
  Part(std::string name, std::vector<std::string> argv, const Setting&);

  const std::string& name() const noexcept { return name_; }
  support::Process& process() { return *process_; }
  const support::FaultPreload& faults() const noexcept { return faults_; }

  void start();
  void kill();  // SIGKILL; it stays dead until start()
  // A later call fails: which, how, and for how long is drawn. What it was.
  std::string arm(Random&);
  void heal() { faults_.heal(); }
  void stop_for(std::chrono::milliseconds);
  // It gets no more memory than so much for a while.
  void starve(std::size_t more_bytes, std::chrono::milliseconds);

  // Starts it again where it has ended by itself, as a service manager does. What is wrong with how
  // it ended, empty: nothing. An error that may pass is not wrong; a call for a person is.
  std::string tend();
  std::string words() const {
    return words_ + (process_ ? process_->err() : "");
  }                                            // of all its runs
  int ends() const noexcept { return ends_; }  // by itself

 private:
  std::string name_;
  std::vector<std::string> argv_;
  support::FaultPreload faults_;
  const WallClock* clock_;
  std::optional<support::Process> process_;
  std::string words_;
  int ends_ = 0;
};

}  // namespace fault
