// What `daystream split` remembers in OUTDIR/split.json: how it splits, and what it has to know of
// tables when it is started again in the middle of the stream.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "daystream/lsn.h"
#include "daystream/stream.h"

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
  Lsn lsn;  // of the commit of the transaction that told it
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
  SplitBegin begin;
  std::string source_tables;  // the table list of the source, as it said last; empty: all
  // Oldest first. May be ahead of the parts: what is told after the place where a start goes on
  // from is told again, and forgotten until then.
  std::vector<SplitTable> tables;
};

inline constexpr const char* kSplitName = "split.json";
// Where `stream` is no daystream itself but what `split` has made: its directory, and what is
// remembered there.
std::optional<std::filesystem::path> split_directory(const Stream& stream);
std::optional<SplitCatalog> split_of(const Stream& stream);

std::string split_by_name(SplitBy by);

// The name of the folder for a table's or schema's part: all but letters, digits and `_.-` as %HH.
std::string part_folder(const std::string& name);
// The schema and the bare name in what `_table` spells, unescaped; "public" where there is none.
std::string schema_of(const std::string& table);

}  // namespace daystream::command
