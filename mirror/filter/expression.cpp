#include "filter/expression.h"

#include <fmt/format.h>

#include <cctype>
#include <optional>
#include <utility>

#include "daystream/error.h"
#include "model/joined.h"
#include "model/names.h"
#include "program/postgres.h"

namespace deltamirror {

using daystream::ConfigError;

namespace {

struct Token {
  enum class Kind { End, Word, Name, Text, Number, Sign };
  Kind kind = Kind::End;
  std::string text;  // a word in lower case; names and texts without quotes
  std::size_t at = 0;
};

constexpr int kMostDepth = 100;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) { advance(); }

  FilterNode parse() {
    FilterNode node = either();
    if (now_.kind != Token::Kind::End) fail("AND or OR");
    return node;
  }

 private:
  [[noreturn]] void fail(std::string_view wanted) const {
    throw ConfigError(
        fmt::format("where, at character {}: {} expected, not {}", now_.at + 1, wanted,
                    now_.kind == Token::Kind::End
                        ? "the end"
                        : "\"" + std::string(text_.substr(now_.at, at_ - now_.at)) + "\""),
        "columns, literals, = <> < <= > >=, IS [NOT] NULL, IN, BETWEEN, LIKE, AND, OR, NOT and "
        "parentheses are known; compute the rest in a column of the table");
  }

  bool is_word(const char* word) const {
    return now_.kind == Token::Kind::Word && now_.text == word;
  }
  bool is_sign(const char* sign) const {
    return now_.kind == Token::Kind::Sign && now_.text == sign;
  }
  bool take_word(const char* word) {
    if (!is_word(word)) return false;
    advance();
    return true;
  }
  bool take_sign(const char* sign) {
    if (!is_sign(sign)) return false;
    advance();
    return true;
  }

  void advance() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    now_ = {};
    now_.at = at_;
    if (at_ == text_.size()) return;
    const char c = text_[at_];
    if (c == '\'' || c == '"') {
      now_.kind = c == '"' ? Token::Kind::Name : Token::Kind::Text;
      quoted(c);
    } else if (is_digit(c) || ((c == '-' || c == '.') && at_ + 1 < text_.size() &&
                               (is_digit(text_[at_ + 1]) || text_[at_ + 1] == '.'))) {
      now_.kind = Token::Kind::Number;
      do {
        now_.text += text_[at_++];
      } while (at_ < text_.size() && (is_digit(text_[at_]) || text_[at_] == '.' ||
                                      text_[at_] == 'e' || text_[at_] == 'E'));
    } else if (is_name(c)) {
      now_.kind = Token::Kind::Word;
      while (at_ < text_.size() && is_name(text_[at_])) now_.text += text_[at_++];
      now_.text = folded(now_.text);
    } else {
      now_.kind = Token::Kind::Sign;
      now_.text = text_[at_++];
      const bool two = at_ < text_.size() && (c == '<' || c == '>' || c == '!') &&
                       (text_[at_] == '=' || (c == '<' && text_[at_] == '>'));
      if (two) now_.text += text_[at_++];
    }
  }
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool is_name(char c) {
    return c == '_' || c == '$' || std::isalnum(static_cast<unsigned char>(c)) ||
           static_cast<unsigned char>(c) >= 0x80;
  }
  void quoted(char quote) {
    for (++at_;; ++at_) {
      if (at_ >= text_.size()) {
        at_ = text_.size();
        fail("the closing quote");
      }
      if (text_[at_] == quote) {
        if (at_ + 1 >= text_.size() || text_[at_ + 1] != quote) break;
        ++at_;
      }
      now_.text += text_[at_];
    }
    ++at_;
  }

  FilterNode joined(FilterNode::Kind kind, const char* word, FilterNode (Parser::*part)()) {
    FilterNode first = (this->*part)();
    if (!is_word(word)) return first;
    FilterNode node{.kind = kind};
    node.parts.push_back(std::move(first));
    while (take_word(word)) node.parts.push_back((this->*part)());
    return node;
  }
  FilterNode either() { return joined(FilterNode::Kind::Or, "or", &Parser::both); }
  FilterNode both() { return joined(FilterNode::Kind::And, "and", &Parser::negation); }

  static FilterNode negated(FilterNode of, bool negate = true) {
    if (!negate) return of;
    FilterNode node{.kind = FilterNode::Kind::Not};
    node.parts.push_back(std::move(of));
    return node;
  }
  FilterNode negation() {
    if (++depth_ > kMostDepth) fail("an end of so many levels");
    FilterNode node;
    if (take_word("not")) {
      node = negated(negation());
    } else if (take_sign("(")) {
      node = either();
      if (!take_sign(")")) fail("\")\"");
    } else {
      node = test();
    }
    --depth_;
    return node;
  }

  std::optional<FilterLiteral> literal() {
    FilterLiteral out{.text = now_.text};
    if (now_.kind == Token::Kind::Text) {
      out.kind = FilterLiteral::Kind::Text;
    } else if (now_.kind == Token::Kind::Number) {
      out.kind = FilterLiteral::Kind::Number;
    } else if (is_word("true") || is_word("false")) {
      out.kind = is_word("true") ? FilterLiteral::Kind::True : FilterLiteral::Kind::False;
    } else if (is_word("null")) {
      throw ConfigError("where: nothing is ever = NULL", "write IS NULL or IS NOT NULL");
    } else {
      return std::nullopt;
    }
    advance();
    return out;
  }
  FilterLiteral required_literal() {
    auto out = literal();
    if (!out) fail("a literal");
    return *out;
  }
  std::string column() {
    static constexpr const char* kWords[] = {"and",  "or",      "not",  "in",   "is",
                                             "like", "between", "null", "true", "false"};
    bool is_column = now_.kind == Token::Kind::Name || now_.kind == Token::Kind::Word;
    for (const char* word : kWords) is_column = is_column && !is_word(word);
    if (!is_column) fail("a column");
    std::string name = now_.text;
    advance();
    return name;
  }
  std::optional<Comparison> comparison() {
    static constexpr std::pair<const char*, Comparison> kSigns[] = {
        {"=", Comparison::Equal},          {"<>", Comparison::NotEqual},
        {"!=", Comparison::NotEqual},      {"<", Comparison::Less},
        {"<=", Comparison::LessOrEqual},   {">", Comparison::Greater},
        {">=", Comparison::GreaterOrEqual}};
    for (const auto& [sign, meaning] : kSigns) {
      if (take_sign(sign)) return meaning;
    }
    return std::nullopt;
  }
  static Comparison mirrored(Comparison c) {
    switch (c) {
      case Comparison::Less:
        return Comparison::Greater;
      case Comparison::LessOrEqual:
        return Comparison::GreaterOrEqual;
      case Comparison::Greater:
        return Comparison::Less;
      case Comparison::GreaterOrEqual:
        return Comparison::LessOrEqual;
      default:
        return c;
    }
  }
  static FilterNode compare(Comparison c, std::string column, FilterLiteral literal) {
    FilterNode node{.kind = FilterNode::Kind::Compare, .comparison = c};
    node.columns.push_back(std::move(column));
    node.literals.push_back(std::move(literal));
    return node;
  }
  // Each of these from behind its first word.
  FilterNode is_null(std::string column) {
    const bool negate = take_word("not");
    if (!take_word("null")) fail("NULL");
    FilterNode node{.kind = FilterNode::Kind::IsNull};
    node.columns = {std::move(column)};
    return negated(std::move(node), negate);
  }
  FilterNode between(const std::string& column) {
    FilterNode node{.kind = FilterNode::Kind::And};
    node.parts.push_back(compare(Comparison::GreaterOrEqual, column, required_literal()));
    if (!take_word("and")) fail("AND");
    node.parts.push_back(compare(Comparison::LessOrEqual, column, required_literal()));
    return node;
  }
  FilterNode in(std::string column) {
    FilterNode node{.kind = FilterNode::Kind::In};
    node.columns = {std::move(column)};
    if (!take_sign("(")) fail("\"(\"");
    do {
      node.literals.push_back(required_literal());
    } while (take_sign(","));
    if (!take_sign(")")) fail("\",\" or \")\"");
    return node;
  }
  FilterNode like(std::string column) {
    FilterNode node{.kind = FilterNode::Kind::Like};
    node.columns = {std::move(column)};
    node.literals = {required_literal()};
    return node;
  }

  FilterNode test() {
    if (auto first = literal()) {
      const auto sign = comparison();
      if (!sign) fail("a comparison");
      return compare(mirrored(*sign), column(), std::move(*first));
    }
    std::string name = column();
    if (const auto sign = comparison()) {
      if (auto second = literal()) return compare(*sign, std::move(name), std::move(*second));
      FilterNode node{.kind = FilterNode::Kind::Compare, .comparison = *sign};
      node.columns = {std::move(name), column()};
      return node;
    }
    if (take_word("is")) return is_null(std::move(name));
    const bool negate = take_word("not");
    if (take_word("between")) return negated(between(name), negate);
    if (take_word("in")) return negated(in(std::move(name)), negate);
    if (take_word("like")) return negated(like(std::move(name)), negate);
    if (negate) fail("BETWEEN, IN or LIKE");
    FilterNode node{.kind = FilterNode::Kind::Column};
    node.columns = {std::move(name)};
    return node;
  }

  std::string_view text_;
  std::size_t at_ = 0;  // behind now_
  Token now_;
  int depth_ = 0;
};

std::string literal_text(const FilterLiteral& literal) {
  switch (literal.kind) {
    case FilterLiteral::Kind::Number:
      return literal.text;
    case FilterLiteral::Kind::True:
      return "TRUE";
    case FilterLiteral::Kind::False:
      return "FALSE";
    case FilterLiteral::Kind::Text:
      break;
  }
  std::string out = "'";
  for (const char c : literal.text) out += c == '\'' ? "''" : std::string(1, c);
  return out + "'";
}

}  // namespace

FilterNode parse_filter(std::string_view text) {
  return Parser(text).parse();
}

std::string_view comparison_text(Comparison comparison) noexcept {
  switch (comparison) {
    case Comparison::Equal:
      return "=";
    case Comparison::NotEqual:
      return "<>";
    case Comparison::Less:
      return "<";
    case Comparison::LessOrEqual:
      return "<=";
    case Comparison::Greater:
      return ">";
    case Comparison::GreaterOrEqual:
      return ">=";
  }
  return "";
}

std::string sql_text(std::string_view text) {
  std::string out = text.find('\\') == std::string_view::npos ? "'" : "E'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += c;
    out += c;
  }
  return out + "'";
}

std::string FilterNode::text() const {
  const auto name = [&](std::size_t i) {
    return daystream::program::quote_identifier(columns.at(i));
  };
  std::string out;
  switch (kind) {
    case Kind::And:
    case Kind::Or:
      return "(" + joined(parts, kind == Kind::And ? " AND " : " OR ", &FilterNode::text) + ")";
    case Kind::Not:
      return "(NOT " + parts.at(0).text() + ")";
    case Kind::Compare:
      return fmt::format("{} {} {}", name(0), comparison_text(comparison),
                         literals.empty() ? name(1) : literal_text(literals[0]));
    case Kind::In:
      return fmt::format("{} IN ({})", name(0), joined(literals, ", ", literal_text));
    case Kind::Like:
      return fmt::format("{} LIKE {}", name(0), literal_text(literals.at(0)));
    case Kind::IsNull:
      return name(0) + " IS NULL";
    case Kind::Column:
      return name(0);
  }
  return out;
}

}  // namespace deltamirror
