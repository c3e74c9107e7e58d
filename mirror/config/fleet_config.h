// A configuration that a server offers (`deltamirror run --config URL`): fetched, kept beside the
// mirror, and followed (docs/fleet.md).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "config/config.h"
#include "daystream/stop.h"
#include "src/waiting.h"

namespace deltamirror {

// As the server has it.
struct FleetOffer {
  std::uint64_t revision = 0;
  std::string text;  // JSON
};

// What a mirror runs by: MIRROR.config.json, replaced whole. It is there before the server is, so
// that a host starts without.
struct FleetState {
  std::string source;  // URL
  std::optional<FleetOffer> applied;
  std::optional<std::uint64_t> wanted;
  std::string error;  // why the wanted one is not in force, or none is to be had; empty: no trouble

  // nullopt: there is none, or none that can be read.
  static std::optional<FleetState> load(const std::string& mirror);
  // What is wrong with a file that is there and cannot be read; empty: nothing, or none is there.
  static std::string damage(const std::string& mirror);
  static constexpr const char* kHowToMend =
      "start \"deltamirror run\" again with its --config while the server can be reached: it "
      "writes "
      "that file then";
  static constexpr const char* kHowToRevise =
      "publish one that can: \"daystream fleet DIR publish\"";
  void save(const std::string& mirror) const;  // throws IoError
  static void remove(const std::string& mirror) noexcept;

  bool is_refused() const noexcept { return !error.empty() && applied_revision() != wanted; }
  std::optional<std::uint64_t> applied_revision() const noexcept {
    return applied ? std::optional(applied->revision) : std::nullopt;
  }
};
// For `status`: {source, revision, wanted_revision, error}.
nlohmann::ordered_json to_json(const FleetState& state);

// Threads: one of its own asks the server; the calls below are for any.
class FleetConfig {
 public:
  // An answer is held by the server for so long: less than what proxies in between end it after.
  static constexpr std::chrono::seconds kHold{45};

  static bool is_address(const std::string& config) {
    return config.find("://") != std::string::npos;
  }

  // `labels`: KEY=VALUE each. Throws ConfigError where one or the URL is none.
  FleetConfig(const std::string& url, const std::vector<std::string>& labels, std::string mirror);
  FleetConfig(const FleetConfig&) = delete;
  FleetConfig& operator=(const FleetConfig&) = delete;

  // Asks for the newest, and goes by the one that was kept where there is none to be had.
  // `patient`: where there is neither, it tries again as long as that may help. False: asked to
  // stop. Throws what the server said.
  bool begin(const daystream::Stop& stop, bool patient);
  // From then on fd() is readable once there is another one.
  void follow();
  int fd() const noexcept { return news_.fd(); }
  void clear() const noexcept { news_.clear(); }

  // What is to be in force. Throws ConfigError where it cannot be understood.
  MirrorConfig wanted() const;
  // The one that was in force last; nullopt: none.
  std::optional<MirrorConfig> kept() const;

  // The text of the one that is in force; of the one that is offered, where none is yet.
  std::string text_in_force() const;
  // The number of the newest command that the server has for this mirror; 0: none.
  std::uint64_t commands() const noexcept { return commands_; }

  // How that went: remembered beside the mirror.
  void taken(const MirrorConfig& config);
  void refused(std::uint64_t revision, const std::string& reason);
  void refused(const std::string& reason);  // the wanted one

 private:
  void run(const std::stop_token& stop);
  void hear(FleetOffer offer);
  void note(const std::string& error);
  void save();
  std::optional<FleetOffer> ask(std::optional<std::uint64_t> after, const daystream::Stop& stop);

  const std::string url_;
  std::string query_;
  const std::string mirror_;
  const daystream::WakeFd news_;
  const daystream::WakeFd ending_;
  std::atomic<bool> has_commands_ = false;  // the server is one that says so
  std::atomic<std::uint64_t> commands_ = 0;
  mutable std::mutex mutex_;
  FleetState state_;                         // with the lock
  std::shared_ptr<const FleetOffer> offer_;  // the same
  std::jthread thread_;                      // last: it uses the others
};

}  // namespace deltamirror
