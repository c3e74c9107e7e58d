#include "common/power_loss.h"

#include <algorithm>
#include <fstream>
#include <stdexcept>

#include "support/temp_dir.h"

namespace fault {

namespace fs = std::filesystem;

namespace {
constexpr std::size_t kSector = 512;
}

PowerLoss::PowerLoss(const fs::path& directory,
                     const std::vector<support::FaultPreload::Sync>& syncs)
    : directory_(directory) {
  for (const auto& sync : syncs) {
    const fs::path path(sync.path);
    if (path.parent_path() != directory || path.extension() != ".tsv") continue;
    const auto known = std::find_if(sizes_.begin(), sizes_.end(), [&](const auto& size) {
      return size.first == path.filename();
    });
    // The last one counts: recovery cuts a tail that was not synced, and says so by a sync.
    if (known != sizes_.end()) {
      known->second = sync.size_bytes;
    } else {
      sizes_.emplace_back(path.filename(), sync.size_bytes);
    }
  }
  // Without any, not even the first day's name is sure: a name that no file has says so.
  if (sizes_.empty()) sizes_.emplace_back("none", 0);
}

support::StreamContent PowerLoss::durable_content() const {
  return support::check_stream(directory_, {.live = true, .sizes = sizes_});
}

std::uint64_t PowerLoss::first_lsn() const {
  const support::StreamContent all = support::check_stream(directory_, {.live = true});
  return all.transactions.empty() ? UINT64_MAX : all.transactions.front().lsn;
}

void PowerLoss::strike(Random& random) const {
  for (const auto& entry : fs::directory_iterator(directory_)) {
    const std::string name = entry.path().filename();
    if (!name.ends_with(".tsv")) continue;
    const auto known = std::find_if(sizes_.begin(), sizes_.end(),
                                    [&](const auto& size) { return size.first == name; });
    const std::uint64_t safe = known == sizes_.end() ? 0 : known->second;
    const std::uint64_t size = fs::file_size(entry.path());
    std::fstream file(entry.path(), std::ios::binary | std::ios::in | std::ios::out);
    std::uint64_t end = size;
    for (std::uint64_t at = safe; at < end; at = (at / kSector + 1) * kSector) {
      const std::uint64_t fate = random.below(4);
      if (fate == 0) end = at;
      if (fate == 1) {
        const std::string zeros(std::min((at / kSector + 1) * kSector, end) - at, '\0');
        file.seekp(static_cast<std::streamoff>(at));
        file.write(zeros.data(), static_cast<std::streamsize>(zeros.size()));
      }
    }
    file.close();
    if (!file) throw std::runtime_error("could not damage \"" + entry.path().string() + "\"");
    fs::resize_file(entry.path(), end);
  }
  if (!fs::exists(directory_ / "durable")) return;
  const std::uint64_t fate = random.below(3);
  if (fate == 0) fs::remove(directory_ / "durable");
  if (fate == 1) {
    const std::string zeros(support::read_file(directory_ / "durable").size(), '\0');
    support::write_file(directory_ / "durable", zeros);
  }
}

}  // namespace fault
