#include "remote/running_chain.h"

#include "crc32c.h"
#include "line_prefix.h"
#include "number.h"

namespace daystream::remote {

namespace {

// The CRC that `line` says; nullopt: it ends no group.
std::optional<std::uint32_t> crc_of(std::string_view line) {
  const auto prefix = parse_prefix(line);
  if (!prefix || !line.substr(prefix->size).starts_with(kCrcKey)) return std::nullopt;
  return parse_crc(line.substr(prefix->size + kCrcKey.size(), 8));
}

}  // namespace

void RunningChain::add(std::string_view run) {
  // After the last line that says the value, everything before that line need not be summed up. A
  // part of a line says none.
  const bool ends = run.back() == '\n';
  for (std::size_t end = in_line_ || !ends ? 0 : run.size(); end > 0;) {
    const auto before = end < 2 ? std::string_view::npos : run.rfind('\n', end - 2);
    const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
    if (const auto crc = crc_of(run.substr(begin, end - begin))) {
      now_ = crc;
      run.remove_prefix(end);
      break;
    }
    end = begin;
  }
  if (now_) now_ = extend_crc(*now_, run);
  if (ends) whole_ = now_;
  in_line_ = !ends;
}

}  // namespace daystream::remote
