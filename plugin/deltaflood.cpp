// The output plugin: its entry point and the callbacks that the server calls.
//
// Nothing here throws (the module is built without exceptions) and every frame holds only trivially
// destructible objects, for any backend call may leave by longjmp.
#include "server.h"

#include "format.h"
#include "options.h"
#include "output.h"
#include "relation.h"
#include "row.h"
#include "schema.h"
#include "settings.h"
#include "text.h"

// The two symbols that the server looks up; all others are hidden.
#pragma GCC visibility push(default)
extern "C" {
PG_MODULE_MAGIC;
void _PG_output_plugin_init(OutputPluginCallbacks* callbacks);  // NOLINT: the server's name for it
}
#pragma GCC visibility pop

namespace deltaflood {

namespace {

// All of one decoding context; lives in its memory.
struct Plugin {
  Options options;
  Encoding encoding;
  Output output;
  TransactionFields transaction_fields;
  RowWriter writer;
  SettingsGuard settings;
  Relations* relations;
  Schemas* schemas;
  MemoryContext scratch;  // of one change, reset after it
};

Plugin* plugin_of(LogicalDecodingContext* ctx) {
  return static_cast<Plugin*>(ctx->output_plugin_private);
}

// What a callback allocates goes when it ends.
MemoryContext enter_scratch(Plugin* plugin) {
  return MemoryContextSwitchTo(plugin->scratch);
}
void leave_scratch(Plugin* plugin, MemoryContext old) {
  MemoryContextSwitchTo(old);
  MemoryContextReset(plugin->scratch);
}

void begin_transaction(Plugin* plugin, TransactionId xid, XLogRecPtr end_lsn) {
  plugin->output.emitted = false;
  StringInfo fields = &plugin->transaction_fields.text;
  resetStringInfo(fields);
  if (plugin->options.include_xids) {
    append_key(fields, plugin->options, "_xid");
    append_unsigned(fields, xid);
  }
  if (plugin->options.include_lsn) {
    append_key(fields, plugin->options, "_lsn");
    append_lsn(fields, end_lsn);
  }
  reserve(fields, kPadding);
}

// Where transactions are small this is half of all that is written: room is reserved once.
void write_commit(Plugin* plugin, TransactionId xid, XLogRecPtr end_lsn, TimestampTz time) {
  const Options& options = plugin->options;
  StringInfo out = begin_line(&plugin->output);
  reserve(out, 5 * (key_room(options, "_action") + kMaxFixedText));
  put(out, "_xid");
  put(out, options.separator);
  advance(out, format_unsigned(out->data + out->len, xid));
  put_key(out, options, "_lsn");
  advance(out, format_lsn(out->data + out->len, end_lsn));
  put_key(out, options, "_next");
  advance(out, format_unsigned(out->data + out->len,
                               U64FromFullTransactionId(ReadNextFullTransactionId())));
  put_key(out, options, "_time");
  advance(out, format_unix_time(out->data + out->len, time));
  put_key(out, options, "_action");
  put(out, "commit");
  end_line(&plugin->output);
}

bool wants(const Options& options, ReorderBufferChangeType action) {
  switch (action) {
    case REORDER_BUFFER_CHANGE_INSERT:
      return (options.actions & grammar::kInsert) != 0;
    case REORDER_BUFFER_CHANGE_UPDATE:
      return (options.actions & grammar::kUpdate) != 0;
    case REORDER_BUFFER_CHANGE_DELETE:
      return (options.actions & grammar::kDelete) != 0;
    default:
      return false;
  }
}

void tell_schema_once(Plugin* plugin, RelationEntry* entry) {
  if (!plugin->options.include_schema || entry->schema_checked) return;
  entry->schema_checked = true;
  tell_schema(plugin->schemas, plugin->writer, entry->plan.described);
}

void write_table_line(Plugin* plugin, const Plan& plan, std::string_view verb) {
  StringInfo out = begin_line(&plugin->output);
  begin_row_line(out, plugin->writer, plan.table_fields);
  append_action(out, plugin->options, verb);
  end_line(&plugin->output);
}

bool contains(Relation relations[], int count, Oid relid) {
  for (int i = 0; i < count; ++i) {
    if (RelationGetRelid(relations[i]) == relid) return true;
  }
  return false;
}

// With partition-root, what befalls one partition as a whole and not its root: its line has its own
// name, and `_root` says whose rows it is about.
void write_partition_line(Plugin* plugin, const RelationName& partition, Oid root,
                          std::string_view verb) {
  StringInfo out = begin_line(&plugin->output);
  append(out, "_table");
  append(out, plugin->options.separator);
  append_table(out, &plugin->encoding, partition);
  begin_row_line(out, plugin->writer, {});
  append_key(out, plugin->options, "_root");
  append_unsigned(out, root);
  append_action(out, plugin->options, verb);
  end_line(&plugin->output);
}

// A truncated root is one line, its partitions' are part of it.
void write_truncate(Plugin* plugin, const Plan& plan, Relation relations[], int count, int index) {
  const Relation relation = relations[index];
  if (plan.described == RelationGetRelid(relation)) {
    write_table_line(plugin, plan, "truncate");
  } else if (!contains(relations, count, plan.described)) {
    write_partition_line(plugin, relation_name(relation), plan.described, "truncate");
  }
}

// Of a rewritten partition all rows go and come again, of its root only some.
void write_rewrite(Plugin* plugin, const Plan& plan, Oid rewritten) {
  if (plan.described == rewritten) {
    write_table_line(plugin, plan, "rewrite");
    return;
  }
  const Relation partition = open_relation(rewritten);
  write_partition_line(plugin, relation_name(partition), plan.described, "rewrite");
  RelationClose(partition);
}

// A message's content is bytes, of no encoding. Its size is bounded by the server (below 1 GB),
// its escaped form by measuring.
void write_message(Plugin* plugin, const char* prefix, std::string_view content) {
  const Options& options = plugin->options;
  const std::size_t size = bytes_size(plugin->encoding, content);
  StringInfo out = begin_line(&plugin->output, size);
  const StringInfoData& fields = plugin->transaction_fields.text;
  if (fields.len > 0) {
    const auto separator = options.separator.size();
    append(out,
           std::string_view(fields.data, static_cast<std::size_t>(fields.len)).substr(separator));
    append(out, options.separator);
  }
  append(out, "_action");
  append(out, options.separator);
  const bool fits = size + strlen(prefix) * grammar::kEscapeGrowth < kMaxMessageBytes;
  append(out, fits ? "message" : "oversize");
  append_key(out, options, "prefix");
  append_bytes(out, plugin->encoding, prefix);
  append_key(out, options, fits ? "content" : "content_bytes");
  if (fits) {
    append_bytes(out, plugin->encoding, content);
  } else {
    append_unsigned(out, content.size());
  }
  end_line(&plugin->output);
}

extern "C" {

static void on_startup(LogicalDecodingContext* ctx, OutputPluginOptions* output_options,
                       bool is_init) {
  auto* const plugin = static_cast<Plugin*>(MemoryContextAllocZero(ctx->context, sizeof(Plugin)));
  ctx->output_plugin_private = plugin;
  output_options->output_type = OUTPUT_PLUGIN_TEXTUAL_OUTPUT;
  // A slot that is being created has no options yet and decodes nothing.
  if (is_init) return;
  const MemoryContext old = MemoryContextSwitchTo(ctx->context);
  parse_options(ctx->output_plugin_options, &plugin->options);
  claim_slot(plugin->options.claim);
  plugin->scratch = AllocSetContextCreate(ctx->context, "deltaflood row", ALLOCSET_DEFAULT_SIZES);
  plugin->encoding = database_encoding(plugin->options.escape);
  open_output(&plugin->output, ctx, plugin->options.batch_bytes);
  initStringInfo(&plugin->transaction_fields.text);
  plugin->writer = {&plugin->options, &plugin->encoding, &plugin->output,
                    &plugin->transaction_fields};
  plugin->relations = open_relations(&plugin->options, &plugin->encoding, ctx->context);
  plugin->schemas = open_schemas(ctx->context);
  // A reader that gets shapes gets rewrites: without their rows it would have to copy
  // the table again.
  output_options->receive_rewrites = plugin->options.include_schema;
  plugin->settings = fix_settings();
  MemoryContextSwitchTo(old);
}

static void on_shutdown(LogicalDecodingContext* ctx) {
  restore_settings(&plugin_of(ctx)->settings);
}

static bool filter_by_origin(LogicalDecodingContext* ctx, RepOriginId origin) {
  return plugin_of(ctx)->options.only_local && origin != InvalidRepOriginId;
}

static void on_begin(LogicalDecodingContext* ctx, ReorderBufferTXN* txn) {
  Plugin* const plugin = plugin_of(ctx);
  begin_transaction(plugin, txn->xid, txn->end_lsn);
  if (!plugin->options.include_schema) return;
  const MemoryContext old = enter_scratch(plugin);
  begin_schemas(plugin->schemas, plugin->writer, txn);
  leave_scratch(plugin, old);
}

static void on_change(LogicalDecodingContext* ctx, ReorderBufferTXN* txn, Relation relation,
                      ReorderBufferChange* row) {
  Plugin* const plugin = plugin_of(ctx);
  note_change(&plugin->output);
  if (!wants(plugin->options, row->action)) return;
  if (relation->rd_rel->relkind != RELKIND_RELATION) return;
  const MemoryContext old = enter_scratch(plugin);
  RelationEntry* const entry = relation_entry(plugin->relations, relation);
  if (entry->plan.followed) {
    tell_schema_once(plugin, entry);
    if (entry->plan.rewrite && entry->rewrite_told != txn->xid) {
      entry->rewrite_told = txn->xid;
      write_rewrite(plugin, entry->plan, relation->rd_rel->relrewrite);
    }
    write_row(plugin->writer, entry->plan, relation, row);
  } else {
    tell_left_out(plugin->schemas, plugin->writer, RelationGetRelid(relation),
                  entry->plan.described);
  }
  leave_scratch(plugin, old);
}

static void on_truncate(LogicalDecodingContext* ctx, ReorderBufferTXN*, int count,
                        Relation relations[], ReorderBufferChange*) {
  Plugin* const plugin = plugin_of(ctx);
  note_change(&plugin->output);
  if (!plugin->options.include_truncate || (plugin->options.actions & grammar::kTruncate) == 0)
    return;
  const MemoryContext old = enter_scratch(plugin);
  // Schemas first, so that the lines of one statement are adjacent.
  for (const bool schemas : {true, false}) {
    for (int i = 0; i < count; ++i) {
      if (!is_told(plugin->options, relations[i]->rd_rel)) continue;
      RelationEntry* const entry = relation_entry(plugin->relations, relations[i]);
      if (!entry->plan.followed) {
        tell_left_out(plugin->schemas, plugin->writer, RelationGetRelid(relations[i]),
                      entry->plan.described);
        continue;
      }
      if (schemas) {
        tell_schema_once(plugin, entry);
      } else {
        write_truncate(plugin, entry->plan, relations, count, i);
      }
    }
  }
  leave_scratch(plugin, old);
}

static void on_message(LogicalDecodingContext* ctx, ReorderBufferTXN*, XLogRecPtr lsn,
                       bool transactional, const char* prefix, Size size, const char* content) {
  Plugin* const plugin = plugin_of(ctx);
  if (!wants_message(plugin->options, prefix)) {
    note_change(&plugin->output);
    return;
  }
  const MemoryContext old = enter_scratch(plugin);
  if (transactional) {
    note_change(&plugin->output);
    write_message(plugin, prefix, {content, size});
  } else {
    // Decoded when it is read, between transactions and without one: it is its own.
    begin_transaction(plugin, InvalidTransactionId, lsn);
    write_message(plugin, prefix, {content, size});
    if (plugin->options.include_transaction) {
      write_commit(plugin, InvalidTransactionId, lsn, GetCurrentTimestamp());
    }
    flush(&plugin->output);
  }
  leave_scratch(plugin, old);
}

static void on_commit(LogicalDecodingContext* ctx, ReorderBufferTXN* txn, XLogRecPtr) {
  Plugin* const plugin = plugin_of(ctx);
  const MemoryContext old = enter_scratch(plugin);
  if (plugin->options.include_schema) commit_schemas(plugin->schemas, plugin->writer);
  const bool skipped = !plugin->output.emitted;
  if (!skipped) {
    if (plugin->options.include_transaction) {
      write_commit(plugin, txn->xid, txn->end_lsn, commit_time(txn));
    }
    flush(&plugin->output);
  }
  leave_scratch(plugin, old);
  update_progress(ctx, skipped);
}

}  // extern "C"

}  // namespace

}  // namespace deltaflood

extern "C" void _PG_output_plugin_init(OutputPluginCallbacks* callbacks) {
  // Neither the stream callbacks nor the two-phase ones: a transaction comes whole, at its commit.
  callbacks->startup_cb = deltaflood::on_startup;
  callbacks->begin_cb = deltaflood::on_begin;
  callbacks->change_cb = deltaflood::on_change;
  callbacks->truncate_cb = deltaflood::on_truncate;
  callbacks->commit_cb = deltaflood::on_commit;
  callbacks->message_cb = deltaflood::on_message;
  callbacks->filter_by_origin_cb = deltaflood::filter_by_origin;
  callbacks->shutdown_cb = deltaflood::on_shutdown;
}
