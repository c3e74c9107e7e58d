// The records of a consumer group as files of one host, in a folder of its own:
//
//   group.json          the rule, as it was when the group was made
//   paused              there while it is paused
//   workers/ID.json     a worker that lives, or did
//   parts/K/EPOCH.json  what the holder of that epoch knows; the highest one counts
//   dead/               the dead letters (dead_letters.h)
//
// No file is locked: a worker that is stopped while it has a lock would stop all others. Instead
// a record is created by link(2), which one process can do, and is then replaced by its holder
// only. What a holder of before still writes has a lower number.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "store.h"

namespace daystream::sharing {

class FileStore final : public Store {
 public:
  // Throws ConfigError where `name` cannot be one of a folder: letters, digits and `_-`.
  static std::filesystem::path folder_of(const std::filesystem::path& groups,
                                         const std::string& name);
  // The names of all groups, sorted.
  static std::vector<std::string> names(const std::filesystem::path& groups);
  static bool is_there(const std::filesystem::path& folder);
  // Makes the group unless it is there. Of several who try at once, one makes it.
  static void create(const std::filesystem::path& folder, const Rule& rule);

  // Throws NeedsPerson where there is no such group, Corruption.
  explicit FileStore(std::filesystem::path folder);
  ~FileStore() override;

  const std::filesystem::path& folder() const noexcept { return folder_; }
  // Removes all of it.
  void drop();

  const Rule& rule() const noexcept override { return rule_; }
  bool is_paused() override;
  void set_paused(bool paused) override;
  std::vector<Member> members() override;
  void beat(const Member& member) override;
  void leave(const std::string& id) override;
  PartRecord part(std::uint32_t part) override;
  std::optional<PartRecord> record(std::uint32_t part, std::uint64_t epoch) override;
  bool take(std::uint32_t part, const PartRecord& next) override;
  bool keep(std::uint32_t part, const PartRecord& mine) override;

 private:
  std::filesystem::path part_folder(std::uint32_t part) const;
  // The epochs of which there is a record, lowest first.
  std::vector<std::uint64_t> epochs(std::uint32_t part) const;
  void require_there() const;
  void remove_forgotten() const;

  std::filesystem::path folder_;
  Rule rule_;
};

}  // namespace daystream::sharing
