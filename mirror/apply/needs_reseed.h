// What only copying a table anew can mend.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "daystream/error.h"

namespace deltamirror {

// A table has changed in a way that no line tells the rows of: only copying it anew helps.
class NeedsReseed : public daystream::NeedsPerson {
 public:
  // `line_name`: as lines call the table now, raw. `oid`: 0 where only the name tells.
  NeedsReseed(const std::string& message, std::uint32_t oid, std::string line_name)
      : NeedsPerson(message,
                    "copy that table anew with \"deltamirror reseed\", or give \"run\" a -d "
                    "CONNINFO, with which it does so by itself"),
        oid_(oid),
        line_name_(std::move(line_name)) {}
  std::uint32_t oid() const noexcept { return oid_; }
  const std::string& line_name() const noexcept { return line_name_; }

 private:
  std::uint32_t oid_;
  std::string line_name_;
};

}  // namespace deltamirror
