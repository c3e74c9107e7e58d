#include "serve/zstd_frame.h"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <cctype>
#include <memory>

#include "daystream/error.h"

namespace daystream::serve {

namespace {

// Lines shrink to a fifth or less at any level; higher ones cost the loop more than they save.
constexpr int kLevel = 3;

struct ContextDeleter {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
};

}  // namespace

std::string zstd_frame(std::string_view text) {
  thread_local const std::unique_ptr<ZSTD_CCtx, ContextDeleter> context(ZSTD_createCCtx());
  std::string frame(ZSTD_compressBound(text.size()), '\0');
  const std::size_t size = context == nullptr
                               ? 0
                               : ZSTD_compressCCtx(context.get(), frame.data(), frame.size(),
                                                   text.data(), text.size(), kLevel);
  if (context == nullptr || ZSTD_isError(size) != 0) {
    throw Error("could not compress bytes for a follower: out of memory",
                "close other programs, or give the machine more memory");
  }
  frame.resize(size);
  frame.shrink_to_fit();
  return frame;
}

bool accepts_zstd(std::string_view header) {
  for (std::size_t at = 0; at <= header.size();) {
    const auto comma = std::min(header.find(',', at), header.size());
    std::string coding;
    for (const char c : header.substr(at, comma - at)) {
      if (c != ' ' && c != '\t') {
        coding += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      }
    }
    at = comma + 1;
    if (!coding.starts_with("zstd")) continue;
    const std::string_view rest = std::string_view(coding).substr(4);
    if (rest.empty()) return true;
    // A weight of zero means: anything but this.
    return rest.starts_with(";q=") && rest.substr(3).find_first_of("123456789") != rest.npos;
  }
  return false;
}

}  // namespace daystream::serve
