// What the server's clock proves of the stream.
#pragma once

#include <cstdint>

#include "daystream/lsn.h"

namespace deltastream {

// The end of the server's WAL at a time of its clock. A stream that has come to `lsn` has all that
// was committed before `time_us`. Nothing else proves a time: keepalives come from wherever the
// walsender is, which may be hours behind in WAL that is not ours.
struct WalEnd {
  daystream::Lsn lsn;
  std::int64_t time_us = 0;  // since 1970; 0: none
};

}  // namespace deltastream
