#include "serve/copies.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "calendar.h"
#include "daystream/error.h"

namespace daystream::serve {

void Copies::tell(const std::string& name, Copy copy) {
  forget_old(copy.told);
  if (copies_.size() >= kMost && copies_.find(name) == copies_.end()) {
    copies_.erase(std::min_element(
        copies_.begin(), copies_.end(),
        [](const auto& a, const auto& b) { return a.second.told < b.second.told; }));
  }
  copies_[name] = std::move(copy);
}

void Copies::record(const std::filesystem::path& directory) const {
  nlohmann::ordered_json copies = nlohmann::ordered_json::array();
  for (const auto& [name, copy] : copies_) {
    if (!copy.proven) continue;
    copies.push_back({{"copy", name},
                      {"position", copy.position.text()},
                      {"lsn", copy.lsn.text()},
                      {"told", utc_text(copy.told)}});
  }
  using nlohmann::ordered_json;
  const std::string text = ordered_json{{"copies", std::move(copies)}}.dump(
                               2, ' ', false, ordered_json::error_handler_t::replace) +
                           "\n";
  const std::filesystem::path path = directory / "copies.json";
  const std::filesystem::path fresh = directory / "copies.json.new";
  std::ofstream file(fresh, std::ios::trunc);
  file << text;
  file.close();
  if (!file || std::rename(fresh.c_str(), path.c_str()) != 0) {
    throw IoError(fmt::format("could not write file \"{}\"", path.string()), errno);
  }
}

void Copies::forget_old(std::int64_t now) {
  std::erase_if(copies_,
                [now](const auto& copy) { return copy.second.told + kSecondsPerDay < now; });
}

}  // namespace daystream::serve
