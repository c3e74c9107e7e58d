// Where in a JSON text its values stand, which nlohmann-json does not say.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace daystream::program {

struct TextPlace {
  int line = 0;    // from 1
  int column = 0;  // from 1, in bytes

  auto operator<=>(const TextPlace&) const = default;
};

// What is wrong with a text, and where.
struct JsonProblem {
  std::string pointer;  // JSON pointer of what is wrong
  TextPlace place;
  std::string message;

  // FILE:LINE:COLUMN: POINTER: MESSAGE
  std::string text(const std::string& file) const;
};

// Where byte `at` of `text` stands.
TextPlace place_of(std::string_view text, std::size_t at) noexcept;

// `name` as a part of a JSON pointer (RFC 6901).
std::string pointer_token(std::string_view name);

class JsonPlaces {
 public:
  // `text` must be JSON: it has been parsed already.
  explicit JsonPlaces(std::string_view text);

  bool has(const std::string& pointer) const { return values_.contains(pointer); }
  // By JSON pointer; of what is not there, its nearest parent's.
  TextPlace value(std::string pointer) const;
  // Where the key of an object's member stands; for anything else, where its value does.
  TextPlace key(const std::string& pointer) const;
  // Pointers of keys that an object has twice, of which a parser silently takes one.
  const std::vector<std::string>& repeated() const noexcept { return repeated_; }

 private:
  struct Scan;
  std::map<std::string, TextPlace> values_;
  std::map<std::string, TextPlace> keys_;
  std::vector<std::string> repeated_;
};

}  // namespace daystream::program
