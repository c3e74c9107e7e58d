// What the `schema` lines of a stream have said of its tables: needed wherever a line alone does
// not say which of its columns are the key.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daystream/line.h"
#include "daystream/position.h"
#include "daystream/stream.h"

namespace daystream::command {

// Names are raw here, as they stand in the files.
struct KnownTable {
  std::uint32_t oid = 0;
  char identity = 'd';  // d: the primary key, i: a unique index, f: the whole row, n: nothing
  std::vector<std::string> key;  // the columns that identify a row; empty: there are none
  std::vector<std::pair<std::string, std::string>> columns;  // name and type, in their order

  std::vector<std::string> generated;  // columns that nobody may set

  bool is_generated(std::string_view column) const noexcept;
  // The type of a column without "not null"; empty: there is no such column.
  std::string_view type_of(std::string_view column) const noexcept;
};

class TableBook {
 public:
  // `change` is a `schema` line; it replaces what was known of the table of that name.
  void learn(const Change& change);
  // nullptr: no schema line of it was seen. `table` is a raw `_table`. Valid until learn().
  const KnownTable* find(std::string_view table) const;

  // Reads the stream backwards from `position`, a day at a time, until a schema line of `table` is
  // found, and learns it: for readers that begin in the middle. Does nothing where there is none.
  // `source`: only those of this raw `_source`; empty: the stream is of one database.
  void look_back(const Stream& stream, Position position, std::string_view table,
                 std::string_view source = {});

 private:
  std::map<std::string, KnownTable, std::less<>> tables_;
};

}  // namespace daystream::command
