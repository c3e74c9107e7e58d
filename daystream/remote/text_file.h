// A small file that is not on disk: a text, which can only be read.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "read_only_file.h"

namespace daystream::remote {

class TextFile final : public ReadOnlyFile {
 public:
  // `hint`: what to do instead of changing it.
  TextFile(std::string path, std::string text, std::string hint = {})
      : ReadOnlyFile(std::move(path), std::move(hint)), text_(std::move(text)) {}

  std::size_t read_at(std::span<char> into, std::uint64_t offset) const override {
    if (offset >= text_.size()) return 0;
    const std::size_t size = std::min<std::uint64_t>(into.size(), text_.size() - offset);
    std::memcpy(into.data(), text_.data() + offset, size);
    return size;
  }
  std::uint64_t size() const override { return text_.size(); }

 private:
  const std::string text_;
};

}  // namespace daystream::remote
