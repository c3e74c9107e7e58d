// What rows of deltaflood.ddl said, beside the daystream: a connection begins with what tables were
// where it begins, which no present catalog knows. A file of lines, each with a CRC and the LSN
// of the transaction that it came with.
//
// Without the file, or for a place before its first line, nothing is known, and tables are told
// again: that costs copies, and loses nothing.
//
// Errors: IoError.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "daystream/lsn.h"
#include "pgoutput/decoder.h"

namespace deltastream::pgoutput {

class ShapeLog final : public ShapeKeeper {
 public:
  explicit ShapeLog(std::filesystem::path directory);  // of the daystream

  // A slot begins again: what tables were before counts no more.
  static void forget(const std::filesystem::path& directory);

  // What tables are at `begin`; empty: nothing is known. What came later comes again, and is
  // forgotten. Of what was before `confirmed`, which no connection begins before, only the newest
  // of each table is kept.
  std::vector<ShapeRow> open(daystream::Lsn begin, daystream::Lsn confirmed);

  void keep(daystream::Lsn lsn, const std::vector<ShapeRow>& rows) override;

 private:
  struct Entry {
    daystream::Lsn lsn;
    ShapeRow row;
  };
  std::vector<Entry> read() const;
  void replace(const std::vector<Entry>& entries);

  const std::filesystem::path directory_;
  std::unique_ptr<daystream::Dir> dir_;
  std::unique_ptr<daystream::File> file_;
  std::uint64_t size_ = 0;
};

}  // namespace deltastream::pgoutput
