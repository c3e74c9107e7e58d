// Reading and writing the deltaflood line: tab-separated key, value, key, value… (FORMAT.md).
//
// Views returned here point into the line that was given and live as long as it does. Names and
// values are raw, that is still escaped, until unescape().
// Threads: everything here is a value or a pure function.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daystream/lsn.h"

namespace daystream {

// NULL as a raw value. No escaped text can be these two characters.
inline constexpr std::string_view kNull = "\\N";

// Appends `text` with tab, newline, carriage return and backslash escaped, and every byte that is
// not part of valid UTF-8 as \xHH.
void escape_to(std::string& out, std::string_view text);
// Appends the text that `raw` stands for. Throws ProtocolError on an escape that is not one.
void unescape_to(std::string& out, std::string_view raw);
std::string unescape(std::string_view raw);

// The verb of a line: what follows `_action`.
enum class Action : std::uint8_t {
  // a row
  Insert,
  Update,
  Delete,
  Replace,
  // a table
  Truncate,
  Schema,
  Drop,
  Rewrite,
  Oversize,
  // a transaction
  Message,
  Commit,
  // the Writer's own
  Mark,
  Abort,
  Gap,
};
std::string_view action_name(Action) noexcept;
std::optional<Action> action_named(std::string_view) noexcept;

// Walks key, value pairs from left to right.
class FieldCursor {
 public:
  explicit FieldCursor(std::string_view fields) noexcept : rest_(fields) {}

  // The next pair; false at the end. Throws ProtocolError on a key without a value.
  bool next(std::string_view& key, std::string_view& value);
  std::string_view rest() const noexcept { return rest_; }

 private:
  std::string_view rest_;
};

// A deltaflood line, taken apart up to its verb. Keys before `_action` that this version does not
// know stay reachable through `leading_fields`.
struct Change {
  Action action = Action::Insert;
  std::string_view table;         // raw `_table`, empty where the verb has none
  std::string_view identity;      // raw `_identity`
  std::string_view primary_key;   // raw `_pkey`: attribute numbers
  std::string_view identity_key;  // raw `_ikey`
  std::uint32_t xid = 0;
  std::uint32_t oid = 0;              // `_oid`
  std::uint32_t root = 0;             // `_root`
  Lsn lsn;                            // `_lsn`: a commit's end, a mark's place
  std::optional<std::uint64_t> next;  // `_next`: the next 64-bit transaction id
  std::optional<std::uint32_t> timeline;
  std::optional<std::uint32_t> crc;
  std::int64_t time_us = 0;         // `_time`: microseconds since 1970 UTC; 0 where there is none
  std::string_view leading_fields;  // all fields before `_action`
  std::string_view columns;         // all fields after the verb: FieldCursor{columns}
};

// Takes a line apart: `body` is a deltaflood line, without `_c`, `_s` and newline. Throws
// ProtocolError where it is not one.
Change parse_change(std::string_view body);

// `_xid` is PostgreSQL's 32-bit transaction id. With the `_next` of its own commit line, which no
// running transaction is ahead of, it becomes the 64-bit id.
std::uint64_t widen_xid(std::uint32_t xid, std::uint64_t next) noexcept;

}  // namespace daystream
