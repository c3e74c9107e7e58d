// The part of a daystream that a command looks at: --after, --since, --until, --lsn.
#pragma once

#include <optional>
#include <string>

#include "daystream/lsn.h"
#include "daystream/position.h"
#include "daystream/reader.h"

namespace daystream::command {

struct RangeOptions {
  std::string after;  // as given; empty: not given
  std::string since;
  std::string until;
  std::string lsn;
};

// Where to stop: the first transaction that ends beyond it is not shown.
struct Until {
  std::optional<Position> position;
  std::optional<Lsn> lsn;

  bool passed(const Transaction& transaction) const;
};

// Both throw ConfigError, naming the option that cannot be understood.
StartAfter start_of(const RangeOptions& options, const Stream& stream);
Until until_of(const RangeOptions& options);

}  // namespace daystream::command
