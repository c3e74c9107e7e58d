// A directory in memory that knows what of it was synced, so that a test can pull the plug: what
// was not synced may be there, lost, torn within a sector, or zeroed, sector by sector, and so may
// names. Also lets the n-th call fail.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "dir.h"

namespace support {

class MemoryDir final : public daystream::Dir {
 public:
  // `path` is only for messages, and for where a Writer puts its lock.
  explicit MemoryDir(std::filesystem::path path) : Dir(std::move(path)) {}

  std::unique_ptr<daystream::File> open(const std::string& name) override;
  std::unique_ptr<daystream::File> open_writable(const std::string& name) override;
  std::unique_ptr<daystream::File> create(const std::string& name) override;
  void rename(const std::string& from, const std::string& to) override;
  void remove(const std::string& name) override;
  std::vector<std::string> list() override;
  void sync() override;

  // What a disk may hold after a power loss. All of that is synced in the result.
  std::shared_ptr<MemoryDir> after_power_loss(std::mt19937_64& random) const;
  // What is there when only the process dies.
  std::shared_ptr<MemoryDir> after_kill() const;

  // The n-th call from now that changes something fails with `error`; with `sticky`, all after it
  // too. A write that fails has written half.
  void fail_call(std::uint64_t n, int error, bool sticky);
  bool failed() const noexcept { return failed_; }
  void never_fail() noexcept { fail_at_ = 0; }

  void write_to(const std::filesystem::path& real) const;  // so that a Reader can open it
  std::string& bytes(const std::string& name) { return names_.at(name)->now; }
  bool has(const std::string& name) const { return names_.contains(name); }

 private:
  friend class MemoryFile;
  struct Node {
    std::string now;
    std::string synced;
    std::set<std::size_t> dirty;        // sectors; a failed sync forgets them, as Linux does
    std::vector<std::string> versions;  // of a file smaller than a sector, since the last sync
  };
  void count_call(const char* action, const std::string& name);
  static std::string torn(const Node& node, std::mt19937_64& random);

  std::map<std::string, std::shared_ptr<Node>> names_;
  std::map<std::string, std::shared_ptr<Node>> synced_names_;
  std::uint64_t calls_ = 0;
  std::uint64_t fail_at_ = 0;  // 0: never
  int error_ = 0;
  bool sticky_ = false;
  bool failed_ = false;
};

}  // namespace support
