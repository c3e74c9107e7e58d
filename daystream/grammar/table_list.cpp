#include "grammar/table_list.h"

namespace grammar {

namespace {

constexpr std::string_view kEverything(&kAny, 1);
constexpr std::string_view kPublic = "public";

constexpr bool is_space(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// As SQL folds names that are not quoted: ASCII letters only, which is all that the server folds in
// UTF-8.
constexpr char folded(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

class Parser {
 public:
  Parser(std::string_view list, bool names, char* storage) noexcept
      : rest_(list), names_(names), storage_(storage) {}

  std::string_view rest() const noexcept { return rest_; }
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
      if (c == ',' || c == '"') break;
      if (names_ && (c == '.' || is_space(c))) break;
      // Several wildcards in a row are one.
      if (c != '*') {
        *storage_++ = names_ ? folded(c) : c;
      } else if (storage_ == begin || storage_[-1] != kAny) {
        *storage_++ = kAny;
      }
      rest_.remove_prefix(1);
    }
    while (storage_ > begin && is_space(storage_[-1])) --storage_;
  }

  std::string_view rest_;
  bool names_;  // of SQL: they fold, and dots and spaces end a part
  char* storage_;
};

constexpr std::size_t most_parts(ListOf what) noexcept {
  switch (what) {
    case ListOf::Tables:
      return 2;
    case ListOf::Columns:
      return 3;
    case ListOf::Texts:
      break;
  }
  return 1;
}

// What was left out in front: a column alone is one of every table, `*` alone is every table; else
// a name without a schema is one of public, where `_table` prints a bare name as well.
Pattern completed(const Pattern& given, std::size_t count, ListOf what) noexcept {
  const std::size_t most = most_parts(what);
  if (count == most) return given;
  Pattern whole;
  for (std::size_t i = 0; i < count; ++i) whole.parts[most - count + i] = given.parts[i];
  const bool everywhere = what == ListOf::Columns ? count == 1 : given.parts[0] == kEverything;
  whole.parts[0] = everywhere ? kEverything : kPublic;
  if (most - count == 2) whole.parts[1] = kEverything;
  return whole;
}

}  // namespace

std::size_t pattern_capacity(std::string_view list) noexcept {
  std::size_t count = 1;
  for (const char c : list) {
    if (c == ',') ++count;
  }
  return count;
}

ParsedList parse_list(std::string_view list, ListOf what, char* storage,
                      Pattern* patterns) noexcept {
  const std::size_t most = most_parts(what);
  // A NUL would be taken for a wildcard, and can be in no name.
  if (list.find(kAny) != std::string_view::npos) return {0, "a name has a NUL"};
  Parser parser(list, what != ListOf::Texts, storage);
  ParsedList result;
  do {
    Pattern given;
    std::size_t count = 0;
    parser.skip_spaces();
    const std::string_view begin = parser.rest();
    std::string_view end;
    do {
      if (count == most) return {0, "a name has too many parts"};
      parser.skip_spaces();
      if (const char* problem = parser.part(given.parts[count])) return {0, problem};
      ++count;
      end = parser.rest();
      parser.skip_spaces();
    } while (most > 1 && parser.take('.'));
    Pattern& whole = patterns[result.count++];
    whole = completed(given, count, what);
    whole.text = begin.substr(0, begin.size() - end.size());
  } while (parser.take(','));
  if (!parser.at_end()) return {0, "a name with spaces or quotes within is not quoted as a whole"};
  return result;
}

bool parse_table_name(std::string_view name, char* storage, std::string_view& schema,
                      std::string_view& table) noexcept {
  if (name.find(kAny) != std::string_view::npos) return false;
  Parser parser(name, true, storage);
  schema = kPublic;
  if (parser.part(table) != nullptr) return false;
  if (parser.take('.')) {
    schema = table;
    if (parser.part(table) != nullptr) return false;
  }
  return parser.at_end() && schema.find(kAny) == std::string_view::npos &&
         table.find(kAny) == std::string_view::npos;
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
  return part_matches(pattern.parts[0], schema) && part_matches(pattern.parts[1], table);
}

bool matches_column(const Pattern& pattern, std::string_view schema, std::string_view table,
                    std::string_view column) noexcept {
  return matches_table(pattern, schema, table) && part_matches(pattern.parts[2], column);
}

// A wildcard is matched by a wildcard only: whatever it stands for, the wide one may.
bool covers_table(const Pattern& wide, const Pattern& narrow) noexcept {
  return matches_table(wide, narrow.parts[0], narrow.parts[1]);
}

}  // namespace grammar
