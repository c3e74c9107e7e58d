// Which lines of a transaction are wanted: the filters of `cat` and `tail`.
//
// A `replace` and the `update` after it are one change: they are kept or left out together.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daystream/line.h"
#include "daystream/transaction.h"
#include "search.h"

namespace daystream::command {

struct SelectionOptions {
  std::string tables;                // a table list; empty: all
  std::vector<std::string> where;    // COLUMN=VALUE, all must hold
  std::vector<std::string> actions;  // names; empty: all
  std::optional<std::uint32_t> xid;
  std::string source;  // of a stream merged of several databases: only its; empty: all
};

class Selection {
 public:
  // Throws ConfigError where an option cannot be understood.
  explicit Selection(const SelectionOptions& options);

  bool takes_all() const noexcept { return all_; }
  // Whether single lines of a table may be left out: then pairs have to be looked for.
  bool looks_at_rows() const noexcept { return !where_.empty() || !actions_.empty(); }
  bool takes_transaction(const Transaction& transaction) const;
  // Whether the line is wanted by itself. Marks, gaps and commit lines are not asked for.
  bool takes_line(const Line& line);
  // Whether it is of the source asked for, in a stream merged of several.
  bool takes_source(const Transaction& transaction) const;
  // The next line that may be wanted, or the `replace` that it belongs to: others need not be asked
  // for. `with_shapes`: or that may be a `schema` line. False: there is none.
  bool next_candidate(Transaction& transaction, Line& line, bool with_shapes) const;

 private:
  bool takes_table(std::string_view table);
  bool takes_columns(std::string_view body) const;

  struct Condition {
    Needle needle;       // tab, raw column, tab, raw value: every line that holds it, has it
    std::string column;  // raw
    std::string value;   // raw
  };

  bool all_ = true;
  std::string tables_;
  std::vector<Condition> where_;
  std::vector<Action> actions_;
  std::optional<std::uint32_t> xid_;
  std::string source_;            // raw
  std::optional<Needle> needle_;  // in every line that is wanted, or in the other one of its pair
  struct Known {
    std::string table;
    bool taken = false;
  };
  std::array<Known, 256> known_tables_;  // the answers that were given before
};

}  // namespace daystream::command
