// JSON as we write it: with a newline behind it. Names may hold any bytes; what is not UTF-8 is
// replaced.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace daystream {

// One line, of many; or a page that people read as well.
template <typename Json>
std::string json_line(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}
template <typename Json>
std::string json_page(const Json& value) {
  return value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace daystream
