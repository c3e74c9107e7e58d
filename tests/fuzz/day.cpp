// A day file: bytes of which the checksums are made right, so that what is behind them is reached.
#include <string>

#include "crc32c.h"
#include "daystream/error.h"
#include "daystream/transaction.h"
#include "line_prefix.h"
#include "number.h"
#include "recovery.h"
#include "scanner.h"
#include "stream_view.h"
#include "support/memory_dir.h"
#include "target.h"

using namespace daystream;

namespace {

constexpr const char* kDay = "2017-10-09.tsv";
constexpr std::int64_t kDayNumber = 17448;

// Each line that ends a group gets the CRC that it should have.
std::string with_right_crcs(std::string_view bytes) {
  std::string out;
  std::uint32_t chain = 0;
  while (!bytes.empty()) {
    const auto end = std::min(bytes.find('\n'), bytes.size() - 1) + 1;
    const std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(end);
    const auto prefix = parse_prefix(line);
    const bool ends = prefix && line.size() >= prefix->size + kCrcFieldSize &&
                      line.substr(prefix->size).starts_with(kCrcKey);
    if (!ends) {
      chain = extend_crc(chain, line);
      out += line;
      continue;
    }
    chain = extend_crc(chain, line.substr(0, prefix->size));
    chain = extend_crc(chain, line.substr(prefix->size + kCrcFieldSize));
    out += std::string(line.substr(0, prefix->size)) + std::string(kCrcKey) + crc_text(chain) +
           std::string(line.substr(prefix->size + kCrcFieldSize - 1));
  }
  return out;
}

std::shared_ptr<support::MemoryDir> day_of(const std::string& bytes) {
  auto dir = std::make_shared<support::MemoryDir>("/fuzz");
  dir->create(kDay)->write_at(bytes, 0);
  return dir;
}

// The lines that groups are of, read up to `limit` at first and then on.
std::string scanned(File& file, std::uint64_t limit) {
  std::string lines;
  try {
    GroupScanner scanner(file, kDayNumber, {}, limit);
    for (int part = 0; part < 2; ++part) {
      for (Group group; scanner.next(group);) {
        fuzz::require(group.begin <= group.end_line && group.end_line < group.end,
                      "a group ends in its last line");
        lines += std::string(group.end_whole) + "\n";
      }
      scanner.set_limit(file.size());
    }
  } catch (const Corruption&) {
    lines += "damaged\n";
  }
  return lines;
}

// What is found by searching backwards and in the middle.
void search(support::MemoryDir& dir, std::uint64_t where) {
  try {
    const StreamView view(dir);
    if (view.empty()) return;
    view.last_end();
    view.resolve({Position::begin(), std::nullopt});
    view.resolve({view.durable().position, view.durable().lsn});
    view.resolve({Position{kDayNumber * 86400 + static_cast<std::int64_t>(where % 86400), where},
                  std::nullopt});
    view.last_end_not(has_source_lsn, [&](const EndLine& line) { return line.lsn.value > where; });
  } catch (const Error&) {
  }
}

// Twice: what the first has left is right.
void recover_twice(support::MemoryDir& dir) {
  try {
    recover(dir, std::nullopt);
  } catch (const Error&) {
    return;
  }
  const std::string after = dir.has(kDay) ? dir.bytes(kDay) : "";
  const Recovered again = recover(dir, std::nullopt);
  fuzz::require(again.report.cut_bytes == 0, "recovery leaves nothing to recover");
  fuzz::require(after == (dir.has(kDay) ? dir.bytes(kDay) : ""), "and then changes nothing");
}

void read(const std::string& bytes, std::uint64_t where) {
  const auto dir = day_of(bytes);
  const auto file = dir->open(kDay);
  fuzz::require(scanned(*file, bytes.size()) == scanned(*file, where % (bytes.size() + 1)),
                "a file that grows is read as one that is whole");
  search(*dir, where);
  recover_twice(*dir);
}

}  // namespace

FUZZ_TARGET(day) {
  const std::uint64_t where = extend_crc(0, input);
  read(std::string(input), where);
  read(with_right_crcs(input), where);
}
