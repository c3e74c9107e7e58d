// The lines of one row: insert, update, delete, replace, oversize.
#pragma once

#include "options.h"
#include "output.h"
#include "relation.h"

namespace deltaflood {

// What every line of one transaction says after its table: `_xid N`, `_lsn X/Y`, as asked for.
struct TransactionFields {
  StringInfoData text;  // of room for kPadding more than it holds
};

struct RowWriter {
  const Options* options = nullptr;
  Encoding* encoding = nullptr;
  Output* output = nullptr;
  const TransactionFields* transaction_fields = nullptr;
};

// `_table T … _xid N`: how each line of a table begins.
void begin_row_line(StringInfo out, const RowWriter& writer, std::string_view table_fields);
// separator, key, separator; the value follows. The first writes what room was reserved for:
// key_room(), with a literal key no more than a few instructions.
inline std::size_t key_room(const Options& options, std::string_view key) noexcept {
  return 2 * options.separator.size() + key.size();
}
inline void put_separator(StringInfo out, const Options& options) noexcept {
  if (options.separator.size() == 1) {
    out->data[out->len++] = options.separator[0];
  } else {
    put(out, options.separator);
  }
}
inline void put_key(StringInfo out, const Options& options, std::string_view key) noexcept {
  put_separator(out, options);
  put(out, key);
  put_separator(out, options);
}
inline void append_key(StringInfo out, const Options& options, std::string_view key) {
  reserve(out, key_room(options, key));
  put_key(out, options, key);
}
inline void append_action(StringInfo out, const Options& options, std::string_view verb) {
  reserve(out, key_room(options, "_action") + verb.size());
  put_key(out, options, "_action");
  put(out, verb);
}

// Writes the line or lines of `change`. What it allocates stays in the current context, which the
// caller resets.
void write_row(const RowWriter& writer, const Plan& plan, Relation relation,
               ReorderBufferChange* change);

// Appends `value`, of any type, as its column's text.
void append_value(StringInfo out, Encoding* encoding, const Column& column, Datum value);

}  // namespace deltaflood
