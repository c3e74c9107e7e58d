// The messages of PostgreSQL's own output plugin, pgoutput, of protocol version 2 in text mode
// (PostgreSQL manual, "Logical Replication Message Formats"). Pure: bytes in, values out.
//
// Views point into the message that was given. Errors: ProtocolError on bytes that are no such
// message, or that end in the middle of one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "daystream/lsn.h"

namespace deltastream::pgoutput {

// The letters that messages begin with.
enum class Kind : char {
  Begin = 'B',
  Commit = 'C',
  Origin = 'O',
  Relation = 'R',
  Type = 'Y',
  Insert = 'I',
  Update = 'U',
  Delete = 'D',
  Truncate = 'T',
  Message = 'M',
  StreamStart = 'S',
  StreamStop = 'E',
  StreamCommit = 'c',
  StreamAbort = 'A',
};

using Microseconds = std::int64_t;  // since 1970 UTC

// B
struct Begin {
  std::uint32_t xid = 0;
  daystream::Lsn lsn;  // of the commit record's start
};

// C, and c, which ends a transaction that came in pieces
struct Commit {
  std::uint32_t xid = 0;   // of c only
  daystream::Lsn end_lsn;  // what lines call `_lsn`
  Microseconds time_us = 0;
};

// S
struct StreamStart {
  std::uint32_t xid = 0;  // of the whole transaction
};

// A
struct StreamAbort {
  std::uint32_t xid = 0;  // of the whole transaction
  std::uint32_t sub = 0;  // of what is rolled back: the same, or a subtransaction's
};

// R
struct RelationColumn {
  std::string name;
  std::uint32_t type = 0;
  std::int32_t typmod = -1;
  bool identity = false;  // one of the replica identity's; all are, where that is FULL

  bool operator==(const RelationColumn&) const = default;
};
struct Relation {
  std::uint32_t oid = 0;
  std::string schema;
  std::string name;
  char identity = 'd';  // as pg_class.relreplident has it
  std::vector<RelationColumn> columns;

  bool operator==(const Relation&) const = default;
};

// A value of a row.
enum class Value : char { Null = 'n', Unchanged = 'u', Text = 't' };
struct Datum {
  Value value = Value::Null;
  std::string_view text;
};
using Tuple = std::vector<Datum>;

// I, U, D
enum class Old : char { None, Key, Full };  // which columns of the old row came
struct RowChange {
  Kind kind = Kind::Insert;
  std::uint32_t relation = 0;
  Old old = Old::None;
  Tuple old_row;
  Tuple new_row;  // not of D
};

// T
struct Truncate {
  std::vector<std::uint32_t> relations;
};

// How the text of a change's own transaction is told: between S and E each message of a change has
// the id of the (sub)transaction that made it behind its letter.
enum class Part : bool { Whole, Streamed };

Kind kind_of(std::string_view message);
// Whether such a message, between S and E, has a transaction id behind its letter.
bool is_change(Kind kind) noexcept;
std::uint32_t parse_streamed_xid(std::string_view message);

Begin parse_begin(std::string_view message);
Commit parse_commit(std::string_view message);
StreamStart parse_stream_start(std::string_view message);
Commit parse_stream_commit(std::string_view message);
StreamAbort parse_stream_abort(std::string_view message);
Relation parse_relation(std::string_view message, Part part);
// Into `out`, whose vectors are used again.
void parse_row(std::string_view message, Part part, RowChange& out);
Truncate parse_truncate(std::string_view message, Part part);
// Of messages that say nothing to us: that they are whole.
void check_skipped(std::string_view message, Part part);

}  // namespace deltastream::pgoutput
