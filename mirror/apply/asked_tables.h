// Which tables' rows a server is asked to send, so that a mirror of a few small tables of a busy
// database costs little on the way.
//
// A server goes by the names that lines have (daystream/serve/PROTOCOL.md, "Some tables only"), and
// has the shapes of all tables: so a followed table that takes another name is seen to do so.
// The rows that come then were not asked for: TableNotAsked, and the reading begins again from the
// mirror's last commit, with that name too. What is applied is the same as without any of this.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "daystream/error.h"

namespace deltamirror {

class AskedTables {
 public:
  // No more than nginx, which takes 4 KiB of headers from a server, lets through both ways.
  static constexpr std::size_t kMostBytes = 3072;

  // `name`: as SQL spells it (store/names.h). What is no name is passed over.
  void add(std::string_view name);

  // As a table list (daystream/manifest.h). Empty: everything, as there are no names, too many, or
  // one that a list does not name exactly.
  std::string list() const;

 private:
  std::set<std::pair<std::string, std::string>> names_;  // schema, table
};

// A followed table has a name whose rows were not asked for.
class TableNotAsked : public daystream::Error {
 public:
  explicit TableNotAsked(std::string name)
      : Error("rows of table " + name + " were not asked for"), name_(std::move(name)) {}
  bool retryable() const noexcept override { return true; }
  const std::string& name() const noexcept { return name_; }

 private:
  std::string name_;
};

}  // namespace deltamirror
