// Whether stored values of a column read as they did, once its type is another or is made of other
// things.
//
// PostgreSQL rewrites a table's rows, and writes them again, only where their bytes change. Where
// it does not the same bytes may still read otherwise: a cidr as an inet, an enum's value under its
// new label, a composite's without an attribute, a value of a type that was made again under the
// old name. What is not known to read the same is taken to read otherwise.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/shape.h"

namespace deltamirror {

// Empty: values of `from`, of a table whose facts were `from_facts`, read the same as `to` with
// `to_facts`. Else what a person should know of it.
std::string other_meaning(const SourceColumn& from, const ValueFacts& from_facts,
                          const SourceColumn& to, const ValueFacts& to_facts);

// The same for all columns that both shapes have.
std::string other_meaning(const Shape& from, const ValueFacts& from_facts, const Shape& to,
                          const ValueFacts& to_facts);

// `timestamp(3) with time zone` → `timestamp with time zone`.
std::string without_modifier(std::string_view name);

// A type as `_type_OID` says it.
struct TypeFact {
  std::string kind;                                       // enum, domain, array, range…
  std::uint32_t base = 0;                                 // what it is made of, if of one
  std::vector<std::pair<int, std::uint32_t>> attributes;  // of a composite
  int typmod = -1;                                        // of what a domain is based on; -1: none
  char delimiter = ',';
  std::string name;  // as format_type spells it
};
// Throws ProtocolError.
TypeFact parse_type_fact(std::string_view text);
// nullopt where the facts have none of `oid`.
std::optional<TypeFact> type_fact(const ValueFacts& facts, std::uint32_t oid);

}  // namespace deltamirror
