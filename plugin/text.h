// Appending to a StringInfo: raw bytes, and text of the database as escaped UTF-8.
//
// Everything here may ereport (a StringInfo grows by palloc); callers are C-shaped.
#pragma once

#include "server.h"

#include "grammar/escape.h"

namespace deltaflood {

// How text of this database becomes UTF-8, found once a connection.
struct Encoding {
  int server = PG_UTF8;
  bool convert = false;         // neither UTF-8 nor SQL_ASCII
  bool escape = true;           // the option escape-chars
  Oid conversion = InvalidOid;  // looked up at first need: that takes a transaction
};
Encoding database_encoding(bool escape);

// The largest message: a StringInfo ends at MaxAllocSize, and so does the walsender's send buffer,
// which adds its own header and may still hold a keepalive. The rest of the margin is what the last
// values of a line reserve beyond their size.
inline constexpr std::size_t kMaxMessageBytes = MaxAllocSize - 1024 * 1024;

inline void reserve(StringInfo out, std::size_t size) {
  if (static_cast<std::size_t>(out->maxlen - out->len) <= size) {
    if (size > MaxAllocSize) elog(ERROR, "a line of %zu bytes cannot be carried", size);
    enlargeStringInfo(out, static_cast<int>(size));
  }
}

// After reserve(): room is there.
inline void put(StringInfo out, std::string_view bytes) noexcept {
  memcpy(out->data + out->len, bytes.data(), bytes.size());
  out->len += static_cast<int>(bytes.size());
}
inline void advance(StringInfo out, std::size_t size) noexcept {
  out->len += static_cast<int>(size);
}

inline void append(StringInfo out, std::string_view bytes) {
  reserve(out, bytes.size());
  put(out, bytes);
}

// Bytes that may be read up to kPadding whatever their number, as keep_padded() leaves them: what
// is short, as most names are, is copied without a call.
inline constexpr std::size_t kPadding = 32;

inline void append_padded(StringInfo out, std::string_view bytes) {
  reserve(out, bytes.size() + kPadding);
  if (bytes.size() <= kPadding) {
    memcpy(out->data + out->len, bytes.data(), kPadding);
    advance(out, bytes.size());
  } else {
    put(out, bytes);
  }
}
inline std::string_view keep_padded(const StringInfoData& text) {
  const auto size = static_cast<std::size_t>(text.len);
  char* const copy = static_cast<char*>(palloc0(size + kPadding));
  memcpy(copy, text.data, size);
  return {copy, size};
}

void append_unsigned(StringInfo out, uint64 value);
void append_int(StringInfo out, int64 value);
void append_lsn(StringInfo out, XLogRecPtr lsn);
// 1,2,3: a list of int.
void append_numbers(StringInfo out, List* numbers);

// Text in the database's encoding.
void append_text(StringInfo out, Encoding* encoding, std::string_view text);
// What append_text() would append.
std::size_t text_size(Encoding* encoding, std::string_view text);

// Bytes of no known encoding: as they are, escaped; NUL, which no text holds, as \x00.
void append_bytes(StringInfo out, const Encoding& encoding, std::string_view bytes);
std::size_t bytes_size(const Encoding& encoding, std::string_view bytes);

}  // namespace deltaflood
