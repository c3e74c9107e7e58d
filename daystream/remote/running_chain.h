// The running CRC of the lines that came (FORMAT.md, "CRC"), whatever was left out of them: with it
// a server can go on with a filtered response where another one broke off.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace daystream::remote {

class RunningChain {
 public:
  void begin(std::optional<std::uint32_t> crc) noexcept { whole_ = now_ = crc; }

  // `run`: whole lines, or a part of a line without `_crc` (LineRuns::Take).
  void add(std::string_view run);
  // Forgets the part of a line that came last.
  void drop_half_line() noexcept {
    now_ = whole_;
    in_line_ = false;
  }

  // After the last whole line; nullopt: not known before the first line that says it.
  std::optional<std::uint32_t> value() const noexcept { return whole_; }

 private:
  std::optional<std::uint32_t> whole_;
  std::optional<std::uint32_t> now_;
  bool in_line_ = false;  // the last run ended in the middle of one
};

}  // namespace daystream::remote
