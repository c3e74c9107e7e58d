// A literal of a filter as a value of the type that it is compared with.
#pragma once

#include <string>

#include "filter/comparable.h"
#include "filter/expression.h"
#include "values/owned_value.h"

namespace deltamirror {

// Throws ConfigError where the literal is none of the type.
OwnedValue literal_value(Comparable type, const FilterLiteral& literal);

// The same for PostgreSQL, under search_path ''.
std::string literal_sql(Comparable type, const Value& value);

}  // namespace deltamirror
