// The lines of one row: insert, update, delete, replace, oversize.
#pragma once

#include "options.h"
#include "output.h"
#include "relation.h"

namespace deltaflood {

// What every line of one transaction says after its table: `_xid N`, `_lsn X/Y`, as asked for.
struct TransactionHead {
  StringInfoData text;
};

struct RowWriter {
  const Options* options = nullptr;
  Encoding* encoding = nullptr;
  Output* output = nullptr;
  const TransactionHead* head = nullptr;
};

// `_table T … _xid N`: how each line of a table begins.
void append_head(StringInfo out, const RowWriter& writer, std::string_view table_head);
// separator, key, separator; the value follows.
void append_key(StringInfo out, const Options& options, std::string_view key);
void append_action(StringInfo out, const Options& options, std::string_view verb);

// Writes the line or lines of `change`. What it allocates stays in the current context, which the
// caller resets.
void write_row(const RowWriter& writer, const Plan& plan, Relation relation,
               ReorderBufferChange* change);

// Appends `value`, of any type, as its column's text.
void append_value(StringInfo out, Encoding* encoding, const Column& column, Datum value);

}  // namespace deltaflood
