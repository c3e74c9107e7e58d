#include "output.h"

namespace deltaflood {

namespace {

constexpr std::size_t kLargeLine = 1024 * 1024;
// A message buffer grown beyond this is given back: one large row must not cost its memory for the
// life of the connection.
constexpr int kKeptBuffer = 8 * 1024 * 1024;
constexpr uint64 kChangesBetweenSigns = 100;

void send(Output* output) {
  LogicalDecodingContext* const ctx = output->ctx;
  OutputPluginWrite(ctx, true);
  if (ctx->out->maxlen <= kKeptBuffer) return;
  const MemoryContext old = MemoryContextSwitchTo(ctx->context);
  pfree(ctx->out->data);
  initStringInfo(ctx->out);
  MemoryContextSwitchTo(old);
}

}  // namespace

void open_output(Output* output, LogicalDecodingContext* ctx, std::size_t batch_bytes) {
  *output = Output{};
  output->ctx = ctx;
  output->batch_bytes = batch_bytes;
  if (batch_bytes > 0) initStringInfo(&output->gathered);
}

StringInfo begin_line(Output* output, std::size_t size_hint) {
  output->emitted = true;
  output->direct = output->batch_bytes == 0 || size_hint > kLargeLine;
  if (output->direct) {
    flush(output);
    OutputPluginPrepareWrite(output->ctx, true);
    output->line_start = output->ctx->out->len;
    return output->ctx->out;
  }
  if (output->gathered.len > 0) append(&output->gathered, "\n");
  output->line_start = output->gathered.len;
  return &output->gathered;
}

void end_line(Output* output) {
  StringInfo out = output->direct ? output->ctx->out : &output->gathered;
  out->data[out->len] = '\0';  // as every StringInfo promises
  if (output->direct) {
    send(output);
  } else if (static_cast<std::size_t>(out->len) >= output->batch_bytes) {
    flush(output);
  }
}

void flush(Output* output) {
  if (output->gathered.len == 0) return;
  OutputPluginPrepareWrite(output->ctx, true);
  append(output->ctx->out, {output->gathered.data, static_cast<std::size_t>(output->gathered.len)});
  output->ctx->out->data[output->ctx->out->len] = '\0';
  resetStringInfo(&output->gathered);
  send(output);
}

void note_change(Output* output) {
  if (++output->changes_quiet < kChangesBetweenSigns) return;
  output->changes_quiet = 0;
  CHECK_FOR_INTERRUPTS();  // older servers do so only where something is sent
  update_progress(output->ctx, false);
}

}  // namespace deltaflood
