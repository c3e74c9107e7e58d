// daystream cat --format=sql: SQL statements that do again what the lines say.
//
// One transaction of the source is one BEGIN … COMMIT. A row is found by its replica identity; one
// of a table without a key, under REPLICA IDENTITY FULL, by all its columns, one row where several
// are equal. Names and types are PostgreSQL's own, values are literals without a type, which take
// the column's. Changes of a table's shape are comments: the tables that the script is for
// have a shape of their own.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "presenter.h"
#include "table_book.h"

namespace daystream::command {

class SqlPresenter final : public Presenter {
 public:
  // `stream` is looked back into for the keys of tables whose schema line came earlier.
  // `source`: the raw `_source` that all lines given are of, where the stream is of several.
  explicit SqlPresenter(Stream stream, std::string source = {})
      : stream_(std::move(stream)), source_(std::move(source)) {}

  void start(std::string& out) override;
  void line(std::string& out, const Transaction& of, const Line& line) override;
  void end(std::string& out, const Transaction& of) override;
  bool needs_shapes() const noexcept override { return true; }
  void learn(const Line& line) override;
  // Throws NeedsPerson where a change was left out as a comment.
  void finish() override;

 private:
  using Columns = std::vector<std::pair<std::string, std::string>>;  // raw

  void insert(std::string& out, const Change& change);
  void update(std::string& out, const Change& change, Position at);
  void erase(std::string& out, const Change& change, Position at);
  void where(std::string& out, const std::string& table, const KnownTable* known,
             const Columns& old) const;
  void truncate(std::string& out);
  void tell_shape(std::string& out, const Change& change);
  void leave_out(std::string& out, const Change& change, Position at, const char* why);
  void statement(std::string& out, const Transaction& of);
  const KnownTable* known(std::string_view table, Position at);

  Stream stream_;
  std::string source_;
  TableBook book_;
  std::set<std::string, std::less<>> looked_for_;  // tables that look_back() was asked for
  bool open_ = false;                              // BEGIN is written
  std::optional<Columns> old_;                     // of a `replace`, until its `update`
  std::vector<std::string> truncated_;             // adjacent lines of one TRUNCATE
  std::uint64_t left_out_ = 0;
};

// A raw name or value as SQL: "a name", 'a value', NULL.
void sql_name(std::string& out, std::string_view raw);
void sql_value(std::string& out, std::string_view raw);
// A raw `_table`: with its schema.
std::string sql_table(std::string_view raw);

}  // namespace daystream::command
