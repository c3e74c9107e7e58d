#include "serve/block_cache.h"

#include <event2/buffer.h>

#include <algorithm>

#include "daystream/error.h"
#include "serve/zstd_frame.h"

namespace daystream::serve {

Block BlockCache::read(Kind kind, std::int64_t day, const File& file, std::uint64_t begin,
                       std::uint64_t limit) {
  const std::uint64_t end = std::min(limit, (begin / kBlockBytes + 1) * kBlockBytes);
  const std::size_t size = end - begin;
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->kind != kind || entry->day != day || entry->begin != begin ||
        entry->block->size() != size) {
      continue;
    }
    entries_.splice(entries_.begin(), entries_, entry);
    return entries_.front().block;
  }
  auto bytes = std::make_shared<std::string>(size, '\0');
  const std::size_t got = file.read_at(*bytes, begin);
  if (got < size) throw Corruption(file.path(), begin + got, "the file ends here, it was longer");
  entries_.push_front({kind, day, begin, bytes, nullptr});
  if (entries_.size() > kKept) entries_.pop_back();
  return bytes;
}

Block BlockCache::packed(const Block& block) {
  for (Entry& entry : entries_) {
    if (entry.block != block) continue;
    if (!entry.packed) entry.packed = std::make_shared<std::string>(zstd_frame(*block));
    return entry.packed;
  }
  return std::make_shared<std::string>(zstd_frame(*block));
}

void append_block(evbuffer* out, const Block& block) {
  auto* held = new Block(block);
  const auto release = [](const void*, std::size_t, void* argument) {
    delete static_cast<Block*>(argument);
  };
  if (evbuffer_add_reference(out, block->data(), block->size(), release, held) != 0) {
    delete held;
    throw Error("could not queue bytes for a follower: out of memory",
                "close other programs, or give the machine more memory");
  }
}

}  // namespace daystream::serve
