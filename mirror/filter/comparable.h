// How PostgreSQL compares values of a type, for the types whose order we reproduce exactly from
// what a mirror holds of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "values/types.h"

namespace deltamirror {

//   type                               is compared
//   smallint integer bigint            as integers
//   boolean                            false < true
//   double precision                   as numbers; NaN = NaN, greater than all others
//   numeric                            as exact decimal numbers; Infinity, then NaN at the end
//   text, character varying            by their bytes, as COLLATE "C" does
//   character(n)                       the same, without the blanks at the end
//   uuid, bytea                        by their bytes
//   date, time, timestamp, timestamptz in time's order; -infinity first, infinity last
//   enums, inet, cidr, macaddr         equal if their text is
//
// Not: real (a decimal of the mirror is not the value), arrays, json, intervals and all else.
enum class Comparable : std::uint8_t {
  No,
  Integer,
  Boolean,
  Float,
  Numeric,
  Text,
  BlankPadded,
  TextForm,  // = and <> only
  Uuid,
  Bytea,
  Date,
  Time,
  Timestamp,
  TimestampTz,
};

// How a column compares whose type format_type spells `type`.
Comparable comparable_of(const TypeNames& types, std::string_view type);

// <0, 0, >0. Neither is NULL; both are as the mirror has values of the type.
int compare(Comparable type, const Value& a, const Value& b);

// What PostgreSQL's LIKE says of UTF-8, with \ as the escape.
bool is_like(std::string_view text, std::string_view pattern);

// A column's value for PostgreSQL to compare in the same way, under search_path '' (`name` is
// quoted).
std::string comparable_sql(Comparable type, const std::string& name);

}  // namespace deltamirror
