#include "serve/byte_source.h"

#include <event2/buffer.h>

#include <algorithm>

#include "last_newline.h"
#include "line_prefix.h"
#include "serve/zstd_frame.h"

namespace daystream::serve {

void append_text(evbuffer* out, std::string_view text, Encoding encoding) {
  if (encoding == Encoding::Zstd) {
    const std::string frame = zstd_frame(text);
    evbuffer_add(out, frame.data(), frame.size());
  } else {
    evbuffer_add(out, text.data(), text.size());
  }
}

bool WholeSource::read(evbuffer* out) {
  Piece piece;
  if (encoding_ == Encoding::Zstd) {
    piece = stream_.next_packed(cursor_);
  } else {
    piece.text = stream_.next(cursor_);
  }
  const Block block = piece.packed ? piece.packed : piece.text;
  if (!block) {
    if (stream_.durable()) position_ = stream_.durable()->position;
    return false;
  }
  append_block(out, block);
  if (piece.text) {
    look_for_position(*piece.text);
  } else {
    position_ = piece.position;
  }
  return true;
}

// Takes the position of the last line that begins in `text`, if one does, for the status page.
void WholeSource::look_for_position(std::string_view text) {
  if (text.size() <= 1) return;
  const auto newline = last_newline(text.substr(0, text.size() - 1));
  const std::size_t line = newline == std::string_view::npos ? 0 : newline + 1;
  if (const auto prefix = parse_prefix(text.substr(line, 64))) position_ = prefix->position;
}

bool FilteredSource::read(evbuffer* out) {
  constexpr std::size_t kPiece = BlockCache::kBlockBytes;
  if (left_.size() < kPiece) {
    const Block block = stream_.next(cursor_);
    if (block) {
      filter_.feed(*block, left_);
      if (left_.size() < kPiece) return true;
    } else {
      filter_.end(left_);
      // What is sent now is no end: the next call will find one.
      const bool some = !left_.empty();
      if (some) send(std::min(left_.size(), kPiece), out);
      return some;
    }
  }
  send(kPiece, out);
  return true;
}

void FilteredSource::send(std::size_t size, evbuffer* out) {
  append_text(out, std::string_view(left_).substr(0, size), encoding_);
  left_.erase(0, size);
}

// After a break a reader begins again from the last commit that it got, so a commit here saves
// reading all of this again. Inside a large transaction there is none; then what is left may end in
// the middle of a line, and the next piece goes on with it: a beat would become part of it.
void FilteredSource::tell_progress(evbuffer* out) {
  if (left_.empty()) {
    filter_.end(left_);
    if (left_.empty()) return append_text(out, kWorkBeat, encoding_);
  }
  send(left_.size(), out);
}

}  // namespace daystream::serve
