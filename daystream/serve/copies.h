// What the copies of a stream report of themselves: relays what they have on disk, mirrors what
// they have applied.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>

#include "daystream/lsn.h"
#include "daystream/position.h"

namespace daystream::serve {

struct Copy {
  std::string name;   // what it calls itself
  std::string grant;  // who reported it: nobody reports another's copies
  std::string kind;   // "pull": on disk; "mirror": applied
  std::string host;
  Position position;
  Lsn lsn;
  std::int64_t lag_ms = 0;  // of its last commit, as it says; 0 once it has had all there was
  std::int64_t told = 0;    // seconds since 1970
  std::string trouble;      // why it does not go on, as it sees it itself; empty: it does
  // Since when it has said the same position while the stream had more; 0: it goes on.
  std::int64_t still_since = 0;
  bool proven = false;  // it named one of our lines with its CRC: it has all before it on disk
};

// The copies of one stream, by grant and name. A copy that has reported nothing for a day is
// forgotten; so is the oldest one beyond kMost, because a peer may call itself what it likes: one
// that has proved nothing goes first. What was proven stays so until something else is proven under
// the same name: words alone do not take it back.
class Copies {
 public:
  static constexpr std::size_t kMost = 10000;

  // `has_more`: the stream is durable beyond where the copy is.
  void tell(Copy copy, bool has_more);
  // What is proven to be on other disks, as `copies.json` has it.
  std::string record() const;
  using ByName = std::map<std::pair<std::string, std::string>, Copy>;
  const ByName& all() const noexcept { return copies_; }
  void forget_old(std::int64_t now);

 private:
  ByName copies_;
};

// Replaces `copies.json` in the stream's directory, for `deltastream --require-copies`
// (streamer/write/required_copies.h). Each line of it stays true whatever happens to us, so it is
// not synced, and not read again. Throws IoError. Any thread; one at a time.
void write_copies(const std::filesystem::path& directory, const std::string& text);

}  // namespace daystream::serve
