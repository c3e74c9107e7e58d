// What a Reader delivers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "daystream/line.h"
#include "daystream/lsn.h"
#include "daystream/position.h"

namespace daystream {

struct Line {
  Position position;
  std::string_view body;   // the deltaflood line, without `_c`, `_s`, `_crc` and newline
  std::string_view whole;  // as it stands in the file, without newline
};

// One committed transaction, a mark, or a gap. Its lines are read on demand: small ones from the
// Reader's buffer, large ones from the file again, so that none is ever in memory whole.
//
// Ownership: borrows its Reader; valid until the Reader's next call of next().
class Transaction {
 public:
  enum class Kind { Transaction, Mark, Gap };

  Kind kind() const noexcept { return kind_; }
  // The line that ends it (commit), or that it is (mark, gap); its position is the checkpoint to
  // store once everything before it is applied.
  const Line& end_line() const noexcept { return end_line_; }
  const Change& end() const noexcept { return end_; }  // end_line().body taken apart
  Position position() const noexcept { return end_line_.position; }
  Lsn lsn() const noexcept { return end_.lsn; }
  std::uint64_t line_count() const noexcept { return line_count_; }  // without the end line
  std::uint64_t size_bytes() const noexcept { return size_bytes_; }  // of all its lines
  // All its lines as they stand in the file, the end line too, each with its newline; empty where
  // it is too large to be in memory whole. To pass on, or to look into before going line by line.
  std::string_view text() const noexcept { return text_; }

  // The next line before the end line; false after the last. The views live until the next call.
  bool next_line(Line& line);
  void rewind() noexcept;  // next_line() begins again

  // The next line in which `find` finds something; false: there is none. This is for searches that
  // need not take most lines apart. `find` gets many lines at once, each with its newline, and a
  // `replace` never without its `update`. It returns a byte of the first line that is wanted, or
  // npos. The lines before that one are passed over.
  using Find = std::function<std::size_t(std::string_view lines)>;
  bool next_line_where(const Find& find, Line& line);

 private:
  friend class Reader;
  class Impl;
  Impl* impl_ = nullptr;
  Kind kind_ = Kind::Transaction;
  Line end_line_;
  Change end_;
  std::uint64_t line_count_ = 0;
  std::uint64_t size_bytes_ = 0;
  std::string_view text_;
};

}  // namespace daystream
