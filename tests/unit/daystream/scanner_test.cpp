// The scanner of day files, and its window: what Readers cannot see of it.
#include "scanner.h"

#include <malloc.h>

#include <catch2/catch.hpp>

#include "line_window.h"
#include "stream_fixture.h"
#include "support/memory_dir.h"

using namespace daystream;
using namespace daystream::test;

namespace {

std::size_t allocated_bytes() {
  const auto heap = ::mallinfo2();
  return heap.uordblks + heap.hblkhd;
}

}  // namespace

// Under a sanitizer, whose allocator counts nothing there, this shows only that it is read.
TEST_CASE("scanner: the memory that one huge row needed is given back", "[scanner]") {
  constexpr std::size_t kHuge = 40 << 20;
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.mark(Lsn{0x1000}, {1, 1, {}});
  writer.append(row(1) + std::string(kHuge, 'x') + "\n" + commit(1));
  for (int i = 2; i < 100; ++i) writer.append(transaction(i));
  writer.flush();

  const auto dir = real_dir(stream.directory.path());
  const auto file = dir->open("2017-10-09.tsv");
  const std::size_t before = allocated_bytes();
  GroupScanner scanner(*file, kNoon / 86400, {}, file->size());
  Group group;
  int groups = 0;
  while (scanner.next(group)) ++groups;
  CHECK(groups == 100);
  CHECK(allocated_bytes() < before + kHuge / 10);
}

TEST_CASE("line window: what is to be kept stays, and lines come whole", "[scanner]") {
  // Lines of many sizes, some of them larger than the buffer.
  std::string text;
  std::vector<std::string> lines;
  for (std::size_t size = 0; size < 3'000'000; size = size * 3 / 2 + 1) {
    lines.emplace_back(size, static_cast<char>('a' + lines.size() % 26));
    text += lines.back() + "\n";
  }
  support::MemoryDir dir("memory");
  dir.create("file")->write_at(text + "half", 0);
  const auto file = dir.open("file");

  // The limit comes in steps, as that of a file which grows.
  LineWindow window(*file, 0, 0);
  std::string_view line;
  std::uint64_t keep = 0;
  std::size_t n = 0;
  while (window.limit() < file->size()) {
    window.set_limit(std::min(window.limit() + 700'001, file->size()));
    for (;;) {
      if (!window.find_line(line)) {
        if (!window.read(keep)) break;
        if (!(window.text(keep, window.end()) == text.substr(keep, window.end() - keep) ||
              window.end() > text.size())) {
          FAIL("it was not kept");
        }
        continue;
      }
      if (line != lines.at(n)) FAIL("not the line");
      window.pass_line(line);
      if (n++ % 3 == 0) {
        keep = window.at();
        window.give_back();
      }
    }
  }
  CHECK(n == lines.size());
  CHECK(window.at() == text.size());
  CHECK(window.text(window.at(), window.end()) == "half");
  window.set_limit(window.limit() + 1);
  CHECK_THROWS_WITH(window.read(keep), Catch::Contains("the file ends here, 1 bytes are missing"));
}
