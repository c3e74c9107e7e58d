// The day file that a Writer adds to: what waits in memory, what the kernel has, and the CRC that
// runs over both. It knows groups; what a transaction is, and when its bytes may be written, the
// Writer decides.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "daystream/durable.h"
#include "dir.h"
#include "write_buffer.h"

namespace daystream {

// Offsets are bytes of the day file, whether the kernel has them yet or not.
//
// Errors: IoError. After one of the disk nothing is written any more, as nobody knows what the file
//         ends in: check_usable() throws what it was.
class DayOutput {
 public:
  // `block_bytes`: write_blocks() writes multiples of it.
  DayOutput(std::shared_ptr<Dir> dir, std::size_t block_bytes);

  // Goes on behind the last group of a file, `size` bytes long.
  void continue_in(std::shared_ptr<File> file, std::int64_t day, std::uint64_t size,
                   std::uint32_t chain);
  // The day's file is on disk whole. Nothing where there is none.
  void finish_day();
  // Makes the file of `day`: its name is on disk then.
  void begin_day(std::int64_t day);

  // Closes the file; everything is written and synced.
  void release() noexcept { file_.reset(); }
  // Opens it again. False: it does not end where it was left, which is what `durable` says.
  bool reopen(const Durable& durable);

  void check_usable() const;
  // The errno of what failed first, 0: nothing; shared with the flushes.
  const std::shared_ptr<std::atomic<int>>& failed() const noexcept { return failed_; }

  const std::shared_ptr<File>& file() const noexcept { return file_; }  // nullptr: none is open
  std::int64_t day() const noexcept { return day_; }
  std::uint64_t end() const noexcept { return written_ + buffer_.size(); }
  std::uint64_t written() const noexcept { return written_; }
  std::size_t waiting() const noexcept { return buffer_.size(); }
  std::uint32_t group_chain() const noexcept { return group_chain_; }  // at the last group's end
  // At written(), where a group ended there, or all that was added is written.
  std::uint32_t chain() const noexcept { return chain_; }

  // Room for `size` bytes, good until the next call; then how many of them were filled.
  char* room(std::size_t size) { return buffer_.room(size); }
  void grow(std::size_t size) noexcept { buffer_.grow(size); }
  // Adds `prefix` and `body` as the line that ends a group, with the CRC of all since the last one.
  // Returns its size.
  std::size_t end_group(std::string_view prefix, std::string_view body);
  // Takes back what was added from `offset` on: lines of the group that has not ended, all of them,
  // of which nothing was written.
  void cut(std::uint64_t offset) noexcept;

  // Gives the kernel what is before `offset`.
  void write_to(std::uint64_t offset);
  // The same, as far as that is whole blocks of the file: the kernel takes them with the fewest
  // pages, and copies them twice as fast while they are still in the processor's cache.
  void write_blocks(std::uint64_t offset);

 private:
  template <typename Action>
  void on_disk(const Action& action);

  const std::size_t block_bytes_;
  std::shared_ptr<Dir> dir_;
  std::shared_ptr<std::atomic<int>> failed_ = std::make_shared<std::atomic<int>>(0);
  std::shared_ptr<File> file_;
  std::int64_t day_ = 0;
  std::uint64_t written_ = 0;
  WriteBuffer buffer_;  // follows written_

  std::uint32_t chain_ = 0;  // the running CRC, up to chain_at_
  std::uint64_t chain_at_ = 0;
  std::uint32_t group_chain_ = 0;
};

}  // namespace daystream
