// The rules of a daystream's lines, applied one line after the other: the heart of
// stream_checker.h, which knows where lines come from. Not for others.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "support/stream_checker.h"

namespace support {

// What breaks a rule inside one line; who reads the file adds where.
struct BrokenRule : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A value: a copy taken between two lines judges what follows like the original.
class StreamRules {
 public:
  // Rows for which `keep` is false are judged but not kept. Empty: all are kept.
  explicit StreamRules(std::function<bool(std::string_view)> keep = {}) : keep_(std::move(keep)) {}

  void begin_file(const std::string& name);
  // `whole` is the line with its newline, at `offset` of the file. What it ends goes to `out`.
  // Throws BrokenRule.
  void line(std::string_view whole, std::uint64_t offset, StreamContent& out);

  bool in_transaction() const { return open_; }

 private:
  void check_position(std::int64_t c, std::uint64_t s);
  void row(std::string_view rest, std::int64_t c);
  void end(std::string_view rest, const std::string& action, StreamTransaction done,
           StreamContent& out);

  std::function<bool(std::string_view)> keep_;
  std::string file_;
  bool first_line_ = false;
  bool any_ = false;
  std::int64_t c_ = 0;
  std::uint64_t s_ = 0;
  std::uint64_t lsn_ = 0;
  std::uint32_t crc_ = 0;
  bool open_ = false;
  bool after_gap_ = false;
  StreamTransaction current_;
};

}  // namespace support
