#include "packing.h"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "crc32c.h"
#include "day_file.h"
#include "daystream/error.h"
#include "last_newline.h"
#include "line_prefix.h"
#include "packed_day.h"
#include "read_only_file.h"
#include "scanner.h"

namespace daystream {

namespace {

// Bytes of text in a frame. A reader must decompress so much to look at one line; smaller frames
// would make the file larger. A frame is longer only where one line is.
constexpr std::size_t kFrameText = 1 << 20;
constexpr std::size_t kPackReadSize = 256 * 1024;

struct FreePackContext {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
};

void check(std::size_t zstd_result, const char* action) {
  if (ZSTD_isError(zstd_result) != 0) {
    throw Error(fmt::format("could not {}: {}", action, ZSTD_getErrorName(zstd_result)),
                "compress it again later; nothing is lost, the day stays as it was");
  }
}

// Goes through the groups of a day while its frames are made, and so checks the text on the way.
class LsnCursor {
 public:
  LsnCursor(const File& text, std::int64_t day)
      : text_(text), scanner_(text, day, ScanState{}, text.size()) {
    more_ = scanner_.next(group_);
  }

  // Of the last commit or mark that begins at or before `offset`; offsets only grow.
  Lsn at(std::uint64_t offset) {
    while (more_ && group_.end_line <= offset) {
      const Action action = group_.end_change.action;
      if (action == Action::Commit || action == Action::Mark) lsn_ = group_.end_change.lsn;
      more_ = scanner_.next(group_);
    }
    return lsn_;
  }

  // The rest of the day, which must end in a whole group.
  ScanState finish() {
    at(std::numeric_limits<std::uint64_t>::max());
    const ScanState state = scanner_.state();
    if (scanner_.half_line() || state.in_transaction || state.offset == 0) {
      throw Corruption(text_.path(), scanner_.last_group().offset,
                       "the file does not end in a commit, mark, abort or gap");
    }
    return state;
  }
  Lsn lsn() const noexcept { return lsn_; }

 private:
  const File& text_;
  GroupScanner scanner_;
  Group group_;
  bool more_ = false;
  Lsn lsn_;
};

class Packer {
 public:
  Packer(const File& text, File& out, std::int64_t day, int level)
      : text_(text),
        out_(out),
        size_(text.size()),
        lsns_(text, day),
        context_(ZSTD_createCCtx()),
        block_(ZSTD_CStreamOutSize()) {
    if (!context_) throw std::bad_alloc();
    check(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, level),
          "set the compression level");
    check(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1), "ask for checksums");
  }

  bool at_end() const noexcept { return at_ == size_; }

  void add_frame() {
    const std::uint64_t end = frame_end();
    FrameEntry entry;
    entry.position = first_position();
    entry.lsn = lsns_.at(at_);
    entry.text_at = at_;
    entry.packed_at = out_at_;
    index_ += entry.text();
    ++frames_;
    compress_to(end);
  }

  // The end of the day, to compare with what is read back.
  PackedSummary finish() {
    const ScanState state = lsns_.finish();
    PackedSummary summary;
    summary.position = state.last;
    summary.lsn = lsns_.lsn();
    summary.size_bytes = size_;
    summary.frames = frames_;
    summary.chain = state.chain.value_or(0);
    index_ += summary.text();
    if (index_.size() > std::numeric_limits<std::uint32_t>::max()) {
      throw Error(fmt::format("file \"{}\" is too large to be compressed", text_.path()),
                  "it stays as it is, and is read like the others");
    }
    put(index_header(index_.size()));
    put(index_);
    return summary;
  }

 private:
  // Reads so that buffer_ holds `wanted` bytes from at_ on, or all there are.
  void hold(std::size_t wanted) {
    wanted = static_cast<std::size_t>(std::min<std::uint64_t>(wanted, size_ - at_));
    if (buffer_.size() >= wanted) return;
    const std::size_t had = buffer_.size();
    buffer_.resize(wanted);
    if (text_.read_at({buffer_.data() + had, wanted - had}, at_ + had) < wanted - had) {
      throw Corruption(text_.path(), at_ + had, "the file ends here, it should be longer");
    }
  }

  // After the last line that ends within kFrameText, or after the one line that does not.
  std::uint64_t frame_end() {
    hold(kFrameText);
    const std::string_view text(buffer_.data(), buffer_.size());
    const auto newline = last_newline(text);
    if (newline != std::string_view::npos) return at_ + newline + 1;
    std::vector<char> more(kPackReadSize);
    for (std::uint64_t at = at_ + buffer_.size(); at < size_;) {
      const std::size_t got = text_.read_at(more, at);
      const auto found = std::string_view(more.data(), got).find('\n');
      if (found != std::string_view::npos) return at + found + 1;
      if (got < more.size()) break;
      at += got;
    }
    throw Corruption(text_.path(), at_, "a line without an end");
  }

  Position first_position() const {
    const auto prefix = parse_prefix({buffer_.data(), buffer_.size()});
    if (!prefix) throw Corruption(text_.path(), at_, "not a line");
    return prefix->position;
  }

  void compress_to(std::uint64_t end) {
    // The frame says its size, so that a reader knows it before it decompresses.
    check(ZSTD_CCtx_reset(context_.get(), ZSTD_reset_session_only), "begin a frame");
    check(ZSTD_CCtx_setPledgedSrcSize(context_.get(), end - at_), "begin a frame");
    while (at_ < end) {
      hold(kPackReadSize);
      const std::size_t size =
          static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), end - at_));
      ZSTD_inBuffer in{buffer_.data(), size, 0};
      const bool last = at_ + size == end;
      for (bool done = false; !done;) {
        ZSTD_outBuffer out{block_.data(), block_.size(), 0};
        const std::size_t left =
            ZSTD_compressStream2(context_.get(), &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
        check(left, "compress");
        put({block_.data(), out.pos});
        done = last ? left == 0 : in.pos == in.size;
      }
      buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(size));
      at_ += size;
    }
  }

  void put(std::string_view bytes) {
    out_.write_at(bytes, out_at_);
    out_at_ += bytes.size();
  }

  const File& text_;
  File& out_;
  const std::uint64_t size_;
  LsnCursor lsns_;
  const std::unique_ptr<ZSTD_CCtx, FreePackContext> context_;
  std::vector<char> block_;   // compressed, on its way out
  std::vector<char> buffer_;  // text from at_ on
  std::uint64_t at_ = 0;      // in the text
  std::uint64_t out_at_ = 0;
  std::uint64_t frames_ = 0;
  std::string index_;
};

// A file that somebody else has open, to read.
class Lent final : public ReadOnlyFile {
 public:
  explicit Lent(const File& file) : ReadOnlyFile(file.path()), file_(file) {}

  std::size_t read_at(std::span<char> into, std::uint64_t offset) const override {
    return file_.read_at(into, offset);
  }
  std::uint64_t size() const override { return file_.size(); }

 private:
  const File& file_;
};

// Reads back all that was written, as a reader will. False: `stop` was requested.
bool reads_back(const File& packed, std::int64_t day, const PackedSummary& wanted,
                const Stop& stop) {
  const std::string& path = packed.path();
  const std::uint64_t size = packed.size();
  const auto summary = read_summary(packed);
  if (!summary || summary->text() != wanted.text()) {
    throw Corruption(path, size, "the summary does not read back as it was written");
  }
  const auto text = unpacked(std::make_unique<Lent>(packed), *summary);
  GroupScanner scanner(*text, day, ScanState{}, summary->size_bytes);
  Group group;
  std::uint64_t asked_at = 0;
  while (scanner.next(group)) {
    if (group.end < asked_at + kFrameText) continue;
    asked_at = group.end;
    if (stop.requested()) return false;
  }
  const ScanState state = scanner.state();
  if (state.offset != wanted.size_bytes || state.last != wanted.position ||
      state.chain != wanted.chain || state.in_transaction) {
    throw Corruption(path, size, "the text does not read back as it was written");
  }
  return true;
}

}  // namespace

std::optional<PackedSummary> pack_text(const File& text, File& out, std::int64_t day, int level,
                                       const Stop& stop) {
  Packer packer(text, out, day, level);
  while (!packer.at_end()) {
    if (stop.requested()) return std::nullopt;
    packer.add_frame();
  }
  const PackedSummary summary = packer.finish();
  if (!reads_back(out, day, summary, stop)) return std::nullopt;
  return summary;
}

// What is on disk when the process ends at any of these steps:
//   1. 2026-11-20.tsv.zst.new is written: the plain file counts, the new one is written again.
//   2. It is read back through its own index with every CRC checked, and synced.
//   3. It is renamed to .tsv.zst and the directory synced: the compressed one counts; it has the
//      same lines at the same offsets.
//   4. The plain file is removed. If that is lost it is removed again.
std::optional<Packed> pack_day(Dir& dir, std::int64_t day, int level, const Stop& stop) {
  const auto text = dir.open(day_file_name(day));
  if (!text) return std::nullopt;  // deleted just now
  const std::string temporary = packing_file_name(day);
  const auto give_up = [&] { dir.remove(temporary); };
  dir.remove(temporary);
  try {
    const auto out = dir.create(temporary);
    const auto summary = pack_text(*text, *out, day, level, stop);
    if (!summary) {
      give_up();
      return std::nullopt;
    }
    out->sync();
    dir.rename(temporary, packed_file_name(day));
    dir.sync();
    dir.remove(day_file_name(day));
    return Packed{summary->size_bytes, out->size()};
  } catch (const Error&) {
    try {
      give_up();
    } catch (const IoError&) {
      // The first error is the one to report; the file is written again next time.
    }
    throw;
  }
}

}  // namespace daystream
