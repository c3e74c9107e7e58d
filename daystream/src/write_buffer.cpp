#include "write_buffer.h"

#include <algorithm>
#include <cstring>

namespace daystream {

namespace {
constexpr std::size_t kLeastCapacity = 64 * 1024;
}

void WriteBuffer::append(std::string_view text) {
  if (text.empty()) return;
  std::memcpy(room(text.size()), text.data(), text.size());
  grow(text.size());
}

void WriteBuffer::drop_front(std::size_t size) noexcept {
  begin_ += size;
  assert(begin_ <= end_);
  if (begin_ == end_) begin_ = end_ = 0;
}

void WriteBuffer::shrink(std::size_t keep_capacity) {
  if (capacity_ > keep_capacity && size() < keep_capacity / 2) move_to(keep_capacity);
}

void WriteBuffer::make_room(std::size_t size) {
  // If the front half is free it is used again; otherwise the buffer becomes twice as large.
  const bool enough = this->size() + size <= capacity_ && begin_ >= this->size();
  move_to(enough ? capacity_ : std::max({2 * capacity_, this->size() + size, kLeastCapacity}));
}

void WriteBuffer::move_to(std::size_t capacity) {
  const std::size_t size = this->size();
  if (capacity == capacity_) {
    std::memmove(bytes_.get(), bytes_.get() + begin_, size);
  } else {
    std::unique_ptr<char, Free> bytes(static_cast<char*>(std::malloc(capacity)));
    if (!bytes) throw std::bad_alloc();
    if (size != 0) std::memcpy(bytes.get(), bytes_.get() + begin_, size);
    bytes_ = std::move(bytes);
    capacity_ = capacity;
  }
  begin_ = 0;
  end_ = size;
}

}  // namespace daystream
