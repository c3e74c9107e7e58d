// Changes of tables, types and rows at random: everything that a person does to a schema.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/seed.h"
#include "support/cluster.h"

namespace fault {

// Works on tables of the schemas public and other, of which some are the wished ones, and on an
// enum, a composite type and a domain. It asks the server what there is, so that nothing has to be
// kept in step with what was rolled back or what did not work: a statement that the server refuses
// is a statement like any other.
class ShapeStorm {
 public:
  using Lines = std::vector<std::string>;

  // Makes the wished tables. `tag` is in every name that it invents, so that the storms of several
  // databases invent no name twice.
  ShapeStorm(support::Cluster& cluster, Random& random, std::string database = "postgres",
             std::string tag = "");

  // The tables in public that a mirror is to hold, whatever becomes of them.
  static const std::vector<std::string>& wished();

  // One change of shape among changes of rows, in one transaction, in one with a part that is
  // rolled back, or line by line; then `between` runs between any two lines. What was run.
  std::string step(const std::function<void()>& between);
  // What the last step was, for another database to repeat(); nothing where that cannot be said.
  const Lines& last() const { return last_; }
  std::string repeat(const Lines& lines, const std::function<void()>& between);
  // A wished table made again, of one shape in every database that runs it.
  Lines made_again();

 private:
  struct Table {
    std::string name;  // with its schema
    std::string bare;
    std::string schema;
    bool partitioned = false;
    bool logged = true;
  };
  struct Column {
    std::string name;
    std::string type;
    char kind = 'b';  // typtype
  };

  support::Rows query(const std::string& sql) const;
  void execute(const std::string& sql) const;
  std::vector<Table> tables() const;
  std::vector<Column> columns(const Table& table) const;  // beside id
  std::vector<std::string> own_types() const;
  std::string constraint(const Table& table) const;
  std::string fresh_name(const std::string& stem);
  std::string free_name();
  std::string some_type();
  std::string value(const Column& column) const;

  Lines change_rows();
  Lines change_shape();
  Lines change_tables();
  Lines change_identity(const Table& table);
  Lines change_columns(const Table& table);
  Lines change_types();
  Lines change_partitions(const Table& table);
  Lines create(const std::string& name);
  void dump_and_restore();
  void run(Lines lines, const std::function<void()>& between);
  void run_together(Lines lines);
  void run_one_by_one(const Lines& lines, const std::function<void()>& between);
  template <typename T>
  const T& one_of(const std::vector<T>& all) {
    return all.at(random_.below(all.size()));
  }

  support::Cluster& cluster_;
  Random& random_;
  const std::string database_;
  const std::string tag_;
  std::string done_;
  Lines last_;
  std::uint64_t names_ = 0;
};

}  // namespace fault
