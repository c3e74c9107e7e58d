// What the copies of a stream report of themselves: relays what they have on disk, mirrors what
// they have applied.
#pragma once

#include <cstdint>
#include <filesystem>
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
  bool proven = false;      // it named a line of ours with its CRC: it has all before it on disk
};

// The copies of one stream, by name. A copy that has reported nothing for a day is forgotten; so is
// the oldest one beyond kMost, because a peer may call itself what it likes.
class Copies {
 public:
  static constexpr std::size_t kMost = 10000;

  void tell(const std::string& name, Copy copy);
  // Replaces `copies.json` in the stream's directory: what is proven to be on other disks, for
  // `deltastream --require-copies` (streamer/required_copies.h). Each line of it stays true
  // whatever happens to us, so it is not synced, and not read again. Throws IoError.
  void record(const std::filesystem::path& directory) const;
  const std::map<std::string, Copy>& all() const noexcept { return copies_; }
  void forget_old(std::int64_t now);

 private:
  std::map<std::string, Copy> copies_;
};

}  // namespace daystream::serve
