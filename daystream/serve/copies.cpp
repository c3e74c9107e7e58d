#include "serve/copies.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "calendar.h"
#include "dir.h"
#include "json_text.h"

namespace daystream::serve {

void Copies::tell(Copy copy, bool has_more) {
  forget_old(copy.told);
  const std::pair key(copy.grant, copy.name);
  const auto known = copies_.find(key);
  if (known != copies_.end()) {
    const Copy& before = known->second;
    if (before.proven && !copy.proven) return;
    if (before.position == copy.position) {
      copy.lag_ms = before.lag_ms;  // of the same commit, unless it had all there was since
      if (has_more) copy.still_since = before.still_since != 0 ? before.still_since : copy.told;
    }
  } else if (copies_.size() >= kMost) {
    const auto older = [](const auto& a, const auto& b) {
      return std::pair(a.second.proven, a.second.told) < std::pair(b.second.proven, b.second.told);
    };
    const auto oldest = std::min_element(copies_.begin(), copies_.end(), older);
    if (oldest->second.proven && !copy.proven) return;
    copies_.erase(oldest);
  }
  if (!has_more) copy.lag_ms = 0;
  copies_[key] = std::move(copy);
}

std::string Copies::record() const {
  nlohmann::ordered_json copies = nlohmann::ordered_json::array();
  for (const auto& [key, copy] : copies_) {
    if (!copy.proven) continue;
    copies.push_back({{"copy", copy.name},
                      {"position", copy.position.text()},
                      {"lsn", copy.lsn.text()},
                      {"told_at", utc_text(at_second(copy.told))}});
  }
  return json_page(nlohmann::ordered_json{{"copies", std::move(copies)}});
}

void write_copies(const std::filesystem::path& directory, const std::string& text) {
  replace_file(*real_dir(directory), "copies.json", text, {.synced = false});
}

void Copies::forget_old(std::int64_t now) {
  std::erase_if(copies_,
                [now](const auto& copy) { return copy.second.told + kSecondsPerDay < now; });
}

}  // namespace daystream::serve
