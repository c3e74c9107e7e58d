#include "common/wall_clock.h"

#include <fmt/format.h>
#include <glob.h>

#include <stdexcept>

#include "support/temp_dir.h"

namespace fault {

void WallClock::set_offset(std::int64_t seconds) const {
  const std::filesystem::path next = file_.string() + ".new";
  support::write_file(next, fmt::format("{:+}\n", seconds));
  std::filesystem::rename(next, file_);
}

std::vector<std::pair<std::string, std::string>> WallClock::env() const {
  glob_t found{};
  std::string library;
  if (::glob("/usr/lib/*/faketime/libfaketimeMT.so.1", 0, nullptr, &found) == 0) {
    library = found.gl_pathv[0];
  }
  ::globfree(&found);
  if (library.empty()) throw std::runtime_error("libfaketime is not installed");
  return {{"LD_PRELOAD", library},
          {"TZ", "UTC"},
          {"FAKETIME_TIMESTAMP_FILE", file_.string()},
          {"FAKETIME_NO_CACHE", "1"},
          {"FAKETIME_DONT_FAKE_MONOTONIC", "1"},
          {"DONT_FAKE_MONOTONIC", "1"}};
}

}  // namespace fault
