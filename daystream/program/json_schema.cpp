#include "program/json_schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "config_schema.h"
#include "program/json.h"
#include "program/usage.h"

namespace daystream::program {

using nlohmann::json;

namespace {

// What says nothing about values.
const std::set<std::string> kNotes = {"$schema",     "$id",     "$defs",   "title",
                                      "description", "default", "examples"};

const std::map<std::string, const char*> kTypeWords = {{"string", "a string"},
                                                       {"object", "an object"},
                                                       {"array", "a list"},
                                                       {"integer", "a number"},
                                                       {"boolean", "true or false"}};

bool is_of_type(const json& value, const std::string& type) {
  if (type == "string") return value.is_string();
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "integer") return value.is_number_integer();
  if (type == "boolean") return value.is_boolean();
  throw std::logic_error("schema: type " + type);
}

std::string words(const std::vector<std::string>& list) {
  return fmt::format("{}", fmt::join(list, ", "));
}

class Check {
 public:
  Check(const json& root, std::vector<SchemaProblem>& problems)
      : root_(root), problems_(problems) {}

  void run(const json& schema, const json& value, const std::string& at) {
    // Where the type is wrong the rest says nothing more.
    if (schema.contains("type") && !is_of_type(value, schema["type"])) {
      return tell(at, fmt::format("must be {}", kTypeWords.at(schema["type"])));
    }
    for (const auto& [keyword, rule] : schema.items()) check(schema, keyword, rule, value, at);
  }

 private:
  void tell(const std::string& at, std::string message, bool of_key = false) {
    problems_.push_back({at, std::move(message), of_key});
  }
  bool holds(const json& schema, const json& value, const std::string& at) const {
    std::vector<SchemaProblem> found;
    Check(root_, found).run(schema, value, at);
    return found.empty();
  }

  // NOLINTNEXTLINE(readability-function-size): one branch a keyword
  void check(const json& schema, const std::string& keyword, const json& rule, const json& value,
             const std::string& at) {
    if (kNotes.contains(keyword) || keyword == "type") return;
    if (keyword == "$ref") {
      const std::string target = rule.get<std::string>().substr(1);  // after the #
      run(root_.at(json::json_pointer(target)), value, at);
    } else if (keyword == "enum") {
      if (std::find(rule.begin(), rule.end(), value) != rule.end()) return;
      const auto allowed = rule.get<std::vector<std::string>>();
      std::string message = "must be one of " + words(allowed);
      if (value.is_string()) message += did_you_mean(value.get<std::string>(), allowed);
      tell(at, message);
    } else if (keyword == "properties" || keyword == "additionalProperties") {
      // Both by the first, as one asks for the other.
      if (keyword == "properties" || !schema.contains("properties")) members(schema, value, at);
    } else if (keyword == "required") {
      for (const std::string name : rule) {
        if (value.is_object() && !value.contains(name) && !has_misspelt(schema, value, name)) {
          tell(at, fmt::format("needs \"{}\"", name));
        }
      }
    } else if (keyword == "items") {
      for (std::size_t i = 0; value.is_array() && i < value.size(); ++i) {
        run(rule, value[i], fmt::format("{}/{}", at, i));
      }
    } else if (keyword == "minItems") {
      if (value.is_array() && value.size() < rule.get<std::size_t>()) tell(at, "must not be empty");
    } else if (keyword == "uniqueItems") {
      for (std::size_t i = 0; value.is_array() && i < value.size(); ++i) {
        if (std::find(value.begin(), value.begin() + static_cast<std::ptrdiff_t>(i), value[i]) !=
            value.begin() + static_cast<std::ptrdiff_t>(i)) {
          tell(fmt::format("{}/{}", at, i), "is there already");
        }
      }
    } else if (keyword == "minLength") {
      if (value.is_string() && value.get<std::string>().empty()) tell(at, "must not be empty");
    } else if (keyword == "minimum") {
      if (value.is_number() && value < rule) tell(at, "must be at least " + rule.dump());
    } else if (keyword == "allOf") {
      for (const json& each : rule) run(each, value, at);
    } else if (keyword == "anyOf") {
      const bool any =
          std::any_of(rule.begin(), rule.end(), [&](const json& s) { return holds(s, value, at); });
      if (!any && !is_told(rule, value, at)) {
        tell(at, schema.value("description", "is not allowed"));
      }
    } else if (keyword == "not") {
      if (holds(rule, value, at)) tell(at, schema.value("description", "is not allowed"));
    } else {
      throw std::logic_error("schema: keyword " + keyword);
    }
  }

  void members(const json& schema, const json& value, const std::string& at) {
    if (!value.is_object()) return;
    const json properties = schema.value("properties", json::object());
    const json others = schema.value("additionalProperties", json(true));
    for (const auto& [name, member] : value.items()) {
      const std::string below = at + "/" + pointer_token(name);
      if (properties.contains(name)) {
        run(properties[name], member, below);
      } else if (others.is_object()) {
        run(others, member, below);
      } else if (others == false) {
        std::vector<std::string> known;
        for (const auto& [key, rule] : properties.items()) {
          if (!key.starts_with('$')) known.push_back(key);
        }
        tell(below, fmt::format("is not known ({}){}", words(known), did_you_mean(name, known)),
             true);
      }
    }
  }

  // Then that is reported, once.
  static bool has_misspelt(const json& schema, const json& value, const std::string& name) {
    const json known = schema.value("properties", json::object());
    for (const auto& [key, member] : value.items()) {
      if (!known.contains(key) && most_like(key, {name}) == name) return true;
    }
    return false;
  }

  // Of the whole: what it needs is there, misspelt.
  bool is_told(const json& alternatives, const json& value, const std::string& at) const {
    return at.empty() && value.is_object() &&
           std::any_of(alternatives.begin(), alternatives.end(), [&](const json& each) {
             const json required = each.value("required", json::array());
             return std::any_of(required.begin(), required.end(), [&](const json& name) {
               return has_misspelt(root_, value, name.get<std::string>());
             });
           });
  }

  const json& root_;
  std::vector<SchemaProblem>& problems_;
};

// After "parse error at line 1, column 2: ".
std::string parser_words(const json::parse_error& error) {
  const std::string text = error.what();
  const std::size_t column = text.find("column ");
  const std::size_t colon = text.find(": ", column == std::string::npos ? 0 : column);
  return colon == std::string::npos ? text : text.substr(colon + 2);
}

// The parser says which number no double holds, and not where.
std::string quoted_in(std::string_view words) {
  const std::size_t begin = std::min(words.find('\''), words.size() - 1) + 1;
  return std::string(words.substr(begin, words.rfind('\'') - begin));
}

CheckedJson no_json(const TextPlace& place, std::string why) {
  return {nullptr, JsonPlaces("null"), {{"", place, std::move(why)}}};
}

}  // namespace

std::string SchemaProblem::text() const {
  return pointer.empty() ? message : fmt::format("{}: {}", pointer, message);
}

std::vector<SchemaProblem> schema_problems(const json& schema, const json& value) {
  std::vector<SchemaProblem> problems;
  Check(schema, problems).run(schema, value, "");
  return problems;
}

JsonProblem placed(SchemaProblem problem, const JsonPlaces& places) {
  const TextPlace place =
      problem.of_key ? places.key(problem.pointer) : places.value(problem.pointer);
  return {std::move(problem.pointer), place, std::move(problem.message)};
}

CheckedJson check_json(const std::string& written, const json& schema) {
  const std::string text = without_comments(written);
  if (is_too_deep(text)) return no_json({1, 1}, "is too deep");
  json value;
  try {
    value = json::parse(text);
  } catch (const json::parse_error& e) {
    return no_json(place_of(text, e.byte == 0 ? 0 : e.byte - 1), "not JSON: " + parser_words(e));
  } catch (const json::out_of_range& e) {
    const std::string number = quoted_in(e.what());
    return no_json(place_of(text, text.find(number)), fmt::format("{} is too large", number));
  }
  CheckedJson out{std::move(value), JsonPlaces(text), {}};
  std::vector<SchemaProblem> problems = schema_problems(schema, out.value);
  for (const std::string& twice : out.places.repeated()) {
    problems.push_back({twice, "is there twice", true});
  }
  for (SchemaProblem& problem : problems) {
    out.problems.push_back(placed(std::move(problem), out.places));
  }
  return out;
}

std::string_view mirror_config_schema() {
  return kConfigSchema;
}

}  // namespace daystream::program
