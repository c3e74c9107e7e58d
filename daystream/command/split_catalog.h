// What `daystream split` remembers beside its parts: in split.json how it splits, and in
// split.tables what it has to know of tables when it is started again in the middle of the stream.
// The second only grows, a line at a time: a stream may have as many tables as transactions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daystream/lsn.h"
#include "daystream/manifest.h"
#include "daystream/stream.h"
#include "dir.h"

namespace daystream::command {

enum class SplitBy { Table, Schema, Key };

struct SplitRule {
  SplitBy by = SplitBy::Table;
  std::uint32_t into = 0;  // how many parts; 0: as many as there are names
  std::string tables;      // a table list; empty: all

  bool operator==(const SplitRule&) const = default;
};

// Where the split began: what each part's first mark says.
struct SplitBegin {
  Lsn lsn;
  std::optional<std::uint64_t> next;
  std::optional<std::uint32_t> timeline;
};

// A `schema` line, as far as routing needs it.
struct SplitTable {
  Lsn lsn;  // of the commit of the transaction that said it
  std::uint32_t oid = 0;
  std::string table;             // raw `_table`
  std::vector<std::string> key;  // raw names

  bool operator==(const SplitTable&) const = default;
};

class SplitCatalog {
 public:
  // Loads what there is; nullopt: nothing yet. Throws Corruption.
  static std::optional<SplitCatalog> load(const std::filesystem::path& directory);
  // Replaces the file whole.
  void save(const std::filesystem::path& directory) const;

  SplitRule rule;
  std::string system_identifier;  // of the source
  std::string database;
  SourceIdentity source() const { return {system_identifier, database, {}}; }

  SplitBegin begin;
  std::string source_tables;  // the table list of the source, as it said last; empty: all
  bool has_tables = false;    // as an earlier version had them; save() leaves them out
};

inline constexpr const char* kSplitName = "split.json";
inline constexpr const char* kSplitTablesName = "split.tables";

// The tables that the stream has described, oldest first.
//
// Crash:  lines are on disk before save() returns. One that a crash cut short had not been followed
//         by anything that depends on it, and is described again.
class SplitTables {
 public:
  // Begins with nothing: what an earlier attempt left there goes.
  static SplitTables begin(const std::filesystem::path& directory);
  // What is there, as far as `to`: what was described after that is described again. Throws
  // Corruption where split.json is there and this is not.
  static SplitTables load(const std::filesystem::path& directory, Lsn to);

  const std::vector<SplitTable>& all() const noexcept { return tables_; }
  // The caller appends what it learns, and save()s it before anything that depends on it is
  // written.
  std::vector<SplitTable>& learned() noexcept { return tables_; }
  void save();

 private:
  SplitTables(const std::filesystem::path& directory, std::vector<SplitTable> tables);

  std::vector<SplitTable> tables_;
  std::size_t saved_ = 0;  // so many of them are on disk
  std::uint64_t size_ = 0;
  std::unique_ptr<File> file_;
};
// Where `stream` is no daystream itself but what `split` has made: its directory, and what is
// remembered there.
std::optional<std::filesystem::path> split_directory(const Stream& stream);
std::optional<SplitCatalog> split_of(const Stream& stream);
// The database that `stream`, the parts of a split or a daystream, is of. Throws NeedsPerson where
// it is merged of several.
SourceIdentity source_of(const Stream& stream);

std::string split_by_name(SplitBy by);

// The name of the folder for a table's or schema's part: all but letters, digits and `_.-` as %HH.
std::string part_folder(const std::string& name);
// The schema and the bare name in what `_table` spells, unescaped; "public" where there is none.
std::string schema_of(const std::string& table);

}  // namespace daystream::command
