#include "apply/partition_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "filter/row_filter.h"
#include "store/shared_table.h"

namespace deltamirror {

namespace {

constexpr const char* kFits = "_deltamirror_fits";

// Called by SQLite, which knows no exceptions; none is thrown but for want of memory.
void fits(sqlite3_context* context, int count, sqlite3_value** stored) {
  try {
    std::vector<Value> values;
    for (int i = 0; i < count; ++i) values.push_back(value_of(stored[i]));
    std::vector<const Value*> borrowed;
    for (const Value& value : values) borrowed.push_back(&value);
    const auto* const filter = static_cast<const RowFilter*>(sqlite3_user_data(context));
    sqlite3_result_int(context, filter->evaluate(borrowed).is_true() ? 1 : 0);
  } catch (...) {
    sqlite3_result_error_nomem(context);
  }
}

// The columns that the filter reads, for SQL; empty: the mirror does not have all of them as they
// are in PostgreSQL.
std::string columns_of(const RowFilter& filter, const MirroredTable& table) {
  std::string out;
  for (const int attnum : filter.attnums()) {
    const auto found =
        std::find_if(table.columns.begin(), table.columns.end(), [&](const MirrorColumn& column) {
          return column.attnum == attnum && column.type_override.empty();
        });
    if (found == table.columns.end()) return {};
    out += (out.empty() ? "" : ", ") + quote_name(found->name);
  }
  return out;
}

}  // namespace

std::optional<std::uint64_t> erase_partition(Database& db, MirroredTable& root, std::uint32_t oid,
                                             const TypeNames& types) {
  const auto found = root.partitions.rows.find(oid);
  if (found == root.partitions.rows.end() || root.mode != TableMode::Mirror) return std::nullopt;
  auto filter = std::make_unique<RowFilter>(found->second, root.shape, types);
  const std::string columns = columns_of(*filter, root);
  if (columns.empty()) return std::nullopt;
  const int code = sqlite3_create_function_v2(
      db.raw(), kFits, -1, SQLITE_UTF8 | SQLITE_DIRECTONLY, filter.release(), fits, nullptr,
      nullptr, [](void* owned) { delete static_cast<RowFilter*>(owned); });
  if (code != SQLITE_OK) throw SqliteError("could not tell the rows of a partition", code);
  const std::string own = where_own(root);
  db.exec(fmt::format("DELETE FROM {}{} {}({})", quote_name(root.name),
                      own.empty() ? " WHERE" : own + " AND", kFits, columns));
  const auto erased = static_cast<std::uint64_t>(db.changes());
  root.partitions.rows.erase(found);
  save_table(db, root);
  return erased;
}

}  // namespace deltamirror
