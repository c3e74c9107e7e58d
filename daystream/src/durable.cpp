#include "daystream/durable.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "crc32c.h"
#include "day_file.h"
#include "daystream/error.h"
#include "daystream/line.h"
#include "dir.h"
#include "durable_file.h"
#include "number.h"

namespace daystream {

namespace {

constexpr std::size_t kLineSize = 160;  // room for the largest numbers; less than a sector

}  // namespace

std::string Durable::text() const {
  std::string line = fmt::format("_c\t{}\t_s\t{}\t_lsn\t{}\t_size\t{}\t_chain\t{}", position.c,
                                 position.s, lsn.text(), size_bytes, crc_text(chain));
  line += "\t_crc\t" + crc_text(extend_crc(0, line));
  line.resize(kLineSize - 1, ' ');
  line += '\n';
  return line;
}

std::optional<Durable> Durable::parse(std::string_view text) noexcept try {
  constexpr std::string_view kCrc = "\t_crc\t";
  if (text.size() != kLineSize || text.back() != '\n') return std::nullopt;
  const auto crc_at = text.rfind(kCrc);
  if (crc_at == std::string_view::npos) return std::nullopt;
  const auto crc = parse_crc(text.substr(crc_at + kCrc.size(), 8));
  if (!crc || *crc != extend_crc(0, text.substr(0, crc_at))) return std::nullopt;

  Durable durable;
  FieldCursor cursor(text.substr(0, crc_at));
  std::string_view value;
  const auto field = [&](std::string_view wanted) {
    std::string_view key;
    return cursor.next(key, value) && key == wanted;
  };
  const auto store = [](auto& to, const auto& parsed) {
    if (parsed) to = *parsed;
    return parsed.has_value();
  };
  const bool good = field("_c") && store(durable.position.c, parse_number<std::int64_t>(value)) &&
                    field("_s") && store(durable.position.s, parse_number<std::uint64_t>(value)) &&
                    field("_lsn") && store(durable.lsn, Lsn::parse(value)) && field("_size") &&
                    store(durable.size_bytes, parse_number<std::uint64_t>(value)) &&
                    field("_chain") && store(durable.chain, parse_crc(value));
  // One line, one spelling: what was padded otherwise was not written by us.
  if (!good || durable.text() != text) return std::nullopt;
  return durable;
} catch (const Error&) {
  return std::nullopt;
}

std::optional<Durable> load_durable_once(Dir& dir) {
  const auto file = dir.open(kDurableName);
  return file ? Durable::parse(read_whole(*file)) : std::nullopt;
}

std::optional<Durable> load_durable(Dir& dir) {
  // A read may meet a write half way; the writer is done long before we give up. What is still
  // not a line then is damage, and counts as lost.
  constexpr int kTries = 20;
  for (int tries = 0; tries < kTries; ++tries) {
    if (tries > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const auto file = dir.open(kDurableName);
    if (!file) return std::nullopt;
    if (const auto durable = Durable::parse(read_whole(*file))) return durable;
  }
  return std::nullopt;
}

std::optional<Durable> Durable::load(const std::filesystem::path& directory) {
  return load_durable(*real_dir(directory));
}

}  // namespace daystream
