#include "packed_day.h"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <vector>

#include "crc32c.h"
#include "daystream/error.h"
#include "read_only_file.h"
#include "sealed_line.h"

namespace daystream {

namespace {

struct FreeContext {
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

class UnpackedFile final : public ReadOnlyFile {
 public:
  UnpackedFile(std::unique_ptr<File> packed, const PackedSummary& summary)
      : ReadOnlyFile(packed->path(), "decompress it first: zstd -d --rm"),
        packed_(std::move(packed)),
        summary_(summary),
        index_at_(packed_->size() - (summary.frames + 1) * kSealedLineSize),
        context_(ZSTD_createDCtx()) {
    if (!context_) throw std::bad_alloc();
  }

  std::size_t read_at(std::span<char> into, std::uint64_t offset) const override {
    const std::lock_guard lock(mutex_);
    std::size_t done = 0;
    while (done < into.size() && offset < summary_.size_bytes) {
      hold_frame_at(offset);
      const std::size_t skip = offset - begin_.text_at;
      const std::size_t size = std::min(into.size() - done, text_.size() - skip);
      std::memcpy(into.data() + done, text_.data() + skip, size);
      done += size;
      offset += size;
    }
    return done;
  }
  std::uint64_t size() const override { return summary_.size_bytes; }

  std::optional<StoredFrame> stored_frame_of(std::uint64_t offset) const {
    const std::lock_guard lock(mutex_);
    if (offset >= summary_.size_bytes) return std::nullopt;
    const std::uint64_t frame = frame_of(offset);
    const FrameEntry begin = entry(frame);
    const FrameEntry end = end_of(frame, begin, offset);
    return StoredFrame{packed_.get(), begin.packed_at, end.packed_at,
                       begin.text_at, end.text_at,     begin.position};
  }

  TextRange frame_with(Position position) const {
    const std::lock_guard lock(mutex_);
    const std::uint64_t frame =
        last_frame([position](const FrameEntry& begins) { return begins.position <= position; });
    const FrameEntry begin = entry(frame);
    return {begin.text_at, end_of(frame, begin, begin.text_at).text_at, begin.position};
  }

 private:
  static constexpr std::uint64_t kNone = UINT64_MAX;

  [[noreturn]] void damaged(std::uint64_t packed_at, const std::string& problem) const {
    throw Corruption(path(), packed_at, problem);
  }

  // Entry `frame`, or, one past the last, where the frames end.
  FrameEntry entry(std::uint64_t frame) const {
    if (frame == summary_.frames) {
      FrameEntry end;
      end.text_at = summary_.size_bytes;
      end.packed_at = index_at_ - kIndexHeaderSize;
      return end;
    }
    const std::uint64_t at = index_at_ + frame * kSealedLineSize;
    char line[kSealedLineSize];
    const std::size_t got = packed_->read_at(line, at);
    const auto parsed = FrameEntry::parse({line, got});
    if (!parsed) damaged(at, "not an entry of the index");
    return *parsed;
  }

  // The frame whose text holds `offset`, which is before the end of the text.
  std::uint64_t frame_of(std::uint64_t offset) const {
    if (frame_ != kNone && offset == begin_.text_at + text_.size()) return frame_ + 1;
    return last_frame([offset](const FrameEntry& begins) { return begins.text_at <= offset; });
  }

  // The last frame for which `not_beyond` holds, as for all before it; the first if there is none.
  template <typename NotBeyond>
  std::uint64_t last_frame(NotBeyond&& not_beyond) const {
    std::uint64_t low = 0;
    std::uint64_t high = summary_.frames;
    while (high - low > 1) {
      const std::uint64_t middle = low + (high - low) / 2;
      (not_beyond(entry(middle)) ? low : high) = middle;
    }
    return low;
  }

  // Where `frame` ends, which begins at `begin` and holds `offset`.
  FrameEntry end_of(std::uint64_t frame, const FrameEntry& begin, std::uint64_t offset) const {
    const FrameEntry end = entry(frame + 1);
    if (begin.packed_at >= end.packed_at || begin.text_at > offset || end.text_at <= offset ||
        end.packed_at > index_at_) {
      damaged(index_at_ + frame * kSealedLineSize, "this entry and the next do not agree");
    }
    return end;
  }

  void hold_frame_at(std::uint64_t offset) const {
    if (frame_ != kNone && offset >= begin_.text_at && offset < begin_.text_at + text_.size())
      return;
    const std::uint64_t frame = frame_of(offset);
    const FrameEntry begin = entry(frame);
    const FrameEntry end = end_of(frame, begin, offset);
    frame_ = kNone;
    packed_bytes_.resize(end.packed_at - begin.packed_at);
    if (packed_->read_at(packed_bytes_, begin.packed_at) < packed_bytes_.size()) {
      damaged(begin.packed_at, "the file ends in this frame");
    }
    const auto says = ZSTD_getFrameContentSize(packed_bytes_.data(), packed_bytes_.size());
    if (says != end.text_at - begin.text_at) {
      damaged(begin.packed_at, "the frame is not what the index says");
    }
    text_.resize(says);
    const std::size_t got = ZSTD_decompressDCtx(context_.get(), text_.data(), text_.size(),
                                                packed_bytes_.data(), packed_bytes_.size());
    if (ZSTD_isError(got) != 0) {
      damaged(begin.packed_at,
              fmt::format("the frame does not decompress: {}", ZSTD_getErrorName(got)));
    }
    if (got != says) damaged(begin.packed_at, "the frame holds less than it says");
    begin_ = begin;
    frame_ = frame;
  }

  const std::unique_ptr<File> packed_;
  const PackedSummary summary_;
  const std::uint64_t index_at_;  // the first entry
  const std::unique_ptr<ZSTD_DCtx, FreeContext> context_;
  mutable std::mutex mutex_;  // of what follows, and of the context
  mutable std::uint64_t frame_ = kNone;
  mutable FrameEntry begin_;  // of frame_
  mutable std::vector<char> text_;
  mutable std::vector<char> packed_bytes_;
};

}  // namespace

std::string FrameEntry::text() const {
  return seal_line(fmt::format("_c\t{}\t_s\t{}\t_lsn\t{}\t_text\t{}\t_frame\t{}", position.c,
                               position.s, lsn.text(), text_at, packed_at));
}

std::optional<FrameEntry> FrameEntry::parse(std::string_view line) {
  const auto pairs = unseal_line(line);
  if (!pairs) return std::nullopt;
  FrameEntry entry;
  SealedFields fields(*pairs);
  const bool good =
      fields.take_number("_c", entry.position.c) && fields.take_number("_s", entry.position.s) &&
      fields.take("_lsn", entry.lsn, Lsn::parse) && fields.take_number("_text", entry.text_at) &&
      fields.take_number("_frame", entry.packed_at);
  if (!good || entry.text() != line) return std::nullopt;
  return entry;
}

std::string PackedSummary::text() const {
  return seal_line(fmt::format("_c\t{}\t_s\t{}\t_lsn\t{}\t_size\t{}\t_frames\t{}\t_chain\t{}",
                               position.c, position.s, lsn.text(), size_bytes, frames,
                               crc_text(chain)));
}

std::optional<PackedSummary> PackedSummary::parse(std::string_view line) {
  const auto pairs = unseal_line(line);
  if (!pairs) return std::nullopt;
  PackedSummary summary;
  SealedFields fields(*pairs);
  const bool good = fields.take_number("_c", summary.position.c) &&
                    fields.take_number("_s", summary.position.s) &&
                    fields.take("_lsn", summary.lsn, Lsn::parse) &&
                    fields.take_number("_size", summary.size_bytes) &&
                    fields.take_number("_frames", summary.frames) &&
                    fields.take("_chain", summary.chain, parse_crc);
  if (!good || summary.text() != line) return std::nullopt;
  return summary;
}

std::string index_header(std::uint64_t index_size) {
  std::string bytes;
  for (const std::uint64_t number : {std::uint64_t{kIndexMagic}, index_size}) {
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(number >> shift);
  }
  return bytes;
}

std::optional<PackedSummary> read_summary(const File& packed) {
  const std::uint64_t size = packed.size();
  if (size < kIndexHeaderSize + 2 * kSealedLineSize) return std::nullopt;
  char line[kSealedLineSize];
  const std::size_t got = packed.read_at(line, size - kSealedLineSize);
  const auto summary = PackedSummary::parse({line, got});
  if (!summary || summary->frames == 0) return std::nullopt;
  if (summary->frames > (size - kIndexHeaderSize) / kSealedLineSize - 1) return std::nullopt;
  const std::uint64_t index_size = (summary->frames + 1) * kSealedLineSize;
  char header[kIndexHeaderSize];
  if (packed.read_at(header, size - index_size - sizeof header) < sizeof header ||
      std::string_view(header, sizeof header) != index_header(index_size)) {
    return std::nullopt;
  }
  return summary;
}

std::unique_ptr<File> unpacked(std::unique_ptr<File> packed, const PackedSummary& summary) {
  return std::make_unique<UnpackedFile>(std::move(packed), summary);
}

std::optional<StoredFrame> stored_frame_of(const File& text, std::uint64_t offset) {
  const auto* file = dynamic_cast<const UnpackedFile*>(&text);
  if (file == nullptr) return std::nullopt;
  return file->stored_frame_of(offset);
}

std::optional<TextRange> frame_with(const File& text, Position position) {
  const auto* file = dynamic_cast<const UnpackedFile*>(&text);
  if (file == nullptr) return std::nullopt;
  return file->frame_with(position);
}

}  // namespace daystream
