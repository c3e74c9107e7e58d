// How a line is shown: as it stands in the file, or as a JSON object.
#pragma once

#include <string>
#include <string_view>

#include "daystream/transaction.h"

namespace daystream::command {

enum class Format { Tsv, Json };

// Appends `line`, with its newline.
void format_line(std::string& out, Format format, const Line& line);

// One object a line: the keys before the verb as members, numbers where they are numbers, and the
// fields after it as "columns", a NULL as null. A byte that is not UTF-8 becomes \udcHH, a lone
// surrogate, as Python's "surrogateescape" reads and writes it: nothing is lost.
void format_json(std::string& out, const Line& line);

// A raw name or value as JSON: a string, or null.
void json_raw(std::string& out, std::string_view raw);

}  // namespace daystream::command
