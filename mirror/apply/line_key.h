// The key of the row that a line of the stream is about.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/mirrored_table.h"

namespace deltamirror {

// Lifetime: borrows the table, whose key must not be empty.
class LineKey {
 public:
  explicit LineKey(const MirroredTable& table);

  // `columns`: the raw fields after the verb. False: a part of the key is not among them, as it did
  // not change. True: values() are the key's.
  bool read(std::string_view columns);
  // In the order of the table's key(). Borrow this and the line, until the next read().
  const std::vector<Value>& values() const noexcept { return values_; }

 private:
  const MirroredTable& table_;
  std::vector<int> key_;
  std::vector<std::string> raw_names_;  // of the key's columns, as lines have them; that of the
                                        // source's name is empty
  std::vector<std::string> unescaped_;
  std::vector<std::string> scratch_;
  std::vector<Value> values_;
};

}  // namespace deltamirror
