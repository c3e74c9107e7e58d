// Reads a closed day that is zstd frames with an index behind them (FORMAT.md, "Compressed days")
// as if it were the plain file: offsets are those of the text.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "daystream/lsn.h"
#include "daystream/position.h"
#include "dir.h"

namespace daystream {

// The skippable frame that holds the index: its magic number, then the size of what follows.
inline constexpr std::uint32_t kIndexMagic = 0x184D2A5D;
inline constexpr std::size_t kIndexHeaderSize = 8;

// How that frame begins: both numbers in 32 bits, little-endian. `index_size` is less than 4 GiB.
std::string index_header(std::uint64_t index_size);

// One entry of the index: where a frame is, and what begins it.
struct FrameEntry {
  Position position;            // of its first line
  Lsn lsn;                      // of the last commit or mark at or before that line
  std::uint64_t text_at = 0;    // where its text begins in the day
  std::uint64_t packed_at = 0;  // where the frame begins in the file

  std::string text() const;  // a sealed line
  static std::optional<FrameEntry> parse(std::string_view line);
};

// The last line of the file: what the day ends with.
struct PackedSummary {
  Position position;             // of its last line
  Lsn lsn;                       // of its last commit or mark
  std::uint64_t size_bytes = 0;  // of the text
  std::uint64_t frames = 0;
  std::uint32_t chain = 0;  // running CRC at its end

  std::string text() const;
  static std::optional<PackedSummary> parse(std::string_view line);
};

// nullopt: not a compressed day, or one still being written.
std::optional<PackedSummary> read_summary(const File& packed);

// Presents `packed` as the text it holds. read_at() decompresses a frame and keeps it; a frame that
// does not decompress to what the index says is Corruption. Changing calls throw Error: a closed
// day is never written again.
std::unique_ptr<File> unpacked(std::unique_ptr<File> packed, const PackedSummary& summary);

// A frame as it is stored.
struct StoredFrame {
  const File* packed = nullptr;  // lives as long as the text's file
  std::uint64_t begin = 0;       // in it
  std::uint64_t end = 0;
  std::uint64_t text_begin = 0;  // in the day
  std::uint64_t text_end = 0;
  Position position;  // of its first line
};
// The frame whose text holds `offset` of `text`; nullopt: beyond its end, or `text` is not what
// unpacked() has made. Nothing is decompressed. Throws Corruption on a damaged index.
std::optional<StoredFrame> stored_frame_of(const File& text, std::uint64_t offset);

// A piece of a day's text, whole lines.
struct TextRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  Position first;  // of the line at begin
};
// The last frame of `text` that begins with a position not greater than `position`, or the first
// frame if none does. This costs some reads of the index. nullopt: `text` is not what unpacked()
// has made. Throws Corruption on a damaged index.
std::optional<TextRange> frame_with(const File& text, Position position);

}  // namespace daystream
