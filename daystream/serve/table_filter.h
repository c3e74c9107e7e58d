// Which tables a response has lines of: those that were asked for, of those that may be read.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace daystream::serve {

// A table list (daystream/manifest.h) in its names. Throws ConfigError where it is not one.
std::vector<std::string> split_table_list(const std::string& list);

// The names of both lists that the other one holds, as a list; empty: there are none. An empty list
// stands for all tables. It may be narrower than both together ("a*" and "*b" have no name in
// common), so it is what is shown, not what is enforced.
std::string narrowed(const std::string& one, const std::string& other);

// The same for the tables that a stream holds, as manifest and marks name them: where there are
// none, a list that matches nothing.
std::string narrowed_holding(const std::string& held, const std::string& granted);

// A filter option of a stream (daystream/manifest.h, Holding), as far as it is about tables of
// `granted`; nullopt: it is not. Empty `granted`: all of it. Of patterns those are kept that a name
// in `granted` may match: a reader has to know what is left out of what it sees.
std::optional<std::string> told_option(const std::string& option, const std::string& value,
                                       const std::string& granted);

// Threads: one.
class TableFilter {
 public:
  // Table lists; empty: all. Throws ConfigError.
  TableFilter(std::string asked, std::string granted);

  bool takes_all() const noexcept { return asked_.empty() && granted_.empty(); }
  // `table`: raw, as `_table` stands in a line.
  bool takes(std::string_view table) { return look_up(table).taken; }
  // The asker may know of it, whether it asked for its rows or not.
  bool may_name(std::string_view table) { return look_up(table).granted; }
  const std::string& granted() const noexcept { return granted_; }
  // The list that a client is shown. Empty: all, or, unless takes_all(), none.
  const std::string& text() const noexcept { return text_; }

 private:
  std::string asked_;
  std::string granted_;
  std::string text_;
  struct Known {
    std::string table;
    bool taken = false;
    bool granted = false;
  };
  const Known& look_up(std::string_view table);

  std::array<Known, 64> known_;  // the answers that were given before
};

}  // namespace daystream::serve
