// Writes what was pulled: the day files of another host's daystream, byte for byte, with a
// `durable` of its own. To its readers, and to a deltastream that takes it over, the directory is
// the one that it is a copy of.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "daystream/durable.h"
#include "daystream/manifest.h"
#include "daystream/unique_fd.h"
#include "dir.h"
#include "recovery.h"
#include "remote/line_runs.h"
#include "scanner.h"

namespace daystream::remote {

// Throws WrongSource where `directory`, whose manifest is `ours`, is no copy of the stream
// `theirs`.
void check_same_source(const std::filesystem::path& directory, const Manifest& ours,
                       const Manifest& theirs);

// Every byte is checked by the scanner, as it stands in the file, before `durable` says it is
// there: positions are contiguous, the CRC chain holds, each line is in its day's file.
//
// Ownership:  owns the directory's lock until destroyed: one writer of any kind.
// Errors:     IoError; NeedsPerson where what came is damaged. After either the object is of no
// use:
//             open again, and recovery cuts what was not durable.
class RelayWriter {
 public:
  // Makes the directory or opens it again, cutting what is not durable. `text` is the source's
  // manifest. Throws WrongSource where the directory holds another stream; what Writer throws.
  RelayWriter(const std::filesystem::path& directory, const Manifest& source,
              const std::string& text);

  // The line to go on after, always one that ends a group; Position::begin(): none yet.
  Position position() const noexcept { return durable_.position; }
  std::uint32_t crc() const noexcept { return durable_.chain; }  // that line's
  Lsn lsn() const noexcept { return durable_.lsn; }
  // Where that line ends in its day's file.
  std::uint64_t size_bytes() const noexcept { return durable_.size_bytes; }

  // What comes next, cut anywhere. Throws ProtocolError on what is not lines.
  void append(std::string_view bytes);
  // Checks and syncs what came, and says in `durable` through which whole group: the lines of an
  // unfinished transaction cannot be checked yet, and come again after a restart.
  void flush();
  std::uint64_t unflushed_bytes() const noexcept { return unflushed_; }

  // True once after a mark that begins a connection of the source's writer: its manifest may say
  // something new.
  bool take_manifest_due() noexcept { return std::exchange(manifest_due_, false); }
  void save_manifest(const std::string& text);

  const Recovery& recovery() const noexcept { return recovery_; }

 private:
  void begin_day(std::int64_t day);
  void check();

  std::unique_ptr<Dir> dir_;
  UniqueFd lock_;
  Recovery recovery_;
  std::unique_ptr<File> durable_file_;
  Durable durable_;

  std::unique_ptr<File> file_;  // nullptr: no day begun
  std::int64_t day_ = 0;
  std::uint64_t written_ = 0;
  std::optional<GroupScanner> scanner_;
  LineRuns runs_;
  std::uint64_t unflushed_ = 0;
  bool manifest_due_ = false;
};

}  // namespace daystream::remote
