// Finding a position in a day, plain and compressed: the right line, from everywhere, and with few
// looks.
#include "seek.h"

#include <fmt/format.h>
#include <zstd.h>

#include <catch2/catch.hpp>
#include <functional>
#include <random>

#include "daystream/error.h"
#include "daystream/housekeeping.h"
#include "packed_day.h"
#include "sealed_line.h"
#include "stream_fixture.h"

using namespace daystream;
using namespace daystream::test;

namespace {

// A file in memory that counts how often it is read, and how many bytes.
class Memory final : public File {
 public:
  explicit Memory(std::string bytes) : File("memory"), bytes_(std::move(bytes)) {}
  std::size_t read_at(std::span<char> into, std::uint64_t offset) const override {
    ++reads;
    const std::size_t size =
        offset < bytes_.size() ? bytes_.copy(into.data(), into.size(), offset) : std::size_t{0};
    read_bytes += size;
    return size;
  }
  void write_at(std::string_view, std::uint64_t) override { FAIL("written"); }
  void truncate(std::uint64_t) override { FAIL("cut"); }
  void sync() override { FAIL("synced"); }
  std::uint64_t size() const override { return bytes_.size(); }

  mutable std::uint64_t reads = 0, read_bytes = 0;

 private:
  const std::string bytes_;
};

// A day of lines, and where each is.
struct Day {
  void add(Position position, std::size_t size = 0) {
    lines.push_back({position, text.size()});
    text += fmt::format("_c\t{}\t_s\t{}\t_table\tfox\t_xid\t1\t_action\tinsert\ta\t{}\n",
                        position.c, position.s, std::string(size, 'x'));
  }
  // By looking at every line.
  std::uint64_t after(Position position) const {
    for (const auto& [at, offset] : lines) {
      if (at > position) return offset;
    }
    return text.size();
  }
  std::vector<std::pair<Position, std::uint64_t>> lines;
  std::string text;
};

// The same text as a compressed day, of frames that end at these offsets; an entry may be changed
// on its way into the index.
std::string pack(const Day& day, const std::vector<std::uint64_t>& ends,
                 const std::function<void(std::size_t, FrameEntry&)>& change = {}) {
  std::string out, index;
  std::uint64_t begin = 0;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    FrameEntry entry;
    for (const auto& [position, offset] : day.lines) {
      if (offset == begin) entry.position = position;
    }
    entry.text_at = begin;
    entry.packed_at = out.size();
    if (change) change(i, entry);
    index += entry.text();
    std::string frame(ZSTD_compressBound(ends[i] - begin), '\0');
    frame.resize(
        ZSTD_compress(frame.data(), frame.size(), day.text.data() + begin, ends[i] - begin, 1));
    out += frame;
    begin = ends[i];
  }
  PackedSummary summary;
  summary.position = day.lines.back().first;
  summary.size_bytes = day.text.size();
  summary.frames = ends.size();
  index += summary.text();
  return out + index_header(index.size()) + index;
}

std::unique_ptr<File> unpack(std::string bytes) {
  auto file = std::make_unique<Memory>(std::move(bytes));
  const auto summary = read_summary(*file);
  REQUIRE(summary);
  return unpacked(std::move(file), *summary);
}

// Every line's position, what is just before and after it, and what is nowhere near.
void check_everywhere(const Day& day, const File& file) {
  const Seeker seeker(file, day.text.size());
  for (const auto& [position, offset] : day.lines) {
    for (const Position wanted : {position, Position{position.c, position.s + 1},
                                  Position{position.c - 1, UINT64_MAX}, Position{position.c, 0}}) {
      const std::uint64_t found = seeker.after(wanted);
      if (found == day.after(wanted)) continue;  // a CHECK each would take longer than all else
      CAPTURE(wanted.c, wanted.s);
      CHECK(found == day.after(wanted));
    }
  }
  CHECK(seeker.after({0, 0}) == 0);
  CHECK(seeker.after({INT64_MAX, UINT64_MAX}) == day.text.size());
}

}  // namespace

TEST_CASE("seek: the line after any position, however seconds and bytes are spread", "[seek]") {
  std::mt19937 random(7);
  for (int shape = 0; shape < 5; ++shape) {
    CAPTURE(shape);
    Day day;
    Position at{kNoon, 0};
    for (int i = 0; i < 700; ++i) {
      const bool burst = shape == 3 ? i > 20 && i < 680 : random() % 3 != 0;
      if (shape == 1 || burst) {
        at.s += shape == 1 ? 1 : 1 + random() % 3;  // 1: all in one second
      } else {
        at = {at.c + 1 + static_cast<std::int64_t>(shape == 2 ? random() % 50 : 0), 0};
      }
      const bool large = shape == 4 && random() % 40 == 0;
      day.add(at, large ? 300'000 : random() % 300);
    }
    check_everywhere(day, Memory(day.text));
  }
  check_everywhere({}, Memory(""));
}

TEST_CASE("seek: in an even day a few looks are enough, in any other not many more", "[seek]") {
  const auto looks = [](const Day& day) {
    const Memory file(day.text);
    const Seeker seeker(file, day.text.size());
    std::uint64_t most = 0;
    for (std::size_t i = 0; i < day.lines.size(); i += 97) {
      file.reads = 0;
      CHECK(seeker.after(day.lines[i].first) ==
            (i + 1 < day.lines.size() ? day.lines[i + 1].second : day.text.size()));
      most = std::max(most, file.reads);
    }
    return most;
  };
  Day even, uneven;
  for (int i = 0; i < 20'000; ++i) {
    even.add({kNoon + i, 0}, 1000);
    // Nearly all of the text is in the last second of a day that was quiet.
    uneven.add(i < 100 ? Position{kNoon + i * 400, 0}
                       : Position{kNoon + 43'000, static_cast<std::uint64_t>(i)},
               1000);
  }
  // Halving alone takes 24 looks of two reads each; the last 17 are near each other.
  CHECK(looks(even) <= 2 * (6 + 17) + 1);
  CHECK(looks(uneven) <= 2 * 3 * 24);
}

TEST_CASE("seek: in a compressed day, from everywhere, also at the edges of frames", "[seek]") {
  Day day;
  for (int i = 0; i < 60; ++i) day.add({kNoon + i / 3 * 2, static_cast<std::uint64_t>(i % 3)}, 50);
  const auto begin = [&](std::size_t line) { return day.lines[line].second; };
  // Of one line, of many, and a second across two of them.
  check_everywhere(day, *unpack(pack(day, {begin(1), begin(2), begin(31), day.text.size()})));
  check_everywhere(day, *unpack(pack(day, {day.text.size()})));
  std::vector<std::uint64_t> each;
  for (std::size_t i = 1; i < day.lines.size(); ++i) each.push_back(begin(i));
  each.push_back(day.text.size());
  check_everywhere(day, *unpack(pack(day, each)));
}

TEST_CASE("seek: a compressed day is decompressed where the line is, not on the way there",
          "[seek]") {
  std::mt19937 random(3);
  Day day;
  std::vector<std::uint64_t> ends;
  for (int i = 0; i < 4000; ++i) {
    day.add({kNoon + i, 0});
    for (int n = 0; n < 200; ++n) {
      day.text.insert(day.text.end() - 1, static_cast<char>('a' + random() % 26));
    }
    if (i % 100 == 99) ends.push_back(day.text.size());
  }
  auto counted = std::make_unique<Memory>(pack(day, ends));
  const Memory& stored = *counted;
  const std::uint64_t frame_bytes = stored.size() / ends.size();
  const auto summary = read_summary(stored);
  REQUIRE(summary);
  const auto file = unpacked(std::move(counted), *summary);
  const Seeker seeker(*file, day.text.size());
  for (std::size_t i = 50; i < day.lines.size(); i += 370) {
    CAPTURE(i);
    stored.read_bytes = 0;
    CHECK(seeker.after(day.lines[i].first) == day.lines[i + 1].second);
    CHECK(stored.read_bytes < frame_bytes + 30 * kSealedLineSize);
  }
}

TEST_CASE("seek: an index that does not fit its frames is damage", "[seek][damage]") {
  Day day;
  for (int i = 0; i < 40; ++i) day.add({kNoon + i, 0}, 50);
  const std::vector<std::uint64_t> ends = {day.lines[10].second, day.lines[20].second,
                                           day.lines[30].second, day.text.size()};
  const Position wanted = day.lines[15].first;
  const auto seek = [&](const std::string& bytes) {
    const auto file = unpack(bytes);
    return Seeker(*file, day.text.size()).after(wanted);
  };
  CHECK(seek(pack(day, ends)) == day.lines[16].second);
  SECTION("another position than the frame's") {
    const std::string bytes = pack(day, ends, [](std::size_t i, FrameEntry& entry) {
      if (i == 1) --entry.position.c;
    });
    CHECK_THROWS_AS(seek(bytes), Corruption);
  }
  SECTION("a frame without text") {
    const std::string bytes = pack(day, ends, [&](std::size_t i, FrameEntry& entry) {
      if (i == 2) entry.text_at = ends[0];
    });
    CHECK_THROWS_AS(seek(bytes), Corruption);
  }
  SECTION("an entry that is none") {
    std::string bytes = pack(day, ends);
    bytes[bytes.size() - 3 * kSealedLineSize + 5] ^= 1;  // of frame 2, the first that is asked
    CHECK_THROWS_AS(seek(bytes), Corruption);
  }
  SECTION("a frame that does not decompress") {
    std::string bytes = pack(day, ends);
    bytes[bytes.find("\x28\xB5\x2F\xFD", 4) + 12] ^= 0x55;
    CHECK_THROWS_AS(seek(bytes), Corruption);
  }
}

// Where there are no end lines for long, looking for one from each step's middle to the end would
// read that stretch again and again.
TEST_CASE("seek: an LSN beyond a large transaction is found by reading it once", "[seek]") {
  const auto end_line = [](int second, int lsn) {
    return fmt::format(
        "_c\t{0}\t_s\t0\t_crc\t00000000\t_xid\t1\t_lsn\t0/{1:X}\t_next\t2\t_time\t1.000000\t"
        "_action\tcommit\n",
        second, lsn);
  };
  std::string text = end_line(1, 0x10);
  const std::size_t first = text.size();
  for (int i = 0; i < 200'000; ++i) {
    text += fmt::format("_c\t2\t_s\t{}\t_table\tfox\t_xid\t1\t_action\tinsert\ta\t1\n", i);
  }
  const std::size_t last = text.size();
  text += end_line(3, 0x20);
  const Memory file(text);
  const Seeker seeker(file, text.size());
  const auto at_most = [&](std::uint64_t lsn) {
    return seeker.last_end_not([](const EndLine&) { return true; },
                               [&](const EndLine& line) { return line.lsn > Lsn{lsn}; });
  };
  const auto found = at_most(0x1F);
  REQUIRE(found);
  CHECK(found->end == first);
  CHECK(file.read_bytes < 2 * text.size());
  CHECK_FALSE(at_most(0x0F));
  const auto newest = at_most(0x20);
  REQUIRE(newest);
  CHECK(newest->begin == last);
}
