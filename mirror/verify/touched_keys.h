// Which rows a piece of the stream changes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "apply/line_key.h"
#include "daystream/transaction.h"
#include "store/mirrored_table.h"
#include "values/row_batch.h"

namespace deltamirror {

// Lifetime: borrows the tables.
class TouchedKeys {
 public:
  explicit TouchedKeys(const std::vector<MirroredTable>& tables);

  // Throws NeedsPerson once there are more keys than a sample is worth: the mirror is far behind.
  void read(daystream::Transaction& transaction);

  // The table that the line is about; nullptr: none of them.
  const MirroredTable* followed(const daystream::Change& change) const;
  // Takes up a line of a table that is followed(); `is_new` is called with a key that no line had
  // before.
  using IsNew = std::function<void(const std::vector<Value>& key)>;
  void take(const daystream::Change& change, const IsNew& is_new);
  std::size_t count() const noexcept { return count_; }  // of keys

  // All rows of the table may have changed, or its shape; or it has no key and changed.
  bool whole_table(std::uint32_t oid) const { return tables_.at(oid).whole; }
  // `batch` has all columns of the table.
  bool contains(std::uint32_t oid, const RowBatch& batch, std::size_t row) const;
  bool contains(std::uint32_t oid, const std::vector<Value>& key) const;

 private:
  struct Table {
    const MirroredTable* table = nullptr;
    std::vector<int> key;
    std::optional<LineKey> line_key;  // nullopt: it has none
    std::unordered_set<std::string> keys;
    bool whole = false;
  };
  void add(Table& table, std::string_view columns, const IsNew& is_new);
  const Table* find(const daystream::Change& change) const;

  std::unordered_map<std::uint32_t, Table> tables_;
  std::unordered_map<std::string, std::uint32_t> oids_;  // by the name that lines have
  std::size_t count_ = 0;
};

}  // namespace deltamirror
