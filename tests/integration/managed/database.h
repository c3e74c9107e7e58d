// A database with sql/deltaflood_managed.sql in it, and what that has written.
#pragma once

#include <string>
#include <vector>

#include "support/cluster.h"

namespace managed_test {

using Lines = std::vector<std::string>;

// One server for all test cases of the program.
const support::Cluster& cluster();

// The file itself.
std::string managed_sql();

// A database of its own with a publication `flood` of all tables. Test cases do not see each other.
class Database {
 public:
  // `install` also runs the file and installs `flood`.
  explicit Database(bool install = true);

  const std::string& name() const noexcept { return name_; }
  support::Session session(const std::string& user = "postgres") const;
  void execute(const std::string& sql) const { cluster().execute(sql, name_); }
  std::string scalar(const std::string& sql) const { return cluster().scalar(sql, name_); }
  support::Rows query(const std::string& sql) const { return cluster().query(sql, name_); }

  // The rows of deltaflood.ddl since the last call, as "shape orders" or "gone orders".
  Lines written();
  // Tables of which the newest row does not say what is true now; all followed ones are compared.
  Lines untrue() const;

 private:
  std::string name_;
  std::string last_ = "0";
};

// The server's message and hint, or "no error".
std::string message_of(support::Session& session, const std::string& sql);

}  // namespace managed_test
