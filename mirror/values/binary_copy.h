// COPY … TO STDOUT (FORMAT binary): how it is asked for, and its rows taken apart.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "values/row_batch.h"
#include "values/wire.h"

namespace deltamirror {

struct CopyColumn {
  Wire wire = Wire::Text;
  ColumnType type;  // what its values become
  // Of an array: the server takes it apart and makes the JSON, where it has one dimension that
  // begins at 1. Nothing of how we read arrays is asked then, so what we misread is found.
  bool json_by_server = false;
  // Where `type` was asked for: the column's name, and the word.
  std::string name = {};
  std::string asked = {};
};

// `select`: a query with as many columns. Those that we do not decode ourselves come as their
// output function's text, under the plugin's fixed settings.
std::string binary_copy_sql(std::string_view select, const std::vector<CopyColumn>& columns);

// Takes what the server sends apart: CopyData messages, each the header, a row, both, or the end.
class BinaryCopy {
 public:
  explicit BinaryCopy(std::vector<CopyColumn> columns);

  std::size_t columns() const noexcept { return columns_.size(); }
  // Adds the message's row, if it has one. Throws ProtocolError where it is no such message.
  void take(std::string_view message, RowBatch& batch);

 private:
  std::vector<CopyColumn> columns_;
  std::string scratch_;
  bool header_ = true;  // comes with the next message
};

}  // namespace deltamirror
