// The floor of the benchmark: what decoding costs with a plugin that does nothing, and what one
// message of a single byte per change adds. Compiled twice.
extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "replication/logical.h"
#include "replication/output_plugin.h"
}

#pragma GCC visibility push(default)
extern "C" {
PG_MODULE_MAGIC;
void _PG_output_plugin_init(OutputPluginCallbacks* callbacks);  // NOLINT: the server's name for it
}
#pragma GCC visibility pop

extern "C" {

static void on_startup(LogicalDecodingContext*, OutputPluginOptions* options, bool) {
  options->output_type = OUTPUT_PLUGIN_TEXTUAL_OUTPUT;
}

static void on_begin(LogicalDecodingContext*, ReorderBufferTXN*) {}

static void on_change([[maybe_unused]] LogicalDecodingContext* ctx, ReorderBufferTXN*, Relation,
                      ReorderBufferChange*) {
#ifdef FLOOR_EMPTY_MESSAGES
  OutputPluginPrepareWrite(ctx, true);
  appendStringInfoChar(ctx->out, '.');  // pg_recvlogical takes no message without a byte
  OutputPluginWrite(ctx, true);
#endif
}

static void on_commit(LogicalDecodingContext* ctx, ReorderBufferTXN*, XLogRecPtr) {
  OutputPluginUpdateProgress(ctx, true);
}

}  // extern "C"

extern "C" void _PG_output_plugin_init(OutputPluginCallbacks* callbacks) {
  callbacks->startup_cb = on_startup;
  callbacks->begin_cb = on_begin;
  callbacks->change_cb = on_change;
  callbacks->commit_cb = on_commit;
}
