#include "sealed_line.h"

#include <cassert>

#include "crc32c.h"

namespace daystream {

namespace {
constexpr std::string_view kCrc = "\t_crc\t";
}

std::string seal_line(std::string pairs) {
  const std::string crc = crc_text(extend_crc(0, pairs));
  pairs.append(kCrc).append(crc);
  assert(pairs.size() < kSealedLineSize);
  pairs.resize(kSealedLineSize - 1, ' ');
  pairs += '\n';
  return pairs;
}

std::optional<std::string_view> unseal_line(std::string_view line) noexcept {
  if (line.size() != kSealedLineSize || line.back() != '\n') return std::nullopt;
  const auto crc_at = line.rfind(kCrc);
  if (crc_at == std::string_view::npos) return std::nullopt;
  const auto crc = parse_crc(line.substr(crc_at + kCrc.size(), 8));
  if (!crc || *crc != extend_crc(0, line.substr(0, crc_at))) return std::nullopt;
  return line.substr(0, crc_at);
}

}  // namespace daystream
