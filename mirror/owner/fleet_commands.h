// Does what the server of a fleet asks this host to do, as far as the host was started to
// (`run --accept-commands`; docs/fleet.md#commands).
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "config/command_record.h"
#include "program/program.h"
#include "src/waiting.h"

namespace deltamirror {

class FleetConfig;

// A command is begun at most once:
//
// 1. That it is about to be begun is on disk before it is (MIRROR.commands.json).
// 2. It is carried out: by our own program, as a child with arguments that we make, or by the owner
//    of the mirror. Nothing that the server says becomes the name of a program or of a file.
// 3. How it ended is on disk, and reported until the server has it.
//
// Killed between 1 and 3, the next start finds it begun: it says so, and does not begin it again.
// The server may give a command again at any time; what is on disk decides.
//
// Threads: one of its own carries them out, one after the other; the calls below are for any.
class FleetCommands {
 public:
  // What may be carried out, as it is said on the command line. Throws ConfigError.
  static std::vector<std::string> parse_kinds(const std::string& list);

  // `config` and `conninfo`: how children reach the sources. All outlive it.
  FleetCommands(std::string mirror, std::vector<std::string> kinds, const FleetConfig& config,
                std::optional<std::string> conninfo, daystream::program::Signals& signals);
  FleetCommands(const FleetCommands&) = delete;
  FleetCommands& operator=(const FleetCommands&) = delete;
  ~FleetCommands() { end(); }

  // While it lives the mirror is ours, and commands are carried out; before, they are left to be
  // given again. `commands` nullptr: nothing.
  class Owning {
   public:
    explicit Owning(FleetCommands* commands) : commands_(commands) {
      if (commands_ != nullptr) commands_->begin();
    }
    Owning(const Owning&) = delete;
    Owning& operator=(const Owning&) = delete;
    ~Owning() {
      if (commands_ != nullptr) commands_->end();
    }

   private:
    FleetCommands* const commands_;
  };

  // What the server has answered to a report.
  void hear(const nlohmann::json& answer);
  // Puts into a report which commands are taken, and what became of the last ones.
  void tell(nlohmann::ordered_json& report);

  bool is_paused() const noexcept { return paused_; }
  bool wants_restart() const noexcept { return restarts_; }
  // Readable once is_paused() has changed.
  int fd() const noexcept { return changed_.fd(); }
  void clear() const noexcept { changed_.clear(); }

 private:
  struct Done {
    std::string state;
    std::string result;
  };
  void begin();
  void end() noexcept;
  void run(const std::stop_token& stop);
  std::shared_ptr<const daystream::program::HostCommand> next(const std::stop_token& stop);
  void carry_out(const daystream::program::HostCommand& command, const std::stop_token& stop);
  std::string refusal_of(const daystream::program::HostCommand& command) const;
  bool write_down(const daystream::program::HostCommand& command);
  void finish(const daystream::program::HostCommand& command, const Done& done,
              const std::optional<Paused>& paused);
  Done act(const daystream::program::HostCommand& command, const std::stop_token& stop);
  Done run_child(const daystream::program::HostCommand& command, const std::stop_token& stop);
  std::vector<std::string> arguments_of(const daystream::program::HostCommand& command) const;
  bool is_withdrawn(const std::string& id);
  void save() noexcept;  // with the lock

  const std::string mirror_;
  const std::vector<std::string> kinds_;
  const FleetConfig& config_;
  const std::optional<std::string> conninfo_;
  daystream::program::Signals& signals_;
  const daystream::WakeFd changed_;
  const daystream::WakeFd nudge_;  // of the thread, while a child runs
  std::atomic<bool> paused_ = false;
  std::atomic<bool> restarts_ = false;
  std::mutex mutex_;
  std::condition_variable_any news_;
  // With the lock:
  bool is_owned_ = false;
  CommandRecord record_;
  std::deque<std::shared_ptr<const daystream::program::HostCommand>> waiting_;
  std::set<std::string> withdrawn_;
  std::set<std::string> asked_again_;  // the server does not know that they are over
  std::jthread thread_;                // last: it uses the others
};

// Starts this program again in this process, with the same command line: a new version, where there
// is one. Does not return. Throws IoError.
[[noreturn]] void start_again();

}  // namespace deltamirror
