// What a mirror is to hold: from the command line or a JSON file, with the same names.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace deltamirror {

struct TableRequest {
  std::string table;  // [SCHEMA.]TABLE; empty: `query` is static, nothing is followed
  std::string query;  // empty: the whole table
  std::string as;     // name in the mirror; empty: the default
  std::vector<std::vector<std::string>> indexes;  // by SQLite column names
  std::map<std::string, std::string> types;  // SQLite column name → text, integer, real, blob
};

struct MirrorConfig {
  std::vector<TableRequest> tables;
  std::vector<std::string> extra_sql;  // run in the mirror at the seed's end: views, indexes
};

// Throws ConfigError that names the JSON path, IoError.
MirrorConfig load_config(const std::string& file);
MirrorConfig parse_config(const std::string& text, const std::string& file);

}  // namespace deltamirror
