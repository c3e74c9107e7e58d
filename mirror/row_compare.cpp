#include "row_compare.h"

#include <fmt/format.h>

#include <numeric>

#include "copy_pump.h"
#include "copy_text.h"
#include "progress.h"

namespace deltamirror {

namespace {

const std::string kTemporary = "_deltamirror_verify";

// What SQLite gives back for `value` once it is stored: -0.0 comes back as 0.0.
bool same(const Value& value, const Statement& row, int column) {
  sqlite3_stmt* const raw = row.raw();
  const int type = sqlite3_column_type(raw, column);
  switch (value.type) {
    case Value::Type::Null:
      return type == SQLITE_NULL;
    case Value::Type::Integer:
      return type == SQLITE_INTEGER && sqlite3_column_int64(raw, column) == value.integer;
    case Value::Type::Real:
      return type == SQLITE_FLOAT && sqlite3_column_double(raw, column) == value.real;
    case Value::Type::Text:
    case Value::Type::Blob: {
      if (type != (value.type == Value::Type::Text ? SQLITE_TEXT : SQLITE_BLOB)) return false;
      const auto* bytes = static_cast<const char*>(sqlite3_column_blob(raw, column));
      const auto size = static_cast<std::size_t>(sqlite3_column_bytes(raw, column));
      return std::string_view(bytes == nullptr ? "" : bytes, size) == value.bytes;
    }
  }
  return false;
}

std::string words(const Value& value) {
  switch (value.type) {
    case Value::Type::Null:
      return "NULL";
    case Value::Type::Integer:
      return std::to_string(value.integer);
    case Value::Type::Real:
      return fmt::format("{}", value.real);
    case Value::Type::Text:
      return fmt::format("\"{}\"", value.bytes.substr(0, 80));
    case Value::Type::Blob:
      return fmt::format("({} bytes)", value.bytes.size());
  }
  return {};
}

std::string question_marks(std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += i == 0 ? "?" : ",?";
  return out;
}

}  // namespace

RowCompare::RowCompare(Database& db, const MirroredTable& table, bool repair,
                       std::function<void(const std::string&)> tell)
    : db_(db), table_(table), key_(table.key()), repair_(repair), tell_(std::move(tell)) {}

void RowCompare::run(SeedSession& session, const SeedTable& source) {
  if (key_.empty()) {
    compare_keyless(session, source);
  } else {
    compare_keyed(session, source);
  }
}

void RowCompare::differs(const std::string& what) {
  ++differences_;
  tell_(what);
}

std::vector<int> RowCompare::all_columns() const {
  std::vector<int> out(table_.columns.size());
  std::iota(out.begin(), out.end(), 0);
  return out;
}

std::string RowCompare::column_list(const std::vector<int>& columns) const {
  std::string out;
  for (const int column : columns) {
    if (!out.empty()) out += ", ";
    out += quote_name(table_.columns[column].name);
  }
  return out;
}

void RowCompare::each_row(SeedSession& session, const SeedTable& source,
                          const std::vector<int>& columns,
                          const std::function<void(const std::vector<Value>&)>& row) {
  SeedTable part = source;
  std::string list;
  for (const int column : columns) {
    const SourceColumn* from = source.mirrored.shape.column(table_.columns[column].attnum);
    if (from == nullptr) {
      throw daystream::NeedsPerson(
          fmt::format("table \"{}\" has another shape than the mirror", table_.source_table),
          "seed the mirror again");
    }
    if (!list.empty()) list += ", ";
    list += daystream::program::quote_identifier(from->name);
  }
  part.own_search_path = false;
  part.copy_sql =
      fmt::format("COPY (SELECT {} FROM ONLY {}) TO STDOUT", list, source.relation.name.sql());
  std::vector<CopyField> fields;
  std::vector<std::string> scratch(columns.size());
  std::vector<Value> values(columns.size());
  CopyPump pump(session.start_copy(part));
  while (CopyPump::Batch* batch = pump.next()) {
    std::size_t start = 0;
    for (const std::size_t end : batch->ends) {
      split_copy_row(batch->bytes.data() + start, end - start, fields);
      start = end;
      if (fields.size() != columns.size()) {
        throw daystream::ProtocolError("a row of COPY has another number of columns");
      }
      for (std::size_t i = 0; i < fields.size(); ++i) {
        values[i] = fields[i].null
                        ? Value{}
                        : convert(table_.columns[columns[i]].type, fields[i].text, scratch[i]);
      }
      row(values);
    }
  }
}

void RowCompare::compare_keyed(SeedSession& session, const SeedTable& source) {
  const std::vector<int> columns = all_columns();
  const std::string name = quote_name(table_.name);
  std::string where;
  for (const int k : key_) {
    if (!where.empty()) where += " AND ";
    where += quote_name(table_.columns[k].name) + " = ?";
  }
  Statement find =
      db_.prepare(fmt::format("SELECT {} FROM {} WHERE {}", column_list(columns), name, where));
  Statement mend = db_.prepare(fmt::format("INSERT OR REPLACE INTO {}({}) VALUES({})", name,
                                           column_list(columns), question_marks(columns.size())));
  Progress progress("verifying " + table_.name, source.relation.estimated_rows);
  each_row(session, source, columns, [&](const std::vector<Value>& row) {
    std::string named;
    const auto key_words = [&] {
      for (const int k : key_) {
        if (!named.empty()) named += ", ";
        named += table_.columns[k].name + "=" + words(row[k]);
      }
      return named;
    };
    int index = 1;
    for (const int k : key_) row[k].bind_to(find, index++);
    std::string wrong;
    const bool found = find.step();
    if (found) {
      ++found_;
      for (std::size_t i = 0; i < row.size(); ++i) {
        if (same(row[i], find, static_cast<int>(i))) continue;
        if (!wrong.empty()) wrong += ", ";
        wrong += table_.columns[i].name;
      }
    }
    find.reset();
    if (!found) {
      differs(fmt::format("{}: row {} is missing in the mirror", table_.name, key_words()));
    } else if (!wrong.empty()) {
      differs(fmt::format("{}: row {} differs in {}", table_.name, key_words(), wrong));
    }
    if (repair_ && (!found || !wrong.empty())) {
      for (std::size_t i = 0; i < row.size(); ++i) row[i].bind_to(mend, static_cast<int>(i) + 1);
      mend.run();
      if (!found) ++found_;
    }
    progress.update(++rows_);
  });
  progress.finish(rows_);
  const auto count = std::stoull(db_.value("SELECT count(*) FROM " + name).value());
  if (count != found_) find_surplus(session, source);
}

// Only now are PostgreSQL's keys gathered: which of ours are not among them?
void RowCompare::find_surplus(SeedSession& session, const SeedTable& source) {
  const std::string name = quote_name(table_.name);
  const std::string keys = column_list(key_);
  std::string declared;
  std::string shown;
  std::string joined;
  for (const int k : key_) {
    const std::string column = quote_name(table_.columns[k].name);
    if (!declared.empty()) declared += ", ", shown += " || ', ' || ", joined += " AND ";
    declared += fmt::format("{} {} NOT NULL", column, table_.columns[k].type.declared());
    shown += fmt::format("{} || '=' || quote({})", quote_text(table_.columns[k].name), column);
    joined += fmt::format("v.{0} = {1}.{0}", column, name);
  }
  db_.exec(fmt::format("CREATE TEMP TABLE {}({}, PRIMARY KEY({})) WITHOUT ROWID", kTemporary,
                       declared, keys));
  {
    Statement insert = db_.prepare(
        fmt::format("INSERT INTO temp.{} VALUES({})", kTemporary, question_marks(key_.size())));
    each_row(session, source, key_, [&](const std::vector<Value>& row) {
      for (std::size_t i = 0; i < row.size(); ++i) row[i].bind_to(insert, static_cast<int>(i) + 1);
      insert.run();
    });
    const std::string surplus = fmt::format(
        "FROM {} WHERE NOT EXISTS (SELECT 1 FROM temp.{} v WHERE {})", name, kTemporary, joined);
    Statement select = db_.prepare(fmt::format("SELECT {} {}", shown, surplus));
    while (select.step()) {
      differs(fmt::format("{}: row {} is not in PostgreSQL", table_.name, select.text(0)));
    }
    select.reset();
    if (repair_) db_.exec("DELETE " + surplus);
  }
  db_.exec("DROP TABLE temp." + kTemporary);
}

// Rows without a key are compared as a multiset.
void RowCompare::compare_keyless(SeedSession& session, const SeedTable& source) {
  const std::vector<int> columns = all_columns();
  const std::string name = quote_name(table_.name);
  const std::string list = column_list(columns);
  std::string declared;
  std::string shown;
  for (const MirrorColumn& column : table_.columns) {
    if (!declared.empty()) declared += ", ", shown += " || ', ' || ";
    declared += quote_name(column.name) + " " + std::string(column.type.declared());
    shown += fmt::format("substr(quote({}), 1, 80)", quote_name(column.name));
  }
  db_.exec(fmt::format("CREATE TEMP TABLE {}({})", kTemporary, declared));
  {
    Statement insert = db_.prepare(
        fmt::format("INSERT INTO temp.{} VALUES({})", kTemporary, question_marks(columns.size())));
    each_row(session, source, columns, [&](const std::vector<Value>& row) {
      for (std::size_t i = 0; i < row.size(); ++i) row[i].bind_to(insert, static_cast<int>(i) + 1);
      insert.run();
      ++rows_;
    });
    const auto counted = [&](const std::string& table) {
      return fmt::format("SELECT {0}, count(*) AS _n FROM {1} GROUP BY {0}", list, table);
    };
    const auto tell_difference = [&](const std::string& from, const std::string& but,
                                     const char* what) {
      Statement select = db_.prepare(
          fmt::format("SELECT {}, _n FROM ({} EXCEPT {})", shown, counted(from), counted(but)));
      while (select.step()) {
        differs(fmt::format("{}: row ({}) {} {} times", table_.name, select.text(0), what,
                            select.integer(1)));
      }
    };
    tell_difference("temp." + kTemporary, name, "is in PostgreSQL");
    tell_difference(name, "temp." + kTemporary, "is in the mirror");
    if (repair_ && differences_ > 0) {
      db_.exec(
          fmt::format("DELETE FROM {0}; INSERT INTO {0} SELECT * FROM temp.{1}", name, kTemporary));
    }
  }
  db_.exec("DROP TABLE temp." + kTemporary);
}

}  // namespace deltamirror
