// Bytes that the Writer has not yet given to the kernel. They are added at the end and taken off at
// the front.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <string_view>

namespace daystream {

// Unlike a std::string it gives out room before it is filled, and taking off the front moves
// nothing. Only std::bad_alloc is thrown.
class WriteBuffer {
 public:
  std::size_t size() const noexcept { return end_ - begin_; }
  std::string_view view() const noexcept { return {bytes_.get() + begin_, size()}; }
  std::string_view from(std::size_t at) const noexcept { return view().substr(at); }

  // Room for `size` bytes behind the end, good until the next call of any function; then the number
  // of those that are to stay.
  char* room(std::size_t size) {
    if (capacity_ - end_ < size) make_room(size);
    return bytes_.get() + end_;
  }
  void grow(std::size_t size) noexcept {
    end_ += size;
    assert(end_ <= capacity_);
  }
  void append(std::string_view text);

  void cut(std::size_t size) noexcept { end_ = begin_ + size; }  // keeps so much of the front
  void drop_front(std::size_t size) noexcept;
  // Gives memory back after something huge, if what is left is small.
  void shrink(std::size_t keep_capacity);

 private:
  void make_room(std::size_t size);
  void move_to(std::size_t capacity);

  struct Free {
    void operator()(char* bytes) const noexcept { std::free(bytes); }
  };
  std::unique_ptr<char, Free> bytes_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace daystream
