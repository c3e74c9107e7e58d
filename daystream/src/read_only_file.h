// A File that can only be read: what would change it is refused.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "daystream/error.h"
#include "dir.h"

namespace daystream {

class ReadOnlyFile : public File {
 public:
  // `hint`: what to do instead of changing it.
  explicit ReadOnlyFile(std::string path, std::string hint = {})
      : File(std::move(path)), hint_(std::move(hint)) {}

  void write_at(std::string_view, std::uint64_t) final { refuse(); }
  void truncate(std::uint64_t) final { refuse(); }
  void sync() final { refuse(); }

 private:
  [[noreturn]] void refuse() const {
    throw Error(fmt::format("cannot change \"{}\": it can only be read", path()), hint_);
  }

  std::string hint_;
};

}  // namespace daystream
