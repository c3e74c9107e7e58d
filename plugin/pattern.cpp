#include "pattern.h"

namespace deltaflood {

namespace {

constexpr bool is_space(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

class Parser {
 public:
  Parser(std::string_view list, bool dots_part, char* storage) noexcept
      : rest_(list), dots_part_(dots_part), storage_(storage) {}

  bool at_end() const noexcept { return rest_.empty(); }
  bool take(char c) noexcept {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void skip_spaces() noexcept {
    while (!rest_.empty() && is_space(rest_.front())) rest_.remove_prefix(1);
  }

  // Takes one part; returns what is wrong, or nullptr.
  const char* part(std::string_view& result) noexcept {
    char* const begin = storage_;
    if (take('"')) {
      if (!quoted()) return "a quoted name is not closed";
    } else {
      unquoted(begin);
    }
    result = std::string_view(begin, static_cast<std::size_t>(storage_ - begin));
    return result.empty() ? "a name is empty" : nullptr;
  }

 private:
  bool quoted() noexcept {
    while (!rest_.empty()) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"' && !take('"')) return true;
      *storage_++ = c;
    }
    return false;
  }

  void unquoted(const char* begin) noexcept {
    while (!rest_.empty()) {
      const char c = rest_.front();
      if (c == ',' || (c == '.' && dots_part_) || c == '"') break;
      *storage_++ = c == '*' ? kAny : c;
      rest_.remove_prefix(1);
    }
    while (storage_ > begin && is_space(storage_[-1])) --storage_;
  }

  std::string_view rest_;
  bool dots_part_;  // whether a dot ends a part
  char* storage_;
};

}  // namespace

std::size_t pattern_capacity(std::string_view list) noexcept {
  std::size_t count = 1;
  for (const char c : list) {
    if (c == ',') ++count;
  }
  return count;
}

ParsedPatterns parse_patterns(std::string_view list, std::size_t max_parts, char* storage,
                              Pattern* patterns) noexcept {
  Parser parser(list, max_parts > 1, storage);
  ParsedPatterns result;
  do {
    Pattern& pattern = patterns[result.count];
    pattern = Pattern{};
    do {
      if (pattern.part_count == max_parts) return {0, "a name has too many parts"};
      parser.skip_spaces();
      if (const char* problem = parser.part(pattern.parts[pattern.part_count])) {
        return {0, problem};
      }
      ++pattern.part_count;
      parser.skip_spaces();
    } while (parser.take('.'));
    ++result.count;
  } while (parser.take(','));
  if (!parser.at_end()) return {0, "a quote stands within a name"};
  return result;
}

bool part_matches(std::string_view part, std::string_view name) noexcept {
  std::size_t p = 0;
  std::size_t n = 0;
  // Where to take up again when what follows the last wildcard does not fit.
  std::size_t after_wildcard = std::string_view::npos;
  std::size_t retry_from = 0;
  while (n < name.size()) {
    if (p < part.size() && part[p] == kAny) {
      after_wildcard = ++p;
      retry_from = n;
    } else if (p < part.size() && part[p] == name[n]) {
      ++p;
      ++n;
    } else if (after_wildcard != std::string_view::npos) {
      p = after_wildcard;
      n = ++retry_from;
    } else {
      return false;
    }
  }
  while (p < part.size() && part[p] == kAny) ++p;
  return p == part.size();
}

bool matches_table(const Pattern& pattern, std::string_view schema,
                   std::string_view table) noexcept {
  if (pattern.part_count == 2) {
    return part_matches(pattern.parts[0], schema) && part_matches(pattern.parts[1], table);
  }
  const std::string_view part = pattern.parts[0];
  if (part == std::string_view(&kAny, 1)) return true;
  return schema == "public" && part_matches(part, table);
}

bool matches_column(const Pattern& pattern, std::string_view schema, std::string_view table,
                    std::string_view column) noexcept {
  switch (pattern.part_count) {
    case 1:
      return part_matches(pattern.parts[0], column);
    case 2:
      return schema == "public" && part_matches(pattern.parts[0], table) &&
             part_matches(pattern.parts[1], column);
    default:
      return part_matches(pattern.parts[0], schema) && part_matches(pattern.parts[1], table) &&
             part_matches(pattern.parts[2], column);
  }
}

}  // namespace deltaflood
