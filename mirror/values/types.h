// PostgreSQL's values as SQLite's: the one definition that seed and replay share (TYPES.md).
//
//   PostgreSQL                                  SQLite    as
//   smallint integer bigint oid cid xid         INTEGER
//   boolean                                     INTEGER   1, 0
//   real, double precision                      REAL      NaN is TEXT 'NaN'; -0.0 reads as 0.0
//   numeric(p <= 15, s > 0)                     REAL      at scale s the same digits; NaN is TEXT
//   'NaN' numeric(p, s <= 0), of at most 18 digits    INTEGER   NaN is TEXT 'NaN' other numerics
//   TEXT      exact, with its scale; as a number in
//                                                         NAME_num (store/number_columns.h)
//   money                                       TEXT
//   bytea                                       BLOB
//   timestamp, timestamptz                      TEXT      2026-11-21 10:15:04.5, always UTC
//   date, time, timetz, interval                TEXT      as PostgreSQL writes them (ISO)
//   json, jsonb                                 TEXT      as PostgreSQL writes them
//   arrays                                      TEXT      JSON
//   everything else                             TEXT      the type's output function
//
// Infinite and BC dates stay as PostgreSQL writes them; so does an array whose bounds do not begin
// at 1. No declared type is ever PostgreSQL's: SQLite would derive an affinity that changes values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "model/shape.h"
#include "sqlite/sqlite.h"

namespace deltamirror {

enum class Kind : std::uint8_t {
  Integer,
  Bool,
  Real,
  Text,  // the text as it is
  Blob,
  TimestampTz,  // `+00` goes away
  Whole,        // a number without a fraction, or the text NaN
  Decimal,      // an exact decimal number, as text
};

struct ColumnType {
  Kind kind = Kind::Text;  // of an array: its elements'
  bool array = false;
  char delimiter = ',';

  bool operator==(const ColumnType&) const = default;
  std::string_view declared() const noexcept;  // TEXT, INTEGER, REAL or BLOB
};

// The types of a database that are not PostgreSQL's own, as far as we must look through them:
// domains, by their name as format_type spells it, with what they are based on. Other types of
// users (enums, composites, ranges, extensions') have an empty base. Arrays are looked through by
// name; only those whose elements are not separated by commas are here, with what separates them.
class TypeNames {
 public:
  void add(std::string name, std::string base) {
    bases_.insert_or_assign(std::move(name), std::move(base));
  }
  // What the types of a table are when its schema line is read: a name may be another type's than
  // before.
  // Returns whether anything is not as it was known.
  bool take(const ValueFacts& facts);
  const std::map<std::string, std::string, std::less<>>& all() const noexcept { return bases_; }

  // What a column of the type that format_type spells `name` becomes. nullopt: a user's type that
  // we have not heard of; it may be a domain, so guessing TEXT could be wrong.
  std::optional<ColumnType> resolve(std::string_view name) const;
  // The type below all domains, without its modifier: `numeric(10,2)` is `numeric`.
  std::string underlying(std::string_view name) const;
  // How many digits stand behind the point in all values of the type: of a numeric with a modifier.
  std::optional<int> scale(std::string_view name) const;

 private:
  // The type below all domains, with its modifier.
  std::string below_domains(std::string_view name) const;
  // What is known of a qualified name, with or without its modifier; nullptr: nothing.
  const std::string* base_of(std::string_view name) const;

  std::map<std::string, std::string, std::less<>> bases_;
};

// A configured type for one column: `text`, `integer`, `real`, `blob`. nullopt: no such word.
std::optional<ColumnType> type_named(std::string_view word);

// A SQLite value. `bytes` borrows the text that was converted, or `scratch`.
struct Value {
  enum class Type : std::uint8_t { Null, Integer, Real, Text, Blob };
  Type type = Type::Null;
  std::int64_t integer = 0;
  double real = 0;
  std::string_view bytes;

  static Value of_integer(std::int64_t number) noexcept { return {Type::Integer, number, 0, {}}; }
  // These borrow `bytes`.
  static Value of_text(std::string_view bytes) noexcept { return {Type::Text, 0, 0, bytes}; }
  static Value of_blob(std::string_view bytes) noexcept { return {Type::Blob, 0, 0, bytes}; }

  void bind_to(Statement& statement, int index) const;  // borrows
  void copy_to(Statement& statement, int index) const;
};
// As SQLite has it; borrows its bytes.
Value value_of(sqlite3_value* stored);

// A value of `column` is none of the type `word`, which was asked for. Throws NeedsPerson.
[[noreturn]] void does_not_fit(const std::string& column, const std::string& word);

// `text`: what the type's output function gave, under the plugin's fixed settings. Throws
// ProtocolError where it is no such text.
Value convert(const ColumnType& type, std::string_view text, std::string& scratch);

}  // namespace deltamirror
