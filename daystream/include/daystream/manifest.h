// daystream.json: which PostgreSQL database a directory holds the changes of (FORMAT.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daystream/lsn.h"
#include "daystream/position.h"

namespace daystream {

inline constexpr int kFormatVersion = 1;

// What the stream holds after the line at `since`, which is where a reader goes on: deltastream
// adds one when the effective table filter or a filter option changes. The same text is in the mark
// that begins each connection.
struct Holding {
  Position since;
  std::string tables;  // the plugin's `tables` option as given; empty: all
  std::vector<std::pair<std::string, std::string>> options;  // the other filters, as given

  // What the fields of a mark (`Change::columns`) say; nullopt: it says nothing of this.
  static std::optional<Holding> of_mark(std::string_view fields);
  // The same backwards, for MarkFacts::holds.
  std::vector<std::pair<std::string, std::string>> fields() const;

  bool same_filter(const Holding&) const;
  // Whether changes of `table` (spelt as `_table` spells it) are in the stream, as far as its
  // filters `tables` and `exclude-tables` say. What those say of a partition depends on the tables
  // that it is a part of as well.
  bool holds(std::string_view table) const;
  // The filter `exclude-tables`; empty: it is not given.
  std::string_view excluded_tables() const;
  // Whether rows of partitions come under the name of the table at the top (`partition-root`).
  bool by_root() const;
};

// One of the streams that `daystream merge` made one of, in commit-time order: of different
// databases, so what is said of one of them (an LSN, a transaction id) says nothing of another.
struct MergedSource {
  std::string name;  // what lines call it: `_source`
  std::string system_identifier;
  std::string database;
  std::string slot;

  bool operator==(const MergedSource&) const = default;
};

// What a stream, a mirror or a server is of: a database, read by a slot. A stream that was read
// from a pipe knows none of them.
struct SourceIdentity {
  std::string system_identifier;
  std::string database;
  std::string slot;

  bool operator==(const SourceIdentity&) const = default;
};

// Whether a stream that was read from a pipe may be of the same source as one that names it.
enum class Pipe { MayBeTheSame, IsAnother };

// Throws WrongSource, with `hint`, where the two differ: `daystream "x" is of database "a", not "b"
// as the server`. What one of them does not know (it is empty) does not differ.
void require_same_source(const std::string& one, const SourceIdentity& of_one,
                         const std::string& other, const SourceIdentity& of_other,
                         const std::string& hint, Pipe pipe = Pipe::MayBeTheSame);

struct Manifest {
  int format = kFormatVersion;
  std::string name;               // what people call the stream; the directory's name by default
  std::string system_identifier;  // PostgreSQL's, decimal; empty when read from a pipe
  std::string database;
  std::string slot;
  std::string id;       // that no other stream has, but its copies; empty: none
  std::string created;  // 2026-11-21T10:15:04Z
  // Where the slot stood then: nothing up to there was confirmed for this stream. nullopt: it was
  // read from a pipe, or merged.
  std::optional<Lsn> begun;
  std::vector<Holding> holdings;  // oldest first, at least one
  // Not empty: a stream of several databases; then it has no system identifier and database itself.
  std::vector<MergedSource> sources;
  // What deltastream deletes from the front: days older than so many before the current one, and
  // the oldest while all take more bytes than that; nullopt: nothing for that reason.
  std::optional<std::uint64_t> keep_days;
  std::optional<std::uint64_t> keep_bytes;

  SourceIdentity source() const { return {system_identifier, database, slot}; }
  // The holding in force after `position`; nullptr: that was before the first.
  const Holding* holding_at(const Position& position) const noexcept;
  // Throws NeedsPerson, with `advice`, where the stream is merged of several databases: an LSN, a
  // transaction id and an OID are of one.
  void require_one_database(const std::string& address, const std::string& advice) const;

  // Throws IoError (no such file), Corruption (not our JSON), WrongSource (newer format).
  static Manifest load(const std::filesystem::path& directory);
  // Replaces the file whole: temporary file, fsync, rename, fsync of the directory.
  void save(const std::filesystem::path& directory) const;
};

// An id for a new stream: 32 random hexadecimal digits.
std::string new_stream_id();

// Table lists: comma-separated names as the `tables` option takes them (FORMAT.md, "Table lists").
//
// Throws ConfigError where `list` is not one; the empty one is not.
void check_table_list(std::string_view list);
// Whether `list` has `table`, which is spelt as `_table` spells it. Throws as check_table_list().
bool table_list_matches(std::string_view list, std::string_view table);

}  // namespace daystream
