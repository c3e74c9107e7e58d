// The PostgreSQL server's headers, once, and what differs between its versions 13 to 18.
//
// Include it first, and only in the glue: it defines macros over common names, and everything it
// declares may leave by longjmp. The rules for that are in README.md, "C++ inside the server".
// Version 15 is what is tested. The others were gone through by hand, every call and field that the
// plugin uses, and are untested, also by a compiler. Code that can be the same in all versions uses
// no #if (that a key is deferrable is read from its index, which every version has).
#pragma once

extern "C" {
#include "postgres.h"

#include "access/detoast.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/tupdesc.h"
#include "access/tupdesc_details.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "replication/logical.h"
#include "replication/origin.h"
#include "replication/output_plugin.h"
#include "replication/reorderbuffer.h"
#include "replication/walsender.h"
#include "storage/sinval.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/date.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif
}

#if PG_VERSION_NUM < 130000
#error "deltaflood needs PostgreSQL 13 or later"
#endif

#if PG_VERSION_NUM < 140000
#define TYPTYPE_MULTIRANGE 'm'  // there are none yet
#endif

namespace deltaflood {

inline Oid range_of_multirange([[maybe_unused]] Oid type) {
#if PG_VERSION_NUM >= 140000
  return get_multirange_range(type);
#else
  return InvalidOid;
#endif
}

inline TimestampTz commit_time(const ReorderBufferTXN* txn) noexcept {
#if PG_VERSION_NUM >= 150000
  return txn->xact_time.commit_time;
#else
  return txn->commit_time;
#endif
}

inline void update_progress(LogicalDecodingContext* ctx,
                            [[maybe_unused]] bool skipped_transaction) {
#if PG_VERSION_NUM >= 150000
  OutputPluginUpdateProgress(ctx, skipped_transaction);
#else
  OutputPluginUpdateProgress(ctx);
#endif
}

// The tuples of a row change; nullptr where PostgreSQL logged none.
inline HeapTuple new_tuple(ReorderBufferChange* change) noexcept {
#if PG_VERSION_NUM >= 170000
  return change->data.tp.newtuple;
#else
  return change->data.tp.newtuple == nullptr ? nullptr : &change->data.tp.newtuple->tuple;
#endif
}
inline HeapTuple old_tuple(ReorderBufferChange* change) noexcept {
#if PG_VERSION_NUM >= 170000
  return change->data.tp.oldtuple;
#else
  return change->data.tp.oldtuple == nullptr ? nullptr : &change->data.tp.oldtuple->tuple;
#endif
}

// A generated column that is computed when read has no value in the log.
inline bool is_virtual([[maybe_unused]] const FormData_pg_attribute* attribute) noexcept {
#if PG_VERSION_NUM >= 180000
  return attribute->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL;
#else
  return false;
#endif
}

#if PG_VERSION_NUM < 140000
// Whether `size` bytes could be converted: here a conversion raises an error where later servers
// return how far they came. It holds nothing that a caught error would leave behind.
inline bool try_conversion(Oid conversion, int encoding, char* source, int size, char* out) {
  const MemoryContext context = CurrentMemoryContext;
  volatile bool converted = false;
  PG_TRY();
  {
    OidFunctionCall5(conversion, Int32GetDatum(encoding), Int32GetDatum(PG_UTF8),
                     CStringGetDatum(source), CStringGetDatum(out), Int32GetDatum(size));
    converted = true;
  }
  PG_CATCH();
  {
    MemoryContextSwitchTo(context);
    ErrorData* const error = CopyErrorData();
    if (error->sqlerrcode != ERRCODE_UNTRANSLATABLE_CHARACTER &&
        error->sqlerrcode != ERRCODE_CHARACTER_NOT_IN_REPERTOIRE) {
      PG_RE_THROW();
    }
    FlushErrorState();
    FreeErrorData(error);
  }
  PG_END_TRY();
  return converted;
}
#endif

// Converts up to `size` bytes to UTF-8, with a NUL after them, and returns how many it has
// converted: it stops before what has no UTF-8 form and before a character that the end cuts. `out`
// has room for MAX_CONVERSION_GROWTH * size + 1. The byte after the source's end may be read.
inline int convert_to_utf8(Oid conversion, int encoding, char* source, int size, char* out,
                           [[maybe_unused]] int out_size) {
#if PG_VERSION_NUM >= 140000
  return pg_do_encoding_conversion_buf(conversion, encoding, PG_UTF8,
                                       reinterpret_cast<unsigned char*>(source), size,
                                       reinterpret_cast<unsigned char*>(out), out_size, true);
#else
  // All whole characters or, where that fails, the first of them alone.
  int whole = 0;
  int first = 0;
  while (whole < size) {
    const int character = pg_encoding_mblen(encoding, source + whole);
    if (character > size - whole) break;
    whole += character;
    if (first == 0) first = whole;
  }
  if (whole > 0 && try_conversion(conversion, encoding, source, whole, out)) return whole;
  if (first > 0 && try_conversion(conversion, encoding, source, first, out)) return first;
  out[0] = '\0';
  return 0;
#endif
}

inline void set_setting(const char* name, const char* value, GucAction action) {
  (void)set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, action, true, 0, false);
}

}  // namespace deltaflood
