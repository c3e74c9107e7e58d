// What a table is at a place of the stream, as rows of the table deltaflood.ddl tell it
// (sql/deltaflood_managed.sql): all that a schema line says, and more than pgoutput does.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pgoutput/message.h"
#include "src/untold.h"

namespace deltastream::pgoutput {

inline constexpr std::uint32_t kBoolType = 16;  // boolean's OID

struct ShapeColumn {
  int number = 0;
  std::string name;
  std::string type;  // as format_type() spells it
  std::uint32_t type_oid = 0;
  std::int32_t typmod = -1;
  bool not_null = false;
  bool generated = false;              // and stored
  std::optional<std::string> missing;  // what rows that were there before it take for it
};

// A type that is not PostgreSQL's own for good, or that such a one is made of.
struct ShapeType {
  std::string is;  // what `_type_OID` says
  std::vector<std::uint32_t> made_of;
  std::vector<std::pair<std::uint32_t, std::string>> labels;  // of an enum
};

struct Shape {
  std::uint32_t oid = 0;
  std::uint32_t root = 0;  // the topmost table that it is a partition of; 0: it is none
  char kind = 'r';         // as pg_class.relkind
  char persistence = 'p';  // as pg_class.relpersistence
  char identity = 'd';     // as pg_class.relreplident
  bool published = true;   // with all of its changes, and not only a partition of it
  std::string schema;
  std::string table;
  std::string line_name;  // what lines call it, unescaped
  std::vector<int> primary_key;
  std::vector<int> identity_key;
  std::vector<ShapeColumn> columns;
  std::map<std::uint32_t, ShapeType> types;

  // Whether its changes are in the stream: a permanent table with rows of its own.
  bool is_told() const noexcept { return kind == 'r' && persistence == 'p' && published; }
};

// Why `publication` does not tell all changes of a table whose document has these `publications`
// (JSON): the one place that decides it. nullopt: it does. Throws ProtocolError.
std::optional<daystream::Untold> why_untold(std::string_view publications,
                                            const std::string& publication);

// As `publication` has it. Throws ProtocolError where that is no shape.
Shape parse_shape(std::uint32_t oid, std::string_view json, const std::string& publication);

// A schema line from `_oid` on. Of the columns it lists those that pgoutput sends: generated ones
// only where `sent` has them.
std::string schema_fields(const Shape& shape, const Relation* sent);

// The generated columns of it, of which lines have values only where the server sends them.
std::vector<int> generated_columns(const Shape& shape);
// Whether a column is an ordinary one now which was a generated one: rows have its values, but no
// line did.
bool has_come_to_be_told(const Shape& before, const Shape& now);

// Why the server's own description of a table is not that shape; empty: it is.
std::string difference(const Shape& shape, const Relation& sent);

}  // namespace deltastream::pgoutput
