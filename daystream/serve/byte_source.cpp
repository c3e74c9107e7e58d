#include "serve/byte_source.h"

#include "line_prefix.h"

namespace daystream::serve {

bool WholeSource::read(evbuffer* out) {
  const Block block = stream_.next(cursor_);
  if (!block) {
    if (stream_.durable()) position_ = stream_.durable()->position;
    return false;
  }
  append_block(out, block);
  // Where it is, for who looks at it: the last line that begins in the block, if one does.
  if (block->size() > 1) {
    const auto newline = block->rfind('\n', block->size() - 2);
    const std::size_t line = newline == std::string::npos ? 0 : newline + 1;
    if (const auto prefix = parse_prefix(std::string_view(*block).substr(line, 64))) {
      position_ = prefix->position;
    }
  }
  return true;
}

}  // namespace daystream::serve
