// A wall clock for child programs that is not ours.
#pragma once

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace fault {

// As libfaketime gives it to them from a file: so many seconds away from ours. What measures
// durations stays right.
class WallClock {
 public:
  explicit WallClock(const std::filesystem::path& file) : file_(file) { set_offset(0); }

  void set_offset(std::int64_t seconds) const;  // also for those that run
  void set(std::int64_t now) const { set_offset(now - std::time(nullptr)); }

  std::vector<std::pair<std::string, std::string>> env() const;

 private:
  std::filesystem::path file_;
};

}  // namespace fault
