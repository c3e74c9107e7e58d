#include "values/types.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "model/meaning.h"
#include "values/array_json.h"

namespace deltamirror {

namespace {

struct BuiltIn {
  std::string_view name;  // without its modifier
  Kind kind;
};

// Only what is not plain text. Names are format_type's, with `(…)` taken out.
constexpr BuiltIn kBuiltIn[] = {
    {"smallint", Kind::Integer},
    {"integer", Kind::Integer},
    {"bigint", Kind::Integer},
    {"oid", Kind::Integer},
    {"xid", Kind::Integer},
    {"cid", Kind::Integer},
    {"boolean", Kind::Bool},
    {"real", Kind::Real},
    {"double precision", Kind::Real},
    {"bytea", Kind::Blob},
    {"timestamp with time zone", Kind::TimestampTz},
};

struct Modifier {
  int precision = 0;  // how many digits at most
  int scale = 0;      // how many of them behind the point; negative: so many zeros before it
};

// Of `numeric(10,2)`; nullopt: any number of digits.
std::optional<Modifier> numeric_modifier(std::string_view name) {
  const std::size_t open = name.find('(');
  if (open == std::string_view::npos) return std::nullopt;
  const char* const end = name.data() + name.size();
  Modifier out;
  const auto precision = std::from_chars(name.data() + open + 1, end, out.precision);
  if (precision.ec != std::errc()) return std::nullopt;
  if (precision.ptr != end && *precision.ptr == ',') {
    std::from_chars(precision.ptr + 1, end, out.scale);
  }
  return out;
}

// As typtypmod has it (numeric_typmod_precision and _scale of PostgreSQL's numeric.c).
std::string numeric_name(int typmod) {
  const int bits = typmod - 4;
  return fmt::format("numeric({},{})", bits >> 16 & 0xffff, ((bits & 0x7ff) ^ 1024) - 1024);
}

// A double keeps any 15 digits, and an INTEGER any 18. (Nearer to the ends of its range a double
// keeps fewer.) What may have more stays text.
Kind numeric_kind(std::string_view name) {
  const auto modifier = numeric_modifier(name);
  if (!modifier) return Kind::Decimal;
  if (modifier->scale <= 0) {
    return modifier->precision - modifier->scale <= 18 ? Kind::Whole : Kind::Decimal;
  }
  return modifier->precision <= 15 && modifier->scale <= 100 ? Kind::Real : Kind::Decimal;
}

// A type outside pg_catalog is spelt with its schema, as search_path is empty.
bool is_qualified(std::string_view name) noexcept {
  bool quoted = false;
  for (const char c : name) {
    if (c == '"') quoted = !quoted;
    if (c == '.' && !quoted) return true;
  }
  return false;
}

[[noreturn]] void bad_value(std::string_view what, std::string_view text) {
  throw daystream::ProtocolError(
      fmt::format("a value of {} bytes is not {} as PostgreSQL writes it", text.size(), what));
}

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Value integer_value(std::string_view text) {
  Value value = Value::of_integer(0);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value.integer);
  if (error != std::errc() || end != text.data() + text.size()) bad_value("an integer", text);
  return value;
}

Value bool_value(std::string_view text) {
  // COPY says t and f, the plugin's convert-bool 1 and 0.
  if (text == "t" || text == "1") return Value::of_integer(1);
  if (text == "f" || text == "0") return Value::of_integer(0);
  bad_value("a boolean", text);
}

Value real_value(std::string_view text) {
  Value value;
  value.type = Value::Type::Real;
  if (text == "NaN") return Value::of_text(text);
  if (text == "Infinity" || text == "-Infinity") {
    value.real = std::numeric_limits<double>::infinity();
    if (text.front() == '-') value.real = -value.real;
    return value;
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value.real);
  if (error != std::errc() || end != text.data() + text.size()) bad_value("a number", text);
  return value;
}

Value blob_value(std::string_view text, std::string& scratch) {
  if (!text.starts_with("\\x") || text.size() % 2 != 0) bad_value("bytea in hex", text);
  scratch.resize((text.size() - 2) / 2);
  for (std::size_t i = 0; i < scratch.size(); ++i) {
    const int high = hex_digit(text[2 + 2 * i]);
    const int low = hex_digit(text[3 + 2 * i]);
    if (high < 0 || low < 0) bad_value("bytea in hex", text);
    scratch[i] = static_cast<char>(high << 4 | low);
  }
  Value value;
  value.type = Value::Type::Blob;
  value.bytes = scratch;
  return value;
}

}  // namespace

std::string_view ColumnType::declared() const noexcept {
  if (array) return "TEXT";
  switch (kind) {
    case Kind::Integer:
    case Kind::Bool:
    case Kind::Whole:
      return "INTEGER";
    case Kind::Real:
      return "REAL";
    case Kind::Blob:
      return "BLOB";
    case Kind::Text:
    case Kind::TimestampTz:
    case Kind::Decimal:
      return "TEXT";
  }
  return "TEXT";
}

bool TypeNames::take(const ValueFacts& facts) {
  bool changed = false;
  const auto learn = [&](const std::string& name, const std::string& base) {
    const auto known = bases_.find(name);
    if (known != bases_.end() && known->second == base) return;
    changed = true;
    add(name, base);
  };
  for (const auto& [key, value] : facts) {
    if (!key.starts_with("_type_")) continue;
    const TypeFact type = parse_type_fact(value);
    if (type.kind == "array") {
      const bool known = bases_.contains(type.name);
      if (known || type.delimiter != ',') learn(type.name, std::string(1, type.delimiter));
      continue;
    }
    const auto base = type.kind == "domain" ? type_fact(facts, type.base) : std::nullopt;
    std::string below = base ? base->name : std::string();
    if (below == "numeric" && type.typmod >= 0) below = numeric_name(type.typmod);
    if (is_qualified(type.name)) learn(type.name, below);
  }
  return changed;
}

std::optional<ColumnType> TypeNames::resolve(std::string_view name) const {
  if (name.ends_with("[]")) {
    const auto element = resolve(name.substr(0, name.size() - 2));
    if (!element) return std::nullopt;
    // Elements that are arrays themselves exist only through domains; each is then a JSON string.
    ColumnType array = element->array ? ColumnType{} : *element;
    array.array = true;
    const std::string* const delimiter = base_of(name);
    array.delimiter = delimiter != nullptr && delimiter->size() == 1 ? delimiter->front() : ',';
    if (name == "box[]") array.delimiter = ';';
    return array;
  }
  if (is_qualified(name)) {
    const std::string* const base = base_of(name);
    if (base == nullptr) return std::nullopt;
    return base->empty() ? ColumnType{} : resolve(*base);
  }
  const std::string plain = without_modifier(name);
  if (plain == "numeric") return ColumnType{.kind = numeric_kind(name)};
  for (const BuiltIn& type : kBuiltIn) {
    if (type.name == plain) return ColumnType{.kind = type.kind};
  }
  return ColumnType{};
}

const std::string* TypeNames::base_of(std::string_view name) const {
  auto found = bases_.find(name);
  if (found == bases_.end()) found = bases_.find(without_modifier(name));
  return found == bases_.end() ? nullptr : &found->second;
}

std::string TypeNames::below_domains(std::string_view name) const {
  if (is_qualified(name) && !name.ends_with("[]")) {
    const std::string* const base = base_of(name);
    if (base != nullptr && !base->empty()) return below_domains(*base);
  }
  return std::string(name);
}

std::string TypeNames::underlying(std::string_view name) const {
  return without_modifier(below_domains(name));
}

std::optional<int> TypeNames::scale(std::string_view name) const {
  const std::string below = below_domains(name);
  if (without_modifier(below) != "numeric") return std::nullopt;
  const auto modifier = numeric_modifier(below);
  return modifier ? std::optional(std::max(modifier->scale, 0)) : std::nullopt;
}

std::optional<ColumnType> type_named(std::string_view word) {
  if (word == "text") return ColumnType{.kind = Kind::Text};
  if (word == "integer") return ColumnType{.kind = Kind::Integer};
  if (word == "real") return ColumnType{.kind = Kind::Real};
  if (word == "blob") return ColumnType{.kind = Kind::Blob};
  return std::nullopt;
}

void Value::bind_to(Statement& statement, int index) const {
  switch (type) {
    case Type::Null:
      return statement.bind_null(index);
    case Type::Integer:
      return statement.bind(index, integer);
    case Type::Real:
      return statement.bind(index, real);
    case Type::Text:
      return statement.bind_static_text(index, bytes);
    case Type::Blob:
      return statement.bind_static_blob(index, bytes);
  }
}

void Value::copy_to(Statement& statement, int index) const {
  if (type == Type::Text) return statement.bind(index, bytes);
  if (type == Type::Blob) return statement.bind_blob(index, bytes);
  bind_to(statement, index);
}

void does_not_fit(const std::string& column, const std::string& word) {
  throw daystream::NeedsPerson(
      fmt::format("column \"{}\" is {} here, as \"types\" says, and has a value that is not",
                  column, word),
      "give it another type in \"types\", or none: its own holds all of its values");
}

Value convert(const ColumnType& type, std::string_view text, std::string& scratch) {
  if (type.array) {
    // Bounds that do not begin at 1 have no place in JSON: `[0:1]={1,2}` stays.
    if (!text.starts_with('{')) return Value::of_text(text);
    scratch.clear();
    array_to_json(scratch, text, type);
    return Value::of_text(scratch);
  }
  switch (type.kind) {
    case Kind::Whole:
      return text == "NaN" ? Value::of_text(text) : integer_value(text);
    case Kind::Integer:
      return integer_value(text);
    case Kind::Bool:
      return bool_value(text);
    case Kind::Real:
      return real_value(text);
    case Kind::Blob:
      return blob_value(text, scratch);
    case Kind::TimestampTz:
      // What ends otherwise is infinite or BC.
      return Value::of_text(text.ends_with("+00") ? text.substr(0, text.size() - 3) : text);
    case Kind::Text:
    case Kind::Decimal:
      break;
  }
  return Value::of_text(text);
}

Value value_of(sqlite3_value* stored) {
  const auto bytes = [&] {
    const auto* const data = static_cast<const char*>(sqlite3_value_blob(stored));
    const auto size = static_cast<std::size_t>(sqlite3_value_bytes(stored));
    return std::string_view(data == nullptr ? "" : data, size);
  };
  switch (sqlite3_value_type(stored)) {
    case SQLITE_INTEGER:
      return Value::of_integer(sqlite3_value_int64(stored));
    case SQLITE_FLOAT:
      return {Value::Type::Real, 0, sqlite3_value_double(stored), {}};
    case SQLITE_TEXT:
      return Value::of_text(bytes());
    case SQLITE_BLOB:
      return Value::of_blob(bytes());
    default:
      return {};
  }
}

}  // namespace deltamirror
