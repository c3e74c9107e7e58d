// Bytes of day files, read once and shared by all followers that get them.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "dir.h"

struct evbuffer;

namespace daystream::serve {

using Block = std::shared_ptr<const std::string>;

// A few MiB of what was read last: followers at the tail of a stream all want the same bytes in the
// same moment. What is queued for a slow one keeps its blocks alive beyond that.
//
// Threads: one.
class BlockCache {
 public:
  static constexpr std::uint64_t kBlockBytes = 64 * 1024;

  enum class Kind { Text, Stored };

  // Bytes of `file`, which is that of `day`, its text or as it is stored, from `begin` up to
  // `limit` or the next multiple of kBlockBytes, whichever is nearer. Throws Corruption where the
  // file is shorter.
  Block read(Kind kind, std::int64_t day, const File& file, std::uint64_t begin,
             std::uint64_t limit);
  // The same bytes as a zstd frame, which is made once while the block is kept.
  Block packed(const Block& block);

 private:
  static constexpr std::size_t kKept = 32;

  struct Entry {
    Kind kind;
    std::int64_t day;
    std::uint64_t begin;
    Block block;
    Block packed;  // nullptr: nobody has asked
  };
  std::list<Entry> entries_;  // the latest used first
};

// Appends `block` to `out` without copying it.
void append_block(evbuffer* out, const Block& block);

}  // namespace daystream::serve
