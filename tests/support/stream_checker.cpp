#include "support/stream_checker.h"

#include <zstd.h>

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "support/stream_rules.h"
#include "support/temp_dir.h"

namespace support {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPackedSuffix = ".zst";

bool is_day_file(const std::string& name) {
  return name.size() == 14 && name.ends_with(".tsv") && name[4] == '-' && name[7] == '-';
}

// All frames of a compressed file, as `zstd -dc` gives them.
std::string decompressed(const fs::path& path) {
  const std::string packed = read_file(path);
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                     ZSTD_freeDCtx);
  std::string text;
  std::string block(ZSTD_DStreamOutSize(), '\0');
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  std::size_t left = 0;
  while (in.pos < in.size) {
    ZSTD_outBuffer out{block.data(), block.size(), 0};
    left = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(left) != 0) {
      throw std::runtime_error(path.string() + ": " + ZSTD_getErrorName(left));
    }
    text.append(block, 0, out.pos);
  }
  if (left != 0) throw std::runtime_error(path.string() + ": ends inside a frame");
  return text;
}

std::vector<std::string> day_files(const fs::path& directory, const StreamCheckOptions& options) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    std::string name = entry.path().filename();
    if (name.ends_with(kPackedSuffix)) name.resize(name.size() - kPackedSuffix.size());
    const bool named =
        options.sizes.empty() ||
        std::any_of(options.sizes.begin(), options.sizes.end(),
                    [&](const auto& size) { return size.first == name && size.second > 0; });
    if (is_day_file(name) && named) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::string content_of(const fs::path& path, const StreamCheckOptions& options) {
  const fs::path packed = path.string() + std::string(kPackedSuffix);
  std::string content = fs::exists(packed) ? decompressed(packed) : read_file(path);
  for (const auto& [name, size] : options.sizes) {
    if (path.filename() == name && content.size() > size) content.resize(size);
  }
  return content;
}

}  // namespace

std::string StreamViolation::text() const {
  return file + " at " + std::to_string(offset) + ": " + what;
}

std::uint64_t StreamContent::last_lsn() const {
  return transactions.empty() ? 0 : transactions.back().lsn;
}

std::vector<const StreamTransaction*> StreamContent::commits() const {
  std::vector<const StreamTransaction*> out;
  for (const StreamTransaction& transaction : transactions) {
    if (transaction.kind == StreamTransaction::Kind::Commit) out.push_back(&transaction);
  }
  return out;
}

StreamContent check_stream(const fs::path& directory, const StreamCheckOptions& options) {
  StreamContent out;
  StreamRules rules(options.keep);
  const std::vector<std::string> names = day_files(directory, options);
  for (const std::string& name : names) {
    const bool last = name == names.back();
    const std::string content = content_of(directory / name, options);
    std::size_t offset = 0;
    try {
      if (rules.in_transaction()) throw BrokenRule{"a transaction that straddles a day"};
      rules.begin_file(name);
      while (offset < content.size()) {
        const std::size_t newline = content.find('\n', offset);
        if (newline == std::string::npos) {
          if (!last || !options.live) throw BrokenRule{"half a line"};
          out.unfinished = true;
          return out;
        }
        rules.line(std::string_view(content).substr(offset, newline + 1 - offset), offset, out);
        offset = newline + 1;
      }
    } catch (const std::runtime_error& error) {
      out.violation = StreamViolation{name, offset, error.what()};
      return out;
    }
  }
  out.unfinished = rules.in_transaction();
  if (out.unfinished && !options.live) {
    out.violation = StreamViolation{names.back(), 0, "ends inside a transaction"};
  }
  return out;
}

}  // namespace support
