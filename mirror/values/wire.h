// PostgreSQL's binary values: what COPY (FORMAT binary) sends for the types that we decode
// ourselves.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "values/types.h"

namespace deltamirror {

// How a column is fetched. Text: its type's output function, `format('%s', c)`; all others: the
// type's send function.
enum class Wire : std::uint8_t {
  Text,
  Int2,
  Int4,
  Int8,
  Unsigned4,  // oid, xid, cid
  Bool,
  Float8,
  Numeric,
  String,  // text, varchar, character, name, json: as Text, but the server need not call format()
  Jsonb,
  Bytea,
  Uuid,
  Date,
  Time,
  Timestamp,
  TimestampTz,
};

// For a column of the type that format_type spells `name`, which becomes `target`. Text where the
// type is not one of those above, or where another type than its usual one was asked for. Not
// float4: which decimal stands for it, PostgreSQL says.
Wire wire_of(const TypeNames& types, std::string_view name, const ColumnType& target);

// The same as convert() makes of the output function's text. `bytes`, or `scratch`, is borrowed.
// Throws ProtocolError where `bytes` is no such value.
Value decode(Wire wire, const ColumnType& target, std::string_view bytes, std::string& scratch);

}  // namespace deltamirror
