#include "serve/copies.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "calendar.h"
#include "daystream/error.h"
#include "daystream/unique_fd.h"

namespace daystream::serve {

void Copies::tell(Copy copy) {
  forget_old(copy.told);
  const std::pair key(copy.grant, copy.name);
  const auto known = copies_.find(key);
  if (known != copies_.end()) {
    if (known->second.proven && !copy.proven) return;
  } else if (copies_.size() >= kMost) {
    const auto older = [](const auto& a, const auto& b) {
      return std::pair(a.second.proven, a.second.told) < std::pair(b.second.proven, b.second.told);
    };
    const auto oldest = std::min_element(copies_.begin(), copies_.end(), older);
    if (oldest->second.proven && !copy.proven) return;
    copies_.erase(oldest);
  }
  copies_[key] = std::move(copy);
}

std::string Copies::record() const {
  nlohmann::ordered_json copies = nlohmann::ordered_json::array();
  for (const auto& [key, copy] : copies_) {
    if (!copy.proven) continue;
    copies.push_back({{"copy", copy.name},
                      {"position", copy.position.text()},
                      {"lsn", copy.lsn.text()},
                      {"told", utc_text(copy.told)}});
  }
  using nlohmann::ordered_json;
  return ordered_json{{"copies", std::move(copies)}}.dump(2, ' ', false,
                                                          ordered_json::error_handler_t::replace) +
         "\n";
}

void write_copies(const std::filesystem::path& directory, const std::string& text) {
  const std::filesystem::path path = directory / "copies.json";
  const std::filesystem::path fresh = directory / "copies.json.new";
  // What lies there may be a link to elsewhere, put there by who may write here.
  unlink(fresh.c_str());
  const UniqueFd file(
      open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      std::rename(fresh.c_str(), path.c_str()) != 0) {
    throw IoError(fmt::format("could not write file \"{}\"", path.string()), errno);
  }
}

void Copies::forget_old(std::int64_t now) {
  std::erase_if(copies_,
                [now](const auto& copy) { return copy.second.told + kSecondsPerDay < now; });
}

}  // namespace daystream::serve
