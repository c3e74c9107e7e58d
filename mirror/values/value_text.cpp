#include "values/value_text.h"

#include <fmt/format.h>

namespace deltamirror {

std::string value_text(const Value& value) {
  switch (value.type) {
    case Value::Type::Null:
      return "NULL";
    case Value::Type::Integer:
      return std::to_string(value.integer);
    case Value::Type::Real:
      return fmt::format("{}", value.real);
    case Value::Type::Text:
      return fmt::format("\"{}\"", value.bytes.substr(0, 80));
    case Value::Type::Blob:
      return fmt::format("({} bytes)", value.bytes.size());
  }
  return {};
}

}  // namespace deltamirror
