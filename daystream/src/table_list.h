// Table lists, beyond what manifest.h offers of them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "grammar/table_list.h"

namespace daystream {

// A list taken apart. Its patterns point into it and into `list`: it stays where it is made, and no
// longer than that.
class TableList {
 public:
  // Throws ConfigError where `list` is not one.
  explicit TableList(std::string_view list);
  TableList(const TableList&) = delete;
  TableList& operator=(const TableList&) = delete;

  const std::vector<grammar::Pattern>& patterns() const noexcept { return patterns_; }
  // `table`: as `_table` spells it.
  bool matches(std::string_view table) const;

 private:
  std::string storage_;
  std::vector<grammar::Pattern> patterns_;
};

// Whether one of `list`'s patterns matches all that `pattern`, a list of one, matches. Throws
// ConfigError.
bool table_list_covers(std::string_view list, std::string_view pattern);

}  // namespace daystream
