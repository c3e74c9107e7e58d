// What a consumer group could not have done: transactions that were handed over as often as
// --max-deliver says and never acknowledged.
//
// A letter is two files in the group's folder `dead`, called PART-SECOND-SEQUENCE: `.tsv` has the
// lines of the part, as they stand in the daystream, `.json` says why they are there. The second is
// written last and removed first: without it there is no letter.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "daystream/position.h"

namespace daystream {
class File;
}

namespace daystream::sharing {

struct DeadLetter {
  std::uint32_t part = 0;
  Position position;             // of the commit line
  std::uint32_t failures = 0;    // how often it was handed over and not done
  std::string problem;           // the last time
  std::string since;             // when it came here: 2026-11-21T10:15:04Z
  bool to_retry = false;         // it is to be handed over once more
  std::uint64_t size_bytes = 0;  // of its lines

  std::string name() const;  // PART-SECOND-SEQUENCE
};

// Threads: one per part, and one more that retries and discards.
// Errors:  IoError, Corruption.
class DeadLetters {
 public:
  explicit DeadLetters(const std::filesystem::path& group_folder)
      : folder_(group_folder / "dead") {}

  // Oldest position first, part by part.
  std::vector<DeadLetter> list() const;
  std::filesystem::path lines_of(const DeadLetter& letter) const;

  // Once it returns, the letter is on disk. One of that name is replaced.
  // `write` is to write its lines.
  void put(const DeadLetter& letter, const std::function<void(File&)>& write);
  // Changes what is said of one that is there.
  void update(const DeadLetter& letter);
  void remove(const DeadLetter& letter);

 private:
  std::filesystem::path folder_;
};

}  // namespace daystream::sharing
