// Checks JSON that people write against a JSON Schema: as much of it (draft 2020-12) as ours uses.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "program/json_places.h"

namespace daystream::program {

struct SchemaProblem {
  std::string pointer;  // JSON pointer of the value that is wrong
  std::string message;  // what is wrong and what is allowed
  bool of_key = false;  // it is the member's key that is wrong

  std::string text() const;  // POINTER: MESSAGE
};

// All that is wrong with `value`. Keywords: type, enum, properties, additionalProperties, required,
// items, minItems, uniqueItems, minLength, minimum, allOf, anyOf, not and $ref; a rule of allOf,
// anyOf or not that has a `description` is reported in its words. Throws std::logic_error where the
// schema says more than that.
std::vector<SchemaProblem> schema_problems(const nlohmann::json& schema,
                                           const nlohmann::json& value);

JsonProblem placed(SchemaProblem problem, const JsonPlaces& places);

// A text, which may have comments, as JSON, and all that is wrong with it.
struct CheckedJson {
  nlohmann::json value;  // null where it is no JSON
  JsonPlaces places;
  std::vector<JsonProblem> problems;
};
CheckedJson check_json(const std::string& text, const nlohmann::json& schema);

// The schema of what deltamirror's --config takes. It is here as a server offers configurations,
// too.
std::string_view mirror_config_schema();

}  // namespace daystream::program
