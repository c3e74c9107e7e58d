#include "line_window.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "daystream/error.h"

namespace daystream {

namespace {

// Large enough that nearly every transaction is delivered without reading it again, small enough
// to stay in a processor's second-level cache.
constexpr std::size_t kBufferSize = 512 * 1024;
constexpr std::size_t kReadSize = 256 * 1024;

}  // namespace

LineWindow::LineWindow(const File& file, std::uint64_t begin, std::uint64_t limit)
    : file_(file),
      limit_(limit),
      buffer_(std::make_unique_for_overwrite<char[]>(kBufferSize)),
      capacity_(kBufferSize),
      begin_(begin) {}

std::size_t LineWindow::next_read() const noexcept {
  if (end() >= limit_) return 0;
  return static_cast<std::size_t>(std::min<std::uint64_t>(kReadSize, limit_ - end()));
}

bool LineWindow::read(std::uint64_t keep) {
  const std::size_t wanted = next_read();
  if (wanted == 0) return false;
  if (capacity_ - size_ < wanted) {
    const std::uint64_t needed = end() - keep + wanted;
    if (needed > UINT32_MAX) throw Corruption(file_.path(), keep, "a line of more than 4 GiB");
    move(static_cast<std::size_t>(keep - begin_),
         needed > capacity_ ? std::max<std::size_t>(2 * capacity_, needed) : capacity_);
  }
  const std::size_t got = file_.read_at({buffer_.get() + size_, wanted}, end());
  size_ += got;
  if (got < wanted) {
    throw Corruption(file_.path(), end(),
                     fmt::format("the file ends here, {} bytes are missing", limit_ - end()));
  }
  return true;
}

void LineWindow::give_back() {
  constexpr std::size_t kUsual = 2 * kBufferSize;
  if (capacity_ > 4 * kUsual && size_ - at_ < kBufferSize) move(at_, kUsual);
}

// Moves the bytes from index `keep` on to the front, in a buffer of this capacity.
void LineWindow::move(std::size_t keep, std::size_t capacity) {
  const std::size_t kept = size_ - keep;
  if (capacity != capacity_) {
    auto other = std::make_unique_for_overwrite<char[]>(capacity);
    std::memcpy(other.get(), buffer_.get() + keep, kept);
    buffer_ = std::move(other);
    capacity_ = capacity;
  } else {
    std::memmove(buffer_.get(), buffer_.get() + keep, kept);
  }
  begin_ += keep;
  size_ = kept;
  at_ -= keep;
  searched_ -= keep;
}

}  // namespace daystream
