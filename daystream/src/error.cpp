#include "daystream/error.h"

#include <fmt/format.h>

#include <cstring>

namespace daystream {

namespace {
constexpr const char* kRestore =
    "restore the file from a copy of the daystream (a relay's, a backup's), then run \"daystream "
    "verify\"; without a copy begin a new daystream and seed its mirrors anew";
}

IoError::IoError(const std::string& action, int error_number, std::string hint)
    : Error(fmt::format("{}: {}", action, std::strerror(error_number)), std::move(hint)),
      error_number_(error_number) {}

Corruption::Corruption(const std::string& file, std::uint64_t offset_bytes,
                       const std::string& problem, std::string hint)
    : Error(fmt::format("file \"{}\" is damaged at byte {}: {}", file, offset_bytes, problem),
            hint.empty() ? kRestore : std::move(hint)),
      file_(file),
      offset_bytes_(offset_bytes) {}

}  // namespace daystream
