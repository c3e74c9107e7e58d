#include "verify/row_compare.h"

#include <fmt/format.h>

#include <numeric>

#include "filter/row_filter.h"
#include "model/joined.h"
#include "seed/copy_pump.h"
#include "seed/progress.h"
#include "store/shared_table.h"
#include "values/value_text.h"
#include "verify/key_scan.h"

namespace deltamirror {

namespace {

const std::string kTemporary = "_deltamirror_verify";
const std::string kCount = "_deltamirror_count";  // no column of a table is called so

void insert_all(Statement& insert, const RowBatch& batch) {
  for (std::size_t row = 0; row < batch.rows(); ++row) {
    for (std::size_t i = 0; i < batch.columns(); ++i) {
      batch.value(row, i).bind_to(insert, static_cast<int>(i) + 1);
    }
    insert.run();
  }
}

}  // namespace

RowCompare::RowCompare(Database& db, const MirroredTable& table, bool repair, Tell tell,
                       const Overlay* overlay)
    : db_(db),
      table_(table),
      key_(table.key()),
      repair_(repair),
      tell_(std::move(tell)),
      overlay_(overlay) {
  if (overlay != nullptr) overlaid_ = overlay->part(table.shape.oid);
  if (overlaid_ != nullptr) overlay_scan_.emplace(db, overlaid_->rows->rows());
}

void RowCompare::run(SeedSession& session, const SeedTable& source) {
  if (key_.empty()) {
    compare_keyless(session, source);
  } else {
    compare_keyed(session, source);
  }
}

void RowCompare::differs(const std::string& what, std::vector<Value> key, const RowBatch* batch,
                         std::size_t row) {
  ++differences_;
  tell_({.what = what, .key = std::move(key), .batch = batch, .row = row});
}

std::vector<int> RowCompare::all_columns() const {
  std::vector<int> out(table_.columns.size());
  std::iota(out.begin(), out.end(), 0);
  return out;
}

void RowCompare::each_batch(SeedSession& session, const SeedTable& source,
                            const std::vector<int>& columns, RowChoice rows,
                            const std::function<void(const RowBatch&)>& take) {
  SeedTable part = source;
  part.copied.clear();
  std::vector<std::string> names;
  for (const int column : columns) {
    if (table_.columns[column].attnum == kSourceColumn) {
      rows.first = source_literal(table_);
      part.copied.push_back({.wire = Wire::String, .type = {.kind = Kind::Text}});
      continue;
    }
    const SourceColumn* from = source.mirrored.shape.column(table_.columns[column].attnum);
    if (from == nullptr) {
      throw daystream::NeedsPerson(
          fmt::format("table \"{}\" has another shape than the mirror", table_.source_table),
          "seed the mirror again");
    }
    names.push_back(from->name);
    const ColumnType& type = table_.columns[column].type;
    part.copied.push_back({.wire = wire_of(session.types(), from->type, type),
                           .type = type,
                           .json_by_server = type.array});
  }
  part.by_query = false;
  if (table_.choice.where) rows.where = table_.choice.where->sql(source.mirrored.shape);
  part.copy_sql = copy_sql(source.relation, names, part.copied, rows);
  CopyPump pump(session.start_copy(part), part.copied);
  while (const RowBatch* batch = pump.next()) take(*batch);
}

void RowCompare::compare_keyed(SeedSession& session, const SeedTable& source) {
  const std::vector<int> columns = all_columns();
  const std::string name = quote_name(table_.name);
  KeyScan scan(db_, table_);
  Statement mend = db_.prepare(fmt::format("INSERT OR REPLACE INTO {}({}) VALUES({})", name,
                                           column_list(table_), question_marks(columns.size())));
  ProgressLine progress("verifying " + table_.name, source.relation.estimated_rows);
  each_batch(session, source, columns, {}, [&](const RowBatch& batch) {
    for (std::size_t row = 0; row < batch.rows(); ++row) {
      if (compare_row(scan, batch, row) || !repair_) continue;
      scan.reset();
      for (std::size_t i = 0; i < columns.size(); ++i) {
        batch.value(row, i).bind_to(mend, static_cast<int>(i) + 1);
      }
      mend.run();
    }
    progress.update(rows_);
    if (on_progress_) on_progress_(rows_);
  });
  progress.finish(rows_);
  const bool surplus = has_surplus(scan);
  // find_surplus() drops a table, which no statement may stand beside.
  scan.reset();
  if (overlay_scan_) overlay_scan_->reset();
  if (surplus) find_surplus(session, source);
}

bool RowCompare::has_surplus(KeyScan& scan) {
  if (scan.found_all()) return false;
  const auto count = [&](const MirroredTable& table) {
    return std::stoull(db_.value(fmt::format("SELECT count(*) FROM {}{}", quote_name(table.name),
                                             where_own(table)))
                           .value());
  };
  if (repair_) return count(table_) != rows_;
  if (overlaid_ == nullptr) return count(table_) != found_;
  return count(table_) != found_ + overlaid_->in_mirror ||
         count(overlaid_->rows->rows()) != found_overlaid_;
}

void RowCompare::run_sample(SeedSession& session, const SeedTable& source, const RowChoice& sample,
                            const std::function<bool(const RowBatch&, std::size_t)>& leave_out) {
  KeyScan scan(db_, table_);
  each_batch(session, source, all_columns(), sample, [&](const RowBatch& batch) {
    for (std::size_t row = 0; row < batch.rows(); ++row) {
      if (!leave_out(batch, row)) compare_row(scan, batch, row);
    }
  });
}

bool RowCompare::compare_row(KeyScan& scan, const RowBatch& batch, std::size_t row) {
  ++rows_;
  const bool overlaid = overlaid_ != nullptr && overlay_->covers(table_.shape.oid, batch, row);
  KeyScan& in = overlaid ? *overlay_scan_ : scan;
  const auto key_words = [&] {
    return joined(key_, ", ", [&](int k) {
      return table_.columns[k].name + "=" +
             value_text(batch.value(row, static_cast<std::size_t>(k)));
    });
  };
  const auto key = [&] {
    std::vector<Value> values;
    for (const int k : key_) values.push_back(batch.value(row, static_cast<std::size_t>(k)));
    return values;
  };
  if (!in.find(batch, row)) {
    differs(fmt::format("{}: row {} is missing in the mirror", table_.name, key_words()), key(),
            &batch, row);
    return false;
  }
  ++(overlaid ? found_overlaid_ : found_);
  std::size_t i = 0;
  while (i < batch.columns() && stores(in.row(), static_cast<int>(i), batch.value(row, i))) ++i;
  if (i == batch.columns()) return true;
  std::string wrong;
  for (; i < batch.columns(); ++i) {
    if (stores(in.row(), static_cast<int>(i), batch.value(row, i))) continue;
    if (!wrong.empty()) wrong += ", ";
    wrong += table_.columns[i].name;
  }
  differs(fmt::format("{}: row {} differs in {}", table_.name, key_words(), wrong), key(), &batch,
          row);
  return false;
}

// Only now are PostgreSQL's keys gathered: which of the mirror's are not among them?
void RowCompare::find_surplus(SeedSession& session, const SeedTable& source) {
  db_.exec(create_keys_sql(table_, kTemporary));
  {
    Statement insert = db_.prepare(
        fmt::format("INSERT INTO temp.{} VALUES({})", kTemporary, question_marks(key_.size())));
    each_batch(session, source, key_, {},
               [&](const RowBatch& batch) { insert_all(insert, batch); });
  }
  if (overlaid_ != nullptr) {
    tell_surplus(overlaid_->rows->rows().name);
    // What the mirror has of these rows is of no interest.
    db_.exec(fmt::format("INSERT OR IGNORE INTO temp.{} SELECT * FROM temp.{}", kTemporary,
                         overlaid_->rows->keys_name()));
  }
  tell_surplus(table_.name);
  db_.exec("DROP TABLE temp." + kTemporary);
}

// Rows of `from` whose keys have not been gathered.
void RowCompare::tell_surplus(const std::string& from) {
  const std::string name = quote_name(from);
  const std::string shown = joined(key_, " || ', ' || ", [&](int k) {
    const std::string& column = table_.columns[k].name;
    return fmt::format("{} || '=' || quote({})", quote_text(column), quote_name(column));
  });
  const std::string own = where_own(table_);
  const std::string surplus =
      fmt::format("FROM {}{} NOT EXISTS (SELECT 1 FROM temp.{} v WHERE {})", name,
                  own.empty() ? " WHERE" : own + " AND", kTemporary, key_equal(table_, "v", name));
  {
    Statement select =
        db_.prepare(fmt::format("SELECT {}, {} {}", shown, key_list(table_), surplus));
    while (select.step()) {
      std::vector<Value> key;
      for (std::size_t i = 0; i < key_.size(); ++i) {
        key.push_back(value_of(sqlite3_column_value(select.raw(), static_cast<int>(i) + 1)));
      }
      differs(fmt::format("{}: row {} is not in PostgreSQL", table_.name, select.text(0)),
              std::move(key));
    }
  }
  if (repair_) db_.exec("DELETE " + surplus);
}

// Rows without a key are compared as a multiset.
void RowCompare::compare_keyless(SeedSession& session, const SeedTable& source) {
  const std::vector<int> columns = all_columns();
  const std::string name = quote_name(table_.name);
  const std::string list = column_list(table_);
  const std::string declared = joined(table_.columns, ", ", [](const MirrorColumn& column) {
    return fmt::format("{} {}", quote_name(column.name), column.type.declared());
  });
  const std::string shown = joined(table_.columns, ", ", [](const MirrorColumn& column) {
    return fmt::format("substr(quote({}), 1, 80)", quote_name(column.name));
  });
  db_.exec(fmt::format("CREATE TEMP TABLE {}({})", kTemporary, declared));
  {
    Statement insert = db_.prepare(
        fmt::format("INSERT INTO temp.{} VALUES({})", kTemporary, question_marks(columns.size())));
    each_batch(session, source, columns, {}, [&](const RowBatch& batch) {
      insert_all(insert, batch);
      rows_ += batch.rows();
    });
    const auto counted = [&](const std::string& table) {
      return fmt::format("SELECT {0}, count(*) AS {3} FROM {1}{2} GROUP BY {0}", list, table,
                         where_own(table_), kCount);
    };
    const auto tell_difference = [&](const std::string& from, const std::string& but,
                                     const char* what) {
      Statement select = db_.prepare(fmt::format("SELECT {}, {} FROM ({} EXCEPT {})", shown, kCount,
                                                 counted(from), counted(but)));
      while (select.step()) {
        // Joined here: an expression over all columns would be too deep for SQLite.
        const int last = static_cast<int>(columns.size());
        std::string row;
        for (int i = 0; i < last; ++i) row += (i == 0 ? "" : ", ") + select.text(i);
        differs(
            fmt::format("{}: row ({}) {} {} times", table_.name, row, what, select.integer(last)));
      }
    };
    tell_difference("temp." + kTemporary, name, "is in PostgreSQL");
    tell_difference(name, "temp." + kTemporary, "is in the mirror");
    if (repair_ && differences_ > 0) {
      db_.exec(fmt::format("DELETE FROM {0}{1}; INSERT INTO {0}({2}) SELECT {2} FROM temp.{3}",
                           name, where_own(table_), list, kTemporary));
    }
  }
  db_.exec("DROP TABLE temp." + kTemporary);
}

}  // namespace deltamirror
