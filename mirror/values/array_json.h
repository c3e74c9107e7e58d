// PostgreSQL's array text, `{1,2,NULL}`, as JSON.
#pragma once

#include <string>
#include <string_view>

#include "values/types.h"

namespace deltamirror {

// Appends to `out`. Elements become JSON numbers and booleans where that is exact (TYPES.md), else
// strings; NULL is null. Throws ProtocolError where `text` is no array.
void array_to_json(std::string& out, std::string_view text, const ColumnType& type);

// Appends `text` as a JSON string, spelt as PostgreSQL's to_json() spells it.
void append_json_string(std::string& out, std::string_view text);

}  // namespace deltamirror
