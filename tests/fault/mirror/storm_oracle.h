// What a mirror under a storm is to hold, as fresh seeds have it, and where it does not.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "support/cluster.h"
#include "support/sqlite_reader.h"
#include "support/temp_dir.h"

namespace fault {

// One database that a mirror holds tables of.
struct StormSource {
  std::string name;  // in the mirror; empty: the only one, whose tables are not shared
  std::string database;
  std::filesystem::path stream;
};

// Compares a mirror with fresh seeds of its tables, which are made by the same program, but by
// another way. The comparison, and what may stand in one table, are told here by code of its own.
//
// The tables of PostgreSQL stand still while difference() is asked, until forget().
class StormOracle {
 public:
  // `called`: the name in the mirror of each table that is wished for, by SCHEMA.TABLE.
  StormOracle(support::Cluster& cluster, std::vector<StormSource> sources,
              std::map<std::string, std::string> called);

  // What is wrong; empty: nothing. With `copies` every table that PostgreSQL has is to be there;
  // else it may be missing where the mirror says why, and what helps.
  std::string difference(const std::filesystem::path& mirror, bool copies);
  void forget();

  // Tables that are wished for and not followed, by source and name in the mirror.
  using Missing = std::vector<std::pair<std::string, std::string>>;
  static Missing missing(const std::filesystem::path& mirror);

 private:
  struct Column {
    std::string name;
    std::string type;
    int key = 0;  // its place in the key; 0: it is not of it
    bool not_null = false;
    bool operator==(const Column&) const = default;
  };
  struct Content {
    bool followable = true;  // a seed takes it
    std::vector<Column> columns;
    std::vector<std::string> rows;
  };
  struct Table {
    std::string name;  // in the mirror
    std::string state;
    std::string reason;
    std::string hint;
  };
  using Tables = std::map<std::string, Table>;  // by PostgreSQL's name

  static Tables tables(support::SqliteReader& reader, const StormSource& source);
  static std::string states(support::SqliteReader& reader);
  static Content content(support::SqliteReader& reader, const std::string& table);
  static std::vector<std::string> rows(support::SqliteReader& reader, const std::string& table,
                                       const std::vector<Column>& columns,
                                       const std::string& where);
  static bool fit(const Content& one, const Content& other);

  const Content& fresh(const StormSource& source, const std::string& table);
  bool seed_one(const StormSource& source, const std::vector<std::string>& what, Content& made);
  std::string difference_of(support::SqliteReader& reader, const StormSource& source,
                            const std::string& table, const std::string& name);
  std::string lack(support::SqliteReader& reader, const StormSource& source, bool copies);
  std::string surplus(support::SqliteReader& reader);
  bool does_not_fit(support::SqliteReader& reader, const StormSource& source,
                    const std::string& table, const std::string& name);

  support::Cluster& cluster_;
  const std::vector<StormSource> sources_;
  const std::map<std::string, std::string> called_;
  const support::TempDir dir_;
  std::map<std::pair<std::string, std::string>, Content> fresh_;
  int seeds_ = 0;
};

}  // namespace fault
