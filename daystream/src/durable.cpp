#include "daystream/durable.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "crc32c.h"
#include "day_file.h"
#include "daystream/error.h"
#include "dir.h"
#include "durable_file.h"
#include "number.h"
#include "sealed_line.h"

namespace daystream {

std::string Durable::text() const {
  return seal_line(fmt::format("_c\t{}\t_s\t{}\t_lsn\t{}\t_size\t{}\t_chain\t{}", position.c,
                               position.s, lsn.text(), size_bytes, crc_text(chain)));
}

std::optional<Durable> Durable::parse(std::string_view text) noexcept try {
  const auto pairs = unseal_line(text);
  if (!pairs) return std::nullopt;
  Durable durable;
  SealedFields fields(*pairs);
  const bool good = fields.take_number("_c", durable.position.c) &&
                    fields.take_number("_s", durable.position.s) &&
                    fields.take("_lsn", durable.lsn, Lsn::parse) &&
                    fields.take_number("_size", durable.size_bytes) &&
                    fields.take("_chain", durable.chain, parse_crc);
  // A line has one spelling: one that is padded otherwise was not written by us.
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
  // A read may meet a write half way; the writer is done long before we give up. If the text is
  // still not a line then, it is damaged and counts as lost.
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
