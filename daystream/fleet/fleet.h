// The configurations of many mirrors: what people edit in one directory, and the revisions of it
// that were published (docs/fleet.md). Only these are offered to mirrors.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daystream/unique_fd.h"
#include "program/labels.h"

namespace daystream::fleet {

using program::Labels;
struct RolloutPlan;

// What is composed: the rules of fleet.json, and the parts that they use, by name.
struct FleetContent {
  nlohmann::json fleet;
  std::map<std::string, nlohmann::json> parts;
  bool operator==(const FleetContent&) const = default;

  // The rules that are about a mirror, by their places.
  std::vector<std::size_t> matching(const std::string& name, const Labels& labels) const;
  // Each of them, in order, as a merge patch (RFC 7396) upon those before.
  nlohmann::json compose(const std::vector<std::size_t>& rules) const;
  // What the mirror is to hold; nullopt: no rule is about it.
  std::optional<nlohmann::json> config_of(const std::string& name, const Labels& labels) const;
};

struct Revision {
  std::uint64_t number = 0;
  std::string author;
  std::chrono::sys_seconds time;
  std::string text;  // why; may be empty
  FleetContent content;
};

// The files as they are now.
struct FleetDraft {
  FleetContent content;
  std::vector<std::string> problems;  // FILE:LINE:COLUMN: …, each once; none: it may be published
};

// Threads: one. Any number of processes may use a directory: a revision is there whole or not at
// all, and never changes.
class FleetDirectory {
 public:
  static constexpr const char* kRevisions = "revisions";

  // Throws ConfigError where there is no such directory.
  explicit FleetDirectory(std::filesystem::path path);

  const std::filesystem::path& path() const noexcept { return path_; }
  std::filesystem::path revisions_path() const { return path_ / kRevisions; }

  // Looks at what each rule gives to the mirrors that it is about, and what those of `names` get,
  // by the schema of a mirror's configuration. Throws ConfigError where a file cannot be read.
  FleetDraft draft(const std::vector<std::string>& names = {}, const Labels& labels = {}) const;

  std::vector<std::uint64_t> revisions() const;  // the oldest first
  std::optional<std::uint64_t> newest() const;
  // Throws ConfigError where there is none of that number, NeedsPerson where it is damaged.
  Revision revision(std::uint64_t number) const;

  // Makes the next revision. nullopt: the newest has that content already. `plan`: it goes out in
  // steps; nullptr: to all at once. Throws Error where somebody else publishes now, IoError.
  std::optional<Revision> publish(const FleetContent& content, const std::string& author,
                                  const std::string& text, const RolloutPlan* plan = nullptr) const;
  // Somebody orders the roll-out of the newest to stop, or to go on. Throws ConfigError where there
  // is none.
  void order_rollout(bool stop, const std::string& by) const;

 private:
  UniqueFd lock_revisions() const;
  // The newest that all mirrors are to have, of those up to `number`.
  std::uint64_t reached_by_all(std::uint64_t number) const;

  std::filesystem::path path_;
};

// Whether a mirror's name fits the pattern, and it has all of these labels, whose values are
// patterns of its own.
bool fits_mirror(const std::string& name_pattern, const Labels& label_patterns,
                 const std::string& name, const Labels& labels);

// All that is wrong with a mirror's configuration by its schema, as "POINTER: what".
std::vector<std::string> config_problems(const nlohmann::json& config);

}  // namespace daystream::fleet
