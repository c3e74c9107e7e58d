// Rows of COPY … TO STDOUT in text format.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace deltamirror {

struct CopyField {
  bool null = false;
  std::string_view text;  // without escapes
};

// Takes one row apart, in place: `row` (with or without its newline) is overwritten and the fields
// borrow it. Throws ProtocolError on an escape that COPY does not write.
void split_copy_row(char* row, std::size_t size, std::vector<CopyField>& fields);

}  // namespace deltamirror
