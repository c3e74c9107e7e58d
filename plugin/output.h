// From lines to messages: one message a line, or with batch-bytes the lines of one transaction
// gathered, newline between them.
//
// Invariant: between two callbacks no message is prepared; gathered lines belong to the transaction
// that is being decoded and are gone when its commit callback has ended.
#pragma once

#include "server.h"

#include "text.h"

namespace deltaflood {

struct Output {
  LogicalDecodingContext* ctx = nullptr;
  std::size_t batch_bytes = 0;
  StringInfoData gathered = {};
  bool direct = false;       // the open line is written to the message itself
  int line_start = 0;        // where it starts
  uint64 changes_quiet = 0;  // since the last sign of life
  bool emitted = false;      // something, in this transaction
};

void open_output(Output* output, LogicalDecodingContext* ctx, std::size_t batch_bytes);

// Starts a line of about `size_hint` bytes and returns where to write it; ends with end_line().
// A large line goes straight into its message: it is not copied.
StringInfo begin_line(Output* output, std::size_t size_hint = 0);
void end_line(Output* output);

// Sends what is gathered, in a message prepared now: in the commit callback, so that it carries the
// transaction's end LSN.
void flush(Output* output);

// Tells the server that decoding goes on, once in about 100 changes, also while nothing is sent:
// otherwise wal_sender_timeout ends a long run of filtered changes.
void note_change(Output* output);

}  // namespace deltaflood
