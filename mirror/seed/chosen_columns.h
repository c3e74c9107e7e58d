// Which columns and rows of a table are asked for, and what they are called in the mirror.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "filter/row_filter.h"
#include "store/mirrored_table.h"

namespace deltamirror {

// A request that does not fit its table: which of its keys, and why.
class RequestProblem : public daystream::ConfigError {
 public:
  RequestProblem(std::string pointer, const std::string& message, std::string hint = {})
      : ConfigError(message, std::move(hint)), pointer_(std::move(pointer)) {}
  const std::string& pointer() const noexcept { return pointer_; }  // in the request: /columns/2

 private:
  std::string pointer_;
};

// For a request without a query. Throws RequestProblem.
std::vector<MirrorColumn> chosen_columns(const TableRequest& request, const Shape& shape,
                                         const TypeNames& types);
// Its `where`; nullptr: it has none. `columns`: those of the mirror, with their types settled.
// `utf8`: the database's encoding is UTF-8. Throws RequestProblem.
std::shared_ptr<const RowFilter> chosen_rows(const TableRequest& request, const Shape& shape,
                                             const TypeNames& types,
                                             const std::vector<MirrorColumn>& columns, bool utf8);

// "there is no column "x" (a, b): did you mean …?"
std::string no_column(const std::string& name, const std::vector<std::string>& columns);

}  // namespace deltamirror
