// A daystream to write and read in a test: a clock that stands still until told otherwise, and
// transactions on the table `fox` that are told apart by a number.
#pragma once

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "daystream/reader.h"
#include "daystream/writer.h"
#include "support/scratch_dir.h"

namespace daystream::test {

inline constexpr std::int64_t kNoon = 1507550400;  // 2017-10-09 12:00:00 UTC

inline std::string row(int transaction, int n = 0) {
  return fmt::format("_table\tfox\t_xid\t{}\t_action\tinsert\ta\tfox{}\tb\t{}", transaction,
                     transaction, n);
}

inline std::string commit(int transaction) {
  return fmt::format(
      "_xid\t{0}\t_lsn\t0/{1:X}\t_next\t{2}\t_time\t1507550400.000{0:03}\t_action\tcommit",
      transaction, 0x1000 + transaction * 16, transaction + 1);
}

inline Lsn lsn_of(int transaction) {
  return Lsn{static_cast<std::uint64_t>(0x1000 + transaction * 16)};
}

inline std::string transaction(int number, int rows = 1) {
  std::string lines;
  for (int n = 0; n < rows; ++n) lines += row(number, n) + "\n";
  return lines + commit(number);
}

inline Manifest source() {
  Manifest manifest;
  manifest.name = "test";
  manifest.system_identifier = "7000000000000000001";
  manifest.database = "foxes";
  manifest.slot = "den";
  return manifest;
}

struct WrittenStream {
  support::ScratchDir directory;
  std::int64_t now = kNoon;

  WriterOptions options() {
    WriterOptions result;
    result.clock = [this](std::int64_t) { return now; };
    result.day_mark = [] {
      MarkFacts facts;
      facts.timeline = 1;
      facts.next = 100;
      return facts;
    };
    return result;
  }
  Writer writer(std::optional<Lsn> confirmed = std::nullopt) {
    return Writer(directory.path(), source(), confirmed, options());
  }
  Reader reader(const StartAfter& start = {}) { return Reader(directory.path(), start); }
  std::string day_path(const std::string& day = "2017-10-09") {
    return (directory.path() / (day + ".tsv")).string();
  }
};

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void spill(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// A transaction as one string: its rows and its commit line, as they came.
inline std::string text_of(Transaction& transaction) {
  std::string text;
  Line line;
  while (transaction.next_line(line)) text += std::string(line.body) + "\n";
  return text + std::string(transaction.end_line().body);
}

// All transactions that can be read now, marks and gaps left out.
inline std::vector<std::string> transactions_of(Reader& reader) {
  std::vector<std::string> all;
  while (Transaction* next = reader.next()) {
    if (next->kind() == Transaction::Kind::Transaction) all.push_back(text_of(*next));
  }
  return all;
}

}  // namespace daystream::test
