// A literal of a filter as a value of the type that it is compared with.
#pragma once

#include <string>

#include "filter/comparable.h"
#include "filter/expression.h"

namespace deltamirror {

// Owns what it holds.
class LiteralValue {
 public:
  // Throws ConfigError where it is none.
  LiteralValue(Comparable type, const FilterLiteral& literal);
  Value value() const noexcept {
    Value out = value_;
    out.bytes = bytes_;
    return out;
  }

 private:
  Value value_;
  std::string bytes_;
};

// The same for PostgreSQL, under search_path ''.
std::string literal_sql(Comparable type, const LiteralValue& literal);

}  // namespace deltamirror
