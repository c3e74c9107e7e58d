// Which rows a piece of the stream changes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "daystream/transaction.h"
#include "mirrored_table.h"
#include "row_batch.h"

namespace deltamirror {

class TouchedKeys {
 public:
  // Only tables with a key are looked at.
  explicit TouchedKeys(const std::vector<MirroredTable>& tables);

  // Throws NeedsPerson once there are more keys than a sample is worth: the mirror is far behind.
  void read(daystream::Transaction& transaction);

  // All rows of the table may have changed, or its shape.
  bool whole_table(std::uint32_t oid) const { return tables_.at(oid).whole; }
  // `batch` has all columns of the table.
  bool contains(std::uint32_t oid, const RowBatch& batch, std::size_t row) const;
  bool contains(std::uint32_t oid, const std::vector<Value>& key) const;

 private:
  struct Table {
    const MirroredTable* table = nullptr;
    std::vector<int> key;
    std::vector<std::string> raw_names;  // of the key's columns, as lines have them
    std::unordered_set<std::string> keys;
    bool whole = false;
  };
  void add(Table& table, std::string_view columns);

  std::unordered_map<std::uint32_t, Table> tables_;
  std::unordered_map<std::string, std::uint32_t> oids_;  // by the name that lines have
  std::size_t count_ = 0;
};

}  // namespace deltamirror
