#include "serve/copies.h"

#include <algorithm>

#include "calendar.h"

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

void Copies::forget_old(std::int64_t now) {
  std::erase_if(copies_,
                [now](const auto& copy) { return copy.second.told + kSecondsPerDay < now; });
}

}  // namespace daystream::serve
