#include "common/synced_file.h"

#include <algorithm>
#include <string>

#include "support/temp_dir.h"

namespace fault {

namespace {
constexpr std::size_t kPiece = 512;  // what a disk writes whole

std::string bytes_of(const std::filesystem::path& file) {
  return std::filesystem::exists(file) ? support::read_file(file) : std::string();
}
}  // namespace

void lose_power(const std::filesystem::path& file, const std::filesystem::path& synced,
                Random& random) {
  const std::string was = bytes_of(synced);
  const std::string is = bytes_of(file);
  std::string left;
  for (std::size_t at = 0; at < std::max(was.size(), is.size()); at += kPiece) {
    const std::string old = at < was.size() ? was.substr(at, kPiece) : "";
    const std::string fresh = at < is.size() ? is.substr(at, kPiece) : "";
    if (old == fresh) {
      left += old;
      continue;
    }
    const std::uint64_t fate = random.below(old.empty() ? 4 : 2);
    if (fate == 3) break;  // what was not synced, and all behind it
    std::string sector = fate == 0 ? fresh : fate == 1 ? old : "";
    sector.resize(std::max(old.size(), fresh.size()), '\0');
    left += sector;
  }
  support::write_file(file, left);
}

}  // namespace fault
