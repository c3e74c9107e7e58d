// JSON that somebody else wrote: a file, a peer.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace daystream::program {

// How deep what we read may be. Nothing we write is deeper than ten, and what is done with a value
// afterwards, as writing it, takes stack for each level.
inline constexpr std::size_t kMostJsonDepth = 64;

// Whether `text`, if it is JSON, is deeper than that.
inline bool is_too_deep(std::string_view text) {
  std::size_t depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\') {
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && (c == '[' || c == '{')) {
      if (++depth > kMostJsonDepth) return true;
    } else if (!quoted && (c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return false;
}

// The text of a file that a person writes, in which comments are allowed, /* … */ and // …: with
// spaces in place of them, so that all else stands where it did. One that does not end stays.
std::string without_comments(std::string text);

// Discarded (is_discarded(), and no object) where it is no JSON, or too deep.
template <typename Json = nlohmann::ordered_json>
Json parse_json(std::string_view text) {
  if (is_too_deep(text)) return Json(Json::value_t::discarded);
  return Json::parse(text, nullptr, false);
}

// A member that is a string; empty: there is none, or it is something else.
template <typename Json>
std::string text_of(const Json& object, const char* key) {
  if (!object.is_object()) return {};
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->template get<std::string>() : "";
}

}  // namespace daystream::program
