// What the copies of a stream have told of themselves: relays what they have on disk, mirrors what
// they have applied.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "daystream/lsn.h"
#include "daystream/position.h"

namespace daystream::serve {

struct Copy {
  std::string kind;  // "pull": on disk; "mirror": applied
  std::string host;
  Position position;
  Lsn lsn;
  std::int64_t lag_ms = 0;  // as it sees it itself
  std::int64_t told = 0;    // seconds since 1970
};

// Of one stream, by name. A copy that has said nothing for a day is forgotten; so is the oldest
// one beyond kMost, for a peer may call itself what it likes.
class Copies {
 public:
  static constexpr std::size_t kMost = 10000;

  void tell(const std::string& name, Copy copy);
  const std::map<std::string, Copy>& all() const noexcept { return copies_; }
  void forget_old(std::int64_t now);

 private:
  std::map<std::string, Copy> copies_;
};

}  // namespace daystream::serve
