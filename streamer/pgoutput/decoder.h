// From the messages of pgoutput to the lines that our own plugin would have written
// (daystream/FORMAT.md): a transaction comes out whole, when it is committed. Pure but for the
// files of transactions in progress: no socket, no clock, no catalog.
//
// What pgoutput does not say of a table, rows of deltaflood.ddl do, which come in the stream like
// any others and lie where the shape of a table changes. Where they and the server's own words
// disagree, or there are none, the table is *unknown*: its rows are not told, and an `oversize`
// line says so, after which every mirror copies the table again.
//
// Errors: ProtocolError on what is no message of pgoutput; IoError.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "pgoutput/message.h"
#include "pgoutput/shape.h"
#include "pgoutput/spool.h"

namespace deltastream::pgoutput {

// A row of deltaflood.ddl.
struct ShapeRow {
  std::uint32_t relation = 0;  // 0 with `error`
  std::string kind;            // shape, gone, rewrite, error
  std::string shape;           // JSON, with `shape`
};

// Keeps what the rows of deltaflood.ddl said, for the next connection.
class ShapeKeeper {
 public:
  virtual ~ShapeKeeper() = default;
  // Keeps the rows of the transaction that ends at `lsn`. They are on disk when it returns.
  virtual void keep(daystream::Lsn lsn, const std::vector<ShapeRow>& rows) = 0;
};

class Decoder {
 public:
  // `known`: what tables are where the stream begins. `next`: a 64-bit transaction id of the server
  // that is not 2^31 transactions away from the first one to come. `spool`, `keeper`: borrowed.
  Decoder(Spool& spool, ShapeKeeper& keeper, std::string publication,
          const std::vector<ShapeRow>& known, std::uint64_t next);

  bool knows_any() const noexcept { return !tables_.empty(); }

  // One message. Not while busy().
  void take(std::string_view message);

  // A transaction in progress has been committed, and its lines are being made: so many bytes of
  // them more.
  bool busy() const noexcept { return replay_.rows != nullptr; }
  void go_on(std::size_t bytes);

  // What has been made of it: lines with a newline between them, none at the end. The lines of a
  // transaction are all there once its commit line is.
  const std::string& lines() const noexcept { return lines_; }
  bool at_commit() const noexcept { return at_commit_; }  // lines() ends in a commit line
  void clear_lines() noexcept;

  // Tables that have become unknown since it was last asked; 0 among them: all are.
  std::set<std::uint32_t> take_unknown();

  // A table whose changes the publication tells no longer, from the transaction at hand on.
  struct Left {
    std::string name;       // what lines call it, unescaped
    bool is_there = false;  // PostgreSQL has it still, and the publication some of its changes
  };
  // Those since it was last asked. Asked after each message, it names them before the line that
  // drops them is given.
  std::vector<Left> take_left() { return std::exchange(left_, {}); }

  // The transaction id that is next, as far as this stream knows.
  std::uint64_t next() const noexcept { return next_; }

 private:
  struct PlanColumn {
    std::string prefix;  // TAB, escaped name, TAB
    bool boolean = false;
    bool identity = false;
  };
  struct Plan {
    std::string head;  // _table TAB name TAB _xid TAB
    std::vector<PlanColumn> columns;
    bool full = false;          // the replica identity is the whole row
    bool has_identity = false;  // old rows can be named
  };
  enum class Role : char { Table, Shapes, Ours };
  enum class Verdict : char { Open, Known, Unknown };
  struct Table {
    std::uint32_t oid = 0;
    Role role = Role::Table;
    std::optional<Relation> relation;
    std::optional<Shape> shape;
    std::string fields;  // of its schema line, as far as it is known without `relation`
    bool told = false;   // a schema line was written on this connection
    Verdict verdict = Verdict::Open;
    Plan plan;
    std::uint64_t doubted_in = 0;     // the transaction in which a line said that it is unknown
    std::unique_ptr<SpoolFile> held;  // its rows, whose shape may still come in the transaction
  };
  // What a transaction has said of a table since lines were last written.
  struct Pending {
    bool rewritten = false;
    bool gone = false;
    bool unread = false;
    bool was_out = false;  // of the stream for a while: changes of it then were not sent
    std::optional<Shape> shape;
  };

  // The transaction at hand.
  struct Current {
    bool open = false;
    std::uint32_t xid = 0;
    std::string xid_text;
    Part part = Part::Whole;
    std::uint64_t number = 0;  // counts transactions, from 1
    bool has_lines = false;
    std::vector<ShapeRow> shape_rows;
    std::map<std::uint32_t, Pending> pending;
    bool all_unknown = false;
    std::vector<std::uint32_t> holding;  // tables with rows held back
  };
  // One that was kept in the spool, and has been committed.
  struct Replay {
    std::unique_ptr<SpoolFile> rows;
    Commit end;
  };

  void begin(std::uint32_t xid, Part part);
  void commit(daystream::Lsn lsn, Microseconds time_us);
  void take_in_block(Kind kind, std::string_view message);
  void take_stream_commit(std::string_view message);
  void take_change(Kind kind, std::string_view message);
  void take_relation(Relation relation);
  void take_row(std::string_view message);
  void take_truncate(const Truncate& truncate);
  void take_shape_row(const Table& table);
  bool is_of_this(std::string_view xid) const;  // transaction
  void note(const ShapeRow& row);

  Table& table_of(std::uint32_t oid);
  bool is_known(Table& table);
  void make_plan(Table& table);
  void hold(Table& table, std::string_view message);
  void release_held(Table& table);
  void settle_pending();
  void settle(Table& table, Pending& pending);
  void forget_all();
  void tell(Table& table);
  void doubt(Table& table, std::string_view why);
  void write_doubt(std::string_view raw_name, std::string_view why);
  void write_row(const Table& table);
  void write_line(const Table& table, std::string_view verb, const Tuple& row, bool old);
  void write_table_line(const Table& table, std::string_view fields);
  void begin_line();
  std::uint64_t widen(std::uint32_t xid) const noexcept;

  Spool& spool_;
  ShapeKeeper& keeper_;
  const std::string publication_;
  std::uint64_t next_;
  std::unordered_map<std::uint32_t, Table> tables_;
  Table* last_ = nullptr;  // what table_of() gave last
  std::set<std::uint32_t> unknown_;
  std::vector<Left> left_;
  std::string lines_;
  bool at_commit_ = false;

  Current now_;
  RowChange row_;  // taken apart last
  Replay replay_;
};

}  // namespace deltastream::pgoutput
