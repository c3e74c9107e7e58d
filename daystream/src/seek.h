// Finds places in one day file without reading it through. A search may look at any byte, because a
// newline always ends a line, and every line says where it stands.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "daystream/line.h"
#include "daystream/position.h"
#include "dir.h"

namespace daystream {

// A line that ends a group (commit, mark, abort, gap), read but not checked: a reader that goes on
// from it checks what follows.
struct EndLine {
  std::uint64_t begin = 0;  // in the file
  std::uint64_t end = 0;    // after the newline
  Position position;
  std::uint32_t crc = 0;
  Action action = Action::Commit;
  Lsn lsn;                                // 0/0: an abort has none
  std::optional<std::uint64_t> next;      // `_next`
  std::optional<std::uint32_t> timeline;  // `_timeline`
  std::string body;                       // without prefix and `_crc`
};

class Seeker {
 public:
  // `file` must outlive it. Nothing at or after `limit` is looked at; a line must end there.
  Seeker(const File& file, std::uint64_t limit) : file_(file), limit_(limit) {}

  // Where the first line with a position greater than `position` begins; `limit`: there is none. In
  // a compressed day it searches the index, and decompresses one frame.
  std::uint64_t after(Position position) const;
  // The position of the line that begins at `offset`.
  Position position_at(std::uint64_t offset) const;
  // The last end line that is whole before `offset`, a line's beginning; nullopt: there is none.
  std::optional<EndLine> last_end_before(std::uint64_t offset) const;
  // The first end line that begins at or after `offset`, which may be any byte, and pleases.
  using Pleases = std::function<bool(const EndLine&)>;
  std::optional<EndLine> first_end_from(std::uint64_t offset, const Pleases& pleases) const;
  // The last end line that pleases `has_key` and not `beyond`; nullopt: all are beyond. The keys of
  // such lines must not go back.
  std::optional<EndLine> last_end_not(const Pleases& has_key, const Pleases& beyond) const;
  // The line that ends at the limit; nullopt: none does.
  struct PlacedLine {
    std::uint64_t begin;
    std::string text;  // without newline
  };
  std::optional<PlacedLine> last_line() const;
  // Where the last whole line ends; 0: there is none. Only this function may be called where the
  // last line is not whole.
  std::uint64_t whole_lines_end() const;

 private:
  // That begins before `end`.
  std::optional<EndLine> first_end_between(std::uint64_t offset, std::uint64_t end,
                                           const Pleases& pleases) const;
  std::optional<std::uint64_t> line_from(std::uint64_t offset, std::uint64_t end) const;
  std::string read(std::uint64_t begin, std::uint64_t end) const;
  std::optional<EndLine> parse_end(std::uint64_t begin, std::string_view line) const;

  const File& file_;
  std::uint64_t limit_;
};

}  // namespace daystream
