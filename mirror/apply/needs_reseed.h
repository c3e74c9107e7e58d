// One table's trouble, which the tables beside it need not share.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "daystream/error.h"

namespace deltamirror {

// A table cannot be followed from here on: copying it is what may help.
class NeedsReseed : public daystream::NeedsPerson {
 public:
  // `line_name`: as lines call the table now, raw. `oid`: 0 where only the name is known.
  NeedsReseed(const std::string& message, std::uint32_t oid, std::string line_name,
              const std::string& hint = kCopyIt)
      : NeedsPerson(message, hint), oid_(oid), line_name_(std::move(line_name)) {}
  std::uint32_t oid() const noexcept { return oid_; }
  const std::string& line_name() const noexcept { return line_name_; }

  inline static const std::string kCopyIt =
      "\"deltamirror reseed\" copies that table; \"run\" with a -d CONNINFO does so by itself";

 private:
  std::uint32_t oid_;
  std::string line_name_;
};

// In the reason of a table that has left for a row of the stream: before the place of that row.
inline constexpr const char* kAtTransaction = " (transaction at ";

// The stream does not lead from where the mirror is to where PostgreSQL is: changes are missing in
// it, its old days are gone, or it was begun again. Every table of the source is behind.
class StreamGap : public daystream::NeedsPerson {
 public:
  using NeedsPerson::NeedsPerson;
};

// What helps where a newer snapshot may have the table.
inline const std::string kComesFromNewer =
    "it comes back from the first snapshot on offer that is newer; or " + NeedsReseed::kCopyIt;

// What helps where every table of a source is behind.
inline const std::string kCopyAll =
    "give \"run\" a -d CONNINFO, with which it copies its tables by itself, or --from with the URL "
    "of a server that offers newer snapshots, or with a file that is one";

}  // namespace deltamirror
