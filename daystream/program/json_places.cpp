#include "program/json_places.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace daystream::program {

TextPlace place_of(std::string_view text, std::size_t at) noexcept {
  const std::string_view before = text.substr(0, at);
  const std::size_t line_begin = before.rfind('\n') + 1;  // npos + 1 is 0
  return {static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1,
          static_cast<int>(before.size() - line_begin) + 1};
}

std::string JsonProblem::text(const std::string& file) const {
  return fmt::format("{}:{}:{}: {}{}{}", file, place.line, place.column, pointer,
                     pointer.empty() ? "" : ": ", message);
}

std::string pointer_token(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

// One walk over text that is known to be JSON.
struct JsonPlaces::Scan {
  JsonPlaces& places;
  std::string_view text;
  std::size_t at = 0;

  void skip_space() { at = std::min(text.find_first_not_of(" \t\r\n", at), text.size()); }
  std::string string() {
    const std::size_t begin = at++;
    while (text[at] != '"') at += text[at] == '\\' ? 2 : 1;
    ++at;
    return nlohmann::json::parse(text.substr(begin, at - begin)).get<std::string>();
  }
  void value(const std::string& pointer) {
    skip_space();
    places.values_.insert_or_assign(pointer, place_of(text, at));
    switch (text[at]) {
      case '{':
        return members(pointer, '}');
      case '[':
        return members(pointer, ']');
      case '"':
        string();
        return;
      default:
        at = std::min(text.find_first_of(",]} \t\r\n", at), text.size());
    }
  }
  void members(const std::string& pointer, char close) {
    ++at;
    for (int number = 0;; ++number) {
      skip_space();
      if (text[at] == ',') {
        ++at;
        skip_space();
      }
      if (text[at] == close) break;
      std::string member = pointer + "/" + std::to_string(number);
      if (close == '}') {
        const TextPlace place = place_of(text, at);
        member = pointer + "/" + pointer_token(string());
        if (!places.keys_.insert_or_assign(member, place).second) {
          places.repeated_.push_back(member);
        }
        skip_space();
        ++at;  // the colon
      }
      value(member);
    }
    ++at;
  }
};

JsonPlaces::JsonPlaces(std::string_view text) {
  Scan{*this, text}.value("");
}

TextPlace JsonPlaces::value(std::string pointer) const {
  for (;;) {
    const auto found = values_.find(pointer);
    if (found != values_.end()) return found->second;
    if (pointer.empty()) return {1, 1};
    pointer.resize(std::min(pointer.rfind('/'), pointer.size()));
  }
}

TextPlace JsonPlaces::key(const std::string& pointer) const {
  const auto found = keys_.find(pointer);
  return found == keys_.end() ? value(pointer) : found->second;
}

}  // namespace daystream::program
