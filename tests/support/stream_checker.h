// An independent reader of a daystream: what the format promises, checked on every byte.
//
// It knows the design's text and nothing of libdaystream: no code, no header, no CRC of it. A
// mistake that the writer and the reader of the library share is not shared by this.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace support {

// An unsigned 64-bit LSN as PostgreSQL prints it. Throws std::runtime_error on anything else.
std::uint64_t parse_lsn(std::string_view);
std::string lsn_text(std::uint64_t);

// The CRC-32C of `bytes` after those whose CRC is `crc`, by table.
std::uint32_t crc32c(std::uint32_t crc, std::string_view bytes);

using StreamFields = std::vector<std::pair<std::string, std::string>>;

// The pairs of a deltaflood line, unescaped; a NULL is left as the two characters \N.
StreamFields stream_fields(std::string_view line);
// The value of the first pair before (and with) `_action` that is called `key`.
std::optional<std::string> stream_key(std::string_view line, std::string_view key);

struct StreamTransaction {
  enum class Kind { Commit, Mark, Gap };
  Kind kind = Kind::Commit;
  std::int64_t c = 0;
  std::uint64_t s = 0;  // of its end line
  std::uint64_t lsn = 0;
  std::string xid;  // as printed; empty for marks and gaps
  std::optional<std::uint64_t> next;
  std::vector<std::string> lines;  // deltaflood lines before the end line
  std::string file;
  std::uint64_t end_offset = 0;  // in `file`, behind the end line
};

struct StreamViolation {
  std::string file;
  std::uint64_t offset = 0;  // of the line that breaks the rule
  std::string what;
  std::string text() const;
};

struct StreamContent {
  std::vector<StreamTransaction> transactions;  // in order, marks and gaps among them
  std::optional<StreamViolation> violation;     // the first one; nothing is read behind it
  std::uint64_t line_count = 0;
  std::uint64_t abort_count = 0;
  bool unfinished = false;  // ends inside a transaction or a line

  std::uint64_t last_lsn() const;  // of the last commit or mark; 0: none
  std::vector<const StreamTransaction*> commits() const;
};

// Bytes by name of a day file.
using FileSizes = std::vector<std::pair<std::string, std::uint64_t>>;

struct StreamCheckOptions {
  // A writer is at work or was killed: the last file may end in a half line or an open transaction.
  bool live = false;
  // Read only so much of a file (by name); a file that is not named is not there. Empty: all.
  FileSizes sizes = {};
  // Lines for which this is false are judged but not kept: memory for large streams. Empty: all.
  std::function<bool(std::string_view line)> keep = {};
};

// Reads every day file of `directory`, compressed ones too. Damage is reported in `violation`;
// throws only where a file cannot be read.
StreamContent check_stream(const std::filesystem::path& directory, const StreamCheckOptions& = {});

}  // namespace support
