// A transaction's lines, as Transaction hands them out.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "daystream/transaction.h"
#include "dir.h"
#include "line_prefix.h"
#include "scanner.h"

namespace daystream {

// Goes through the lines of the group that the scanner delivered last: in its buffer, or, where
// that group was too large, in the file again (its bytes are durable, so they stay).
//
// Errors: Corruption where the file is no longer what the scanner saw.
class Transaction::Impl {
 public:
  // Both must outlive the walk.
  void begin(const File& file, const Group& group);
  void rewind() noexcept;
  // See Transaction.
  bool next_line(Line& line);
  bool next_line_where(const Find& find, Line& line);

 private:
  Position position_of(std::string_view line) const;
  std::string_view lines_in_memory() const;
  std::string_view whole_lines();
  void skip(std::string_view lines);
  void go_to(std::string_view lines, std::size_t begin);
  void fill();
  std::string_view read_line();

  const File* file_ = nullptr;
  Group group_;
  std::uint64_t index_ = 0;   // of the next line
  std::uint64_t offset_ = 0;  // in the file, of what follows the buffer
  std::vector<char> buffer_;
  std::size_t at_ = 0;  // the next line in it
  LinePrefix prefix_{Position::begin()};
};

}  // namespace daystream
