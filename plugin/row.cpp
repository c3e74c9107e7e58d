#include "row.h"

#include "format.h"

namespace deltaflood {

namespace {

constexpr std::size_t kLargeRow = 1024 * 1024;
// All inline, and if all compressed (at best 1 : 255) still below kLargeRow: not worth measuring.
constexpr std::size_t kSmallTuple = 2048;

// One line of a change.
struct Image {
  std::string_view verb;
  HeapTuple tuple;
  std::size_t size;  // a hint, exact above kLargeRow
  bool old;          // the old row's replica identity
};

// The bytes that hold a row's values in memory, out-of-line and compressed ones at their full size.
std::size_t row_bytes(const Plan& plan, HeapTuple tuple) {
  std::size_t size = tuple->t_len;
  if (size <= kSmallTuple && !HeapTupleHasExternal(tuple)) return size;
  for (int i = 0; i < plan.column_count; ++i) {
    const Column& column = plan.columns[i];
    if (!column.varlena || plan.nulls[column.index]) continue;
    const Datum value = plan.values[column.index];
    const auto* const header = reinterpret_cast<const varlena*>(DatumGetPointer(value));
    if (VARATT_IS_EXTERNAL_ONDISK(header)) continue;
    if (VARATT_IS_EXTERNAL(header) || VARATT_IS_COMPRESSED(header)) {
      size += toast_raw_datum_size(value);
    }
  }
  return size;
}

// A value that PostgreSQL did not log because the update left it as it was.
bool is_unchanged(const Column& column, Datum value) {
  return column.varlena &&
         VARATT_IS_EXTERNAL_ONDISK(reinterpret_cast<const varlena*>(DatumGetPointer(value)));
}

void deform(const Plan& plan, Relation relation, HeapTuple tuple) {
  heap_deform_tuple(tuple, RelationGetDescr(relation), plan.values, plan.nulls);
}

// Whether a NULL is written in this kind of line.
bool writes_nulls(const Options& options, const Plan& plan, std::string_view verb) {
  switch (options.nulls) {
    case Nulls::Skipped:
      return false;
    case Nulls::Written:
      return true;
    case Nulls::Sparse:
      break;
  }
  if (verb == "insert") return false;
  return verb == "update" || plan.full_identity;
}

void append_columns(StringInfo out, const RowWriter& writer, const Plan& plan, bool nulls,
                    bool old) {
  const bool identity_only = old && !plan.full_identity;
  for (int i = 0; i < plan.column_count; ++i) {
    const Column& column = plan.columns[i];
    if (plan.nulls[column.index]) {
      // The old row of an index identity has no other columns: their NULLs mean nothing.
      if (!nulls ||
          (identity_only && !column.identity && writer.options->nulls != Nulls::Written)) {
        continue;
      }
      append_padded(out, column.prefix);
      append(out, writer.options->null_text);
      continue;
    }
    const Datum value = plan.values[column.index];
    if (is_unchanged(column, value)) continue;
    append_padded(out, column.prefix);
    append_value(out, writer.encoding, column, value);
  }
}

// What a value's text takes, the largest types without making it.
std::size_t value_size(Encoding* encoding, const Column& column, Datum value);

// Beyond the 1 GB of an allocation, which palloc says by an internal error and a StringInfo by a
// limit. Not a lack of memory, which may pass: the stream breaks off and is tried again.
bool is_beyond_allocation(const ErrorData* error) {
  if (error->sqlerrcode == ERRCODE_PROGRAM_LIMIT_EXCEEDED) return true;
  return error->sqlerrcode == ERRCODE_INTERNAL_ERROR && error->message != nullptr &&
         strstr(error->message, "invalid memory alloc request size") != nullptr;
}

// The text of a large value by its type's output function, or nullptr if that is beyond what the
// server can allocate. Only that error is caught, and an output function leaves nothing behind that
// would have to be undone.
char* try_function(const Column& column, Datum value) {
  const MemoryContext context = CurrentMemoryContext;
  char* volatile text = nullptr;
  PG_TRY();
  { text = OutputFunctionCall(const_cast<FmgrInfo*>(&column.output), value); }
  PG_CATCH();
  {
    MemoryContextSwitchTo(context);
    ErrorData* const error = CopyErrorData();
    if (!is_beyond_allocation(error)) PG_RE_THROW();
    FlushErrorState();
    FreeErrorData(error);
    text = nullptr;
  }
  PG_END_TRY();
  return text;
}

// Its output function would write it as a string of C: only a faulty function of C makes a text
// with a NUL, and what comes after one is not to be seen in PostgreSQL either.
std::string_view text_of(const varlena* packed) {
  const std::string_view bytes(VARDATA_ANY(packed),
                               static_cast<std::size_t>(VARSIZE_ANY_EXHDR(packed)));
  return bytes.substr(0, bytes.find('\0'));
}

std::size_t value_size(Encoding* encoding, const Column& column, Datum value) {
  if (!column.varlena) return kMaxFixedText;
  const std::size_t raw = toast_raw_datum_size(value);
  switch (column.form) {
    case Form::Bytea:
      return 2 * raw + kMaxFixedText;
    case Form::Text: {
      varlena* const packed = PG_DETOAST_DATUM_PACKED(value);
      const std::size_t size = text_size(encoding, text_of(packed));
      if (static_cast<void*>(packed) != DatumGetPointer(value)) pfree(packed);
      return size;
    }
    default: {
      char* const text = try_function(column, value);
      if (text == nullptr) return kMaxMessageBytes;
      const std::size_t size = text_size(encoding, text);
      pfree(text);
      return size;
    }
  }
}

// The bytes that a line of the row at hand takes.
std::size_t line_size(const RowWriter& writer, const Plan& plan) {
  std::size_t size = plan.table_fields.size() + plan.fixed_bytes + 1024;
  for (int i = 0; i < plan.column_count; ++i) {
    const Column& column = plan.columns[i];
    if (plan.nulls[column.index] || is_unchanged(column, plan.values[column.index])) continue;
    size += value_size(writer.encoding, column, plan.values[column.index]);
  }
  return size;
}

void write_line(const RowWriter& writer, const Plan& plan, const Image& image) {
  const Options& options = *writer.options;
  StringInfo out = begin_line(writer.output, image.size);
  reserve(out, image.size > kLargeRow ? image.size : plan.table_fields.size() + plan.fixed_bytes);
  begin_row_line(out, writer, plan.table_fields);
  if (!plan.has_identity && image.verb != "insert") {
    append_key(out, options, "_identity");
    append(out, "none");
  }
  append_action(out, options, image.verb);
  append_columns(out, writer, plan, writes_nulls(options, plan, image.verb), image.old);
  end_line(writer.output);
}

std::string_view verb_of(ReorderBufferChangeType action) {
  switch (action) {
    case REORDER_BUFFER_CHANGE_INSERT:
      return "insert";
    case REORDER_BUFFER_CHANGE_UPDATE:
      return "update";
    default:
      return "delete";
  }
}

// One line in place of a change that no message can carry: which row (by the old key, or by the new
// where that is the same), and how large.
void write_oversize(const RowWriter& writer, const Plan& plan, Relation relation,
                    ReorderBufferChange* change, std::size_t size) {
  const Options& options = *writer.options;
  const HeapTuple old = plan.has_identity ? old_tuple(change) : nullptr;
  deform(plan, relation, old != nullptr ? old : new_tuple(change));
  StringInfo out = begin_line(writer.output);
  begin_row_line(out, writer, plan.table_fields);
  if (!plan.has_identity) {
    append_key(out, options, "_identity");
    append(out, "none");
  }
  append_key(out, options, "_verb");
  append(out, verb_of(change->action));
  append_key(out, options, "_size");
  append_unsigned(out, size);
  append_action(out, options, "oversize");
  for (int i = 0; i < plan.column_count; ++i) {
    const Column& column = plan.columns[i];
    if (plan.nulls[column.index] || is_unchanged(column, plan.values[column.index])) continue;
    // Under FULL all columns are the key: those that are not the trouble.
    if (!column.identity && !plan.full_identity) continue;
    if (column.varlena && toast_raw_datum_size(plan.values[column.index]) > kLargeRow) continue;
    append(out, column.prefix);
    append_value(out, writer.encoding, column, plan.values[column.index]);
  }
  end_line(writer.output);
}

void append_short(StringInfo out, std::size_t (*format)(char*, std::int64_t) noexcept,
                  std::int64_t value) {
  reserve(out, kMaxFixedText);
  advance(out, format(out->data + out->len, value));
}

// The text of a type that has no direct form here, or of a value that its direct form does not
// cover.
void append_by_function(StringInfo out, Encoding* encoding, const Column& column, Datum value) {
  char* const text = OutputFunctionCall(const_cast<FmgrInfo*>(&column.output), value);
  append_text(out, encoding, text);
  pfree(text);
}

void append_varlena(StringInfo out, Encoding* encoding, const Column& column, Datum value) {
  varlena* const packed = PG_DETOAST_DATUM_PACKED(value);
  if (column.form == Form::Text) {
    append_text(out, encoding, text_of(packed));
  } else {
    const std::string_view bytes(VARDATA_ANY(packed),
                                 static_cast<std::size_t>(VARSIZE_ANY_EXHDR(packed)));
    const std::string_view hex_prefix = encoding->escape ? "\\\\x" : "\\x";
    reserve(out, hex_prefix.size() + 2 * bytes.size());
    put(out, hex_prefix);
    format_hex(out->data + out->len, bytes);
    advance(out, 2 * bytes.size());
  }
  if (static_cast<void*>(packed) != DatumGetPointer(value)) pfree(packed);
}

}  // namespace

void begin_row_line(StringInfo out, const RowWriter& writer, std::string_view table_fields) {
  append(out, table_fields);
  const StringInfoData& fields = writer.transaction_fields->text;
  append_padded(out, {fields.data, static_cast<std::size_t>(fields.len)});
}

// NOLINTNEXTLINE(readability-function-size): one case a form
void append_value(StringInfo out, Encoding* encoding, const Column& column, Datum value) {
  std::size_t size = 0;
  switch (column.form) {
    case Form::Function:
      append_by_function(out, encoding, column, value);
      return;
    case Form::Text:
    case Form::Bytea:
      append_varlena(out, encoding, column, value);
      return;
    case Form::Bool:
      append(out, DatumGetBool(value) ? "1" : "0");
      return;
    case Form::Int2:
      append_short(out, format_int, DatumGetInt16(value));
      return;
    case Form::Int4:
      append_short(out, format_int, DatumGetInt32(value));
      return;
    case Form::Int8:
      append_short(out, format_int, DatumGetInt64(value));
      return;
    case Form::Oid:
      append_short(out, format_int, DatumGetObjectId(value));
      return;
    case Form::Float4:
      reserve(out, kMaxFixedText);
      advance(out, static_cast<std::size_t>(float_to_shortest_decimal_bufn(DatumGetFloat4(value),
                                                                           out->data + out->len)));
      return;
    case Form::Float8:
      reserve(out, kMaxFixedText);
      advance(out, static_cast<std::size_t>(double_to_shortest_decimal_bufn(DatumGetFloat8(value),
                                                                            out->data + out->len)));
      return;
    case Form::Date:
      reserve(out, kMaxFixedText);
      size = format_date(out->data + out->len, DatumGetDateADT(value));
      break;
    case Form::Time:
      reserve(out, kMaxFixedText);
      size = format_time(out->data + out->len, DatumGetTimeADT(value));
      break;
    case Form::Timestamp:
      reserve(out, kMaxFixedText);
      size = format_timestamp(out->data + out->len, DatumGetTimestamp(value));
      break;
    case Form::TimestampTz:
      reserve(out, kMaxFixedText);
      size = format_timestamp(out->data + out->len, DatumGetTimestampTz(value));
      if (size > 0) {
        memcpy(out->data + out->len + size, "+00", 3);
        size += 3;
      }
      break;
    case Form::Uuid: {
      unsigned char bytes[16];
      memcpy(bytes, DatumGetUUIDP(value)->data, sizeof bytes);
      reserve(out, kMaxFixedText);
      size = format_uuid(out->data + out->len, bytes);
      break;
    }
  }
  if (size == 0) {
    append_by_function(out, encoding, column, value);
  } else {
    advance(out, size);
  }
}

void write_row(const RowWriter& writer, const Plan& plan, Relation relation,
               ReorderBufferChange* change) {
  // Without an identity of its own an old row cannot be told from others, whatever was logged.
  Image images[2] = {Image{"replace", plan.has_identity ? old_tuple(change) : nullptr, 0, true},
                     Image{"update", new_tuple(change), 0, false}};
  switch (change->action) {
    case REORDER_BUFFER_CHANGE_INSERT:
      images[1].verb = "insert";
      break;
    case REORDER_BUFFER_CHANGE_UPDATE:
      break;
    case REORDER_BUFFER_CHANGE_DELETE:
      images[0].verb = "delete";
      break;
    default:
      elog(ERROR, "unexpected kind of row change %d", static_cast<int>(change->action));
  }
  const bool is_delete = change->action == REORDER_BUFFER_CHANGE_DELETE;
  const bool has_old = images[0].tuple != nullptr || is_delete;
  const bool has_new = !is_delete;
  // Measured before the first of a pair is written: a pair goes out whole or not at all.
  for (Image& image : images) {
    if (image.tuple == nullptr) continue;
    deform(plan, relation, image.tuple);
    image.size = row_bytes(plan, image.tuple);
    if (image.size <= kLargeRow) continue;
    image.size = line_size(writer, plan);
    if (image.size >= kMaxMessageBytes) {
      write_oversize(writer, plan, relation, change, image.size);
      return;
    }
  }
  if (has_old) {
    if (images[0].tuple == nullptr) {
      for (int i = 0; i < RelationGetDescr(relation)->natts; ++i) plan.nulls[i] = true;
    } else if (has_new) {
      deform(plan, relation, images[0].tuple);  // the measuring left the new row there
    }
    write_line(writer, plan, images[0]);
    if (has_new) deform(plan, relation, images[1].tuple);
  }
  if (has_new) write_line(writer, plan, images[1]);
}

}  // namespace deltaflood
