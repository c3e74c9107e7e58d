// What `daystream log` says of a row's changes: for people, or one JSON object each.
#pragma once

#include <map>
#include <string>

#include "daystream/line.h"
#include "daystream/transaction.h"
#include "output.h"

namespace daystream::command {

// Names and values are raw, as they stand in the files.
using Columns = std::map<std::string, std::string, std::less<>>;

// Writes to standard output.
class LogEntries {
 public:
  explicit LogEntries(bool json);

  struct RowChange {
    const Columns& key;
    const Columns& before;   // what is known of the row
    const Columns& changed;  // what it became
  };
  // `at` is the line of the change, in `transaction`.
  void show(const Transaction& transaction, Position at, Action action, const RowChange& change);
  void flush() { output_.flush(); }

 private:
  void json_entry(const Transaction& transaction, Position at, Action action,
                  const RowChange& change);
  void text_entry(const Transaction& transaction, Position at, Action action,
                  const RowChange& change);
  void json_columns(const Columns& columns);

  bool json_;
  Output output_;
};

}  // namespace daystream::command
