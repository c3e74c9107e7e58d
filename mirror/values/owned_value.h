// A value with its bytes, for what outlives the line or row that it came from.
#pragma once

#include <string>

#include "values/types.h"

namespace deltamirror {

class OwnedValue {
 public:
  explicit OwnedValue(const Value& value) : value_(value), bytes_(value.bytes) {}
  // Valid as long as this is.
  Value get() const noexcept {
    Value out = value_;
    out.bytes = bytes_;
    return out;
  }

 private:
  Value value_;
  std::string bytes_;
};

}  // namespace deltamirror
