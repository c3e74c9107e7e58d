// How much has come in the last minutes.
#pragma once

#include <cstdint>
#include <filesystem>

#include "stream_view.h"

namespace daystream::command {

struct Rate {
  std::int64_t seconds = 0;  // that it is of, up to now
  double bytes = 0;          // per second, as the others
  double lines = 0;
  double transactions = 0;
};

// Of the last five minutes, or, where much has come, of the newest 64 MiB: reading takes no longer
// than that does.
Rate recent_rate(const StreamView& view, const std::filesystem::path& directory);

}  // namespace daystream::command
