// What the tests of the plugin share: a server, a database for each test case, and the lines that
// its changes become.
#pragma once

#include <string>
#include <vector>

#include "support/cluster.h"

namespace plugin_test {

using Lines = std::vector<std::string>;
using Options = std::vector<std::pair<std::string, std::string>>;

// One server for all test cases of the program.
const support::Cluster& cluster();

// A line taken apart. Values are raw.
struct Fields {
  explicit Fields(const std::string& line);
  // The value of a key before, or after, the verb; nullopt: not there.
  std::optional<std::string> head(const std::string& key) const;
  std::optional<std::string> column(const std::string& key) const;
  std::string action;
  std::vector<std::pair<std::string, std::string>> heads, columns;
};

// A database of its own with a slot in it. Test cases do not see each other.
class Source {
 public:
  // `database_options` as in CREATE DATABASE.
  explicit Source(const std::string& plugin = "deltaflood",
                  const std::string& database_options = {});
  ~Source();
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  void execute(const std::string& sql) const { cluster().execute(sql, database_); }
  std::string scalar(const std::string& sql) const { return cluster().scalar(sql, database_); }
  support::Session session() const { return cluster().session(database_); }
  const std::string& database() const { return database_; }

  // Another slot of this database, made now, dropped with it.
  std::string add_slot(const std::string& plugin) const;

  // All changes since the slot was made, over the SQL functions: messages split into lines. They
  // stay in the slot.
  Lines peek(const Options& options = {}) const;
  Lines peek(const std::string& slot, const Options& options) const;
  // The same over a walsender, by pg_recvlogical. They stay in the slot, which is copied.
  Lines receive(const Options& options = {}) const;

 private:
  std::string database_;
};

// `lines` with xids written as 1, 2, 3… in order of their appearance and relations' OIDs likewise
// as A, B, C…, so that what must be equal can be.
Lines normalized(const Lines& lines);
// Without those whose verb is `action`.
Lines without(const Lines& lines, const std::string& action);

}  // namespace plugin_test
