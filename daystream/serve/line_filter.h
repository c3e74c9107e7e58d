// Leaves the lines of other tables out of a daystream's bytes (PROTOCOL.md, "Some tables only").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daystream/position.h"
#include "serve/table_filter.h"

namespace daystream::serve {

// Positions stay as they are, the CRC chain becomes one over what is left. A commit with nothing
// before it is left out where another commit or mark follows at once; marks and gaps never are.
// `schema` and `drop` of a table that was not asked for are sent all the same: one that was asked
// for may have got another name. Where the table may not be seen they become a `drop` by number:
// a reader whose table was renamed out of its sight sees it go. Lines without a table (a `message`)
// are left out.
//
// Memory: a line without a CRC is passed on or left out in parts as it comes, so that one of 1 GB
// takes none.
class LineFilter {
 public:
  // Goes on after the line at `after`. `chain`: the running CRC there, of what was sent before;
  // nullopt: nothing was, and it begins with 0. `in_group`: lines of the group that goes
  // on have been sent.
  LineFilter(TableFilter tables, Position after, std::optional<std::uint32_t> chain, bool in_group);

  // Appends to `out` what is left of `bytes`, cut anywhere. Throws Corruption on what are no lines.
  void feed(std::string_view bytes, std::string& out);
  // Appends the commit that waits for a better one, if one does: there is nothing more just now.
  void end(std::string& out);

  Position position() const noexcept { return position_; }  // the last line seen

 private:
  enum class Line { Unknown, Taken, LeftOut };

  Line begin_line(std::string_view head, bool whole, std::string& out);
  Line begin_row(std::string_view head, std::size_t body, std::string& out);
  void take(std::string_view bytes, std::string& out);
  void take_end(std::string_view line, std::size_t body, std::string& out);
  void send_end(std::string_view line, std::size_t body, std::string& out);
  std::string mark_of(std::string_view body);

  TableFilter tables_;
  Position position_;
  std::uint32_t chain_;
  bool sent_in_group_;
  Line line_ = Line::Unknown;  // of the line whose beginning is gone
  std::string held_;           // a line's beginning, not yet known
  std::string waiting_;        // a commit with nothing before it, whole
};

}  // namespace daystream::serve
