// The PostgreSQL server's headers, once, and what differs between its versions 13 to 18.
//
// Include it first, and only in the glue: it defines macros over common names, and everything it
// declares may leave by longjmp. The rules for that are in README.md, "C++ inside the server".
// Version 15 is what is tested; the others compile by the differences below and are untested.
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
#include "utils/date.h"
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

namespace deltaflood {

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

inline void set_setting(const char* name, const char* value, GucAction action) {
  (void)set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, action, true, 0, false);
}

}  // namespace deltaflood
