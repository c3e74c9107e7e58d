#include "apply/untold.h"

#include <fmt/format.h>

#include "apply/needs_reseed.h"
#include "daystream/error.h"

namespace deltamirror {

void throw_untold(const daystream::Change& change, const std::string& table,
                  const std::string& leave_out) {
  std::string_view key;
  std::string_view value;
  for (daystream::FieldCursor cursor{change.leading_fields}; cursor.next(key, value);) {
    if (key != "_untold") continue;
    throw daystream::NeedsPerson(fmt::format("changes of table {} are not in the stream: {}", table,
                                             daystream::unescape(value)),
                                 NeedsReseed::kCopyIt);
  }
  throw daystream::NeedsPerson(fmt::format("a row of table {} is too large for the stream", table),
                               leave_out);
}

}  // namespace deltamirror
