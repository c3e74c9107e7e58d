// The transaction whose commit line a Writer waits for.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daystream/lsn.h"
#include "daystream/position.h"

namespace daystream {

// What a Writer has appended.
struct Appended {
  Position position = Position::begin();  // of the last line
  Lsn lsn;                                // of the last commit or mark
  bool after_gap = false;                 // the last line is a gap
  std::optional<std::uint64_t> next;      // in the last commit or mark that had it
  std::uint64_t bytes = 0;                // since the Writer was made
  std::uint64_t lines = 0;
};

// One object serves all transactions of a Writer, one after the other, so that its texts keep their
// memory.
class OpenTransaction {
 public:
  // `begin`: of its first byte in the day file. `before`: what was appended before it.
  void begin(std::uint32_t xid, std::uint64_t begin, const Appended& before) {
    is_open_ = true;
    is_written_ = false;
    xid_ = xid;
    begin_ = begin;
    before_ = before;
    xid_field_.clear();
    fmt::format_to(std::back_inserter(xid_field_), "_xid\t{}\t", xid);
    row_start_.clear();
  }
  void end() noexcept { is_open_ = false; }
  explicit operator bool() const noexcept { return is_open_; }

  std::uint32_t xid() const noexcept { return xid_; }
  std::uint64_t begin_offset() const noexcept { return begin_; }
  const Appended& before() const noexcept { return before_; }

  // It is open, and nothing of it was given to the kernel: it can still be dropped without a trace.
  bool waits() const noexcept { return is_open_ && !is_written_; }
  void is_written_now() noexcept { is_written_ = true; }

  // Whether `line` is of a table and of this transaction, seen without taking it apart: a commit
  // line has no table. False: it is to be parsed.
  bool has(std::string_view line) {
    constexpr std::string_view kTableKey = "_table\t";
    if (!line.starts_with(kTableKey)) return false;
    const auto tab = line.find('\t', kTableKey.size());
    if (tab == std::string_view::npos) return false;
    if (!line.substr(tab + 1).starts_with(xid_field_)) return false;
    row_start_ = line.substr(0, tab + 1 + xid_field_.size());
    return true;
  }
  // `_table T _xid N` and a tab, of the row that has() took last; empty: none yet.
  std::string_view row_start() const noexcept { return row_start_; }

 private:
  bool is_open_ = false;
  bool is_written_ = false;  // part of it at least
  std::uint32_t xid_ = 0;
  std::uint64_t begin_ = 0;
  Appended before_;
  std::string xid_field_;  // `_xid N` and a tab
  std::string row_start_;
};

}  // namespace daystream
