// A line of a daystream, its fields and its escapes.
#include "daystream/line.h"

#include <string>

#include "daystream/error.h"
#include "daystream/position.h"
#include "line_prefix.h"
#include "target.h"

using namespace daystream;

namespace {

void check_escapes(std::string_view text) {
  std::string escaped;
  escape_to(escaped, text);
  fuzz::require(unescape(escaped) == text, "an escaped text is read as what it was");
  fuzz::require(escaped != kNull, "no text is taken for NULL");
  fuzz::require(escaped.find_first_of("\t\n\r") == std::string::npos, "no text ends its field");
  try {
    std::string again;
    escape_to(again, unescape(text));
    fuzz::require(unescape(again) == unescape(text), "what was read can be written");
  } catch (const ProtocolError&) {
  }
}

void check_change(std::string_view body) {
  try {
    const Change change = parse_change(body);
    for (const std::string_view part : {change.table, change.leading_fields, change.columns,
                                        change.identity, change.primary_key, change.identity_key}) {
      fuzz::require(fuzz::lies_in(part, body), "what a line says points into it");
    }
    fuzz::require(action_named(action_name(change.action)) == change.action, "a verb has a name");
    if (change.next) widen_xid(change.xid, *change.next);
    std::string_view key;
    std::string_view value;
    for (FieldCursor fields{change.columns}; fields.next(key, value);) {
      fuzz::require(fuzz::lies_in(key, body) && fuzz::lies_in(value, body), "so do its fields");
    }
  } catch (const ProtocolError&) {
  }
}

void check_numbers(std::string_view text) {
  if (const auto position = Position::parse(text)) {
    fuzz::require(Position::parse(position->text()) == position, "a position is what it says");
    position->day();
  }
  if (const auto lsn = Lsn::parse(text)) {
    fuzz::require(Lsn::parse(lsn->text()) == lsn, "an LSN is what it says");
  }
}

}  // namespace

FUZZ_TARGET(line) {
  check_escapes(input);
  check_change(input);
  check_numbers(input);
  const auto prefix = parse_prefix(input);
  if (!prefix) return;
  fuzz::require(prefix->size <= input.size(), "a prefix is part of its line");
  LinePrefix counted(prefix->position);
  fuzz::require(parse_prefix(counted.view())->position == prefix->position,
                "a prefix is written as it is read");
  check_change(input.substr(prefix->size));
}
