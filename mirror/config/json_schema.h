// Checks JSON values against a JSON Schema: as much of it (draft 2020-12) as ours uses.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace deltamirror {

struct SchemaProblem {
  std::string pointer;  // JSON pointer of the value that is wrong
  std::string message;  // what is wrong and what is allowed
  bool of_key = false;  // it is the member's key that is wrong
};

// All that is wrong with `value`. Keywords: type, enum, properties, additionalProperties, required,
// items, minItems, uniqueItems, minLength, minimum, allOf, anyOf, not and $ref; a rule of allOf,
// anyOf or not that has a `description` is reported in its words. Throws std::logic_error where the
// schema says more than that.
std::vector<SchemaProblem> schema_problems(const nlohmann::json& schema,
                                           const nlohmann::json& value);

}  // namespace deltamirror
