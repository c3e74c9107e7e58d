// Which parts of a split a line goes to.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "daystream/line.h"
#include "split_catalog.h"

namespace daystream::command {

struct Route {
  bool all = false;                // every part there is
  std::vector<std::string> parts;  // else these, by name; empty: none

  void add(const Route& other);
};

// The same lines in the same order always give the same routes, also after a restart in between:
// whatever a route depends on comes from lines before, or from the catalog.
class Router {
 public:
  // Begins with what `tables` says of the stream up to `from`.
  Router(const SplitRule& rule, const std::vector<SplitTable>& tables, Lsn from);

  Route route(const Change& change);
  // A `schema` line: true where it changed what has to be remembered.
  bool learn(const Change& change, Lsn lsn, std::vector<SplitTable>& tables);

 private:
  struct Known {
    std::uint32_t oid = 0;
    std::vector<std::string> key;
  };

  std::string part_of_name(std::string_view raw_table) const;
  Route by_key(const Change& change) const;
  bool wanted(std::string_view raw_table);

  SplitRule rule_;
  std::map<std::string, Known, std::less<>> tables_;  // by raw name
  std::map<std::uint32_t, std::string> names_;        // raw, by oid
  std::map<std::string, bool, std::less<>> wanted_;   // answers of the table list
};

}  // namespace daystream::command
