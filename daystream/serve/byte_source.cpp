#include "serve/byte_source.h"

#include <event2/buffer.h>

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
  const auto newline = text.rfind('\n', text.size() - 2);
  const std::size_t line = newline == std::string_view::npos ? 0 : newline + 1;
  if (const auto prefix = parse_prefix(text.substr(line, 64))) position_ = prefix->position;
}

bool FilteredSource::read(evbuffer* out) {
  const Block block = stream_.next(cursor_);
  left_.clear();
  if (block) {
    filter_.feed(*block, left_);
  } else {
    filter_.end(left_);
  }
  if (!left_.empty()) append_text(out, left_, encoding_);
  // Something was appended, so this is not the end yet: the next call will find it.
  return block != nullptr || !left_.empty();
}

// After a break a reader begins again from the last commit that it got, so a commit here saves
// reading all of this again. Inside a large transaction there is none; then no line is half sent
// either, because more of it would have been sent.
void FilteredSource::tell_progress(evbuffer* out) {
  left_.clear();
  filter_.end(left_);
  append_text(out, left_.empty() ? kWorkBeat : left_, encoding_);
}

}  // namespace daystream::serve
