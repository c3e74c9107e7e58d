// What a mirror is to hold: from the command line or a JSON file, with the same names.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "program/json_places.h"
#include "store/absent_table.h"
#include "store/table_mode.h"

namespace deltamirror {

struct TableRequest {
  std::string table;  // [SCHEMA.]TABLE; empty: `query` is static, nothing is followed
  std::string query;  // empty: the whole table
  std::string as;     // name in the mirror; empty: the default
  std::vector<std::vector<std::string>> indexes;  // by SQLite column names
  std::map<std::string, std::string> types;  // SQLite column name → text, integer, real, blob

  std::vector<std::string> columns = {};           // in PostgreSQL; empty: all, or the query's
  std::map<std::string, std::string> rename = {};  // column in PostgreSQL → in SQLite
  std::string where = {};                          // which rows (filter/expression.h); empty: all
  TableMode mode = TableMode::Mirror;
  int keep_days = 0;  // of a history; 0: forever

  std::string source = {};         // its database (MirrorConfig::sources); empty: the only one
  std::string prefix = {};         // of its name here, already in `as` where that is given
  std::string source_column = {};  // empty: none

  bool operator==(const TableRequest&) const = default;
};

// One of several databases in a mirror.
struct SourceConfig {
  std::string name;
  std::string daystream;                  // directory or URL
  std::optional<std::string> connection;  // nullopt: what the command line or libpq says
  std::vector<TableRequest> tables;       // which know that they are its
  bool own_tables = false;                // not those that sources share
};

struct FleetOffer;  // config/fleet_config.h

struct MirrorConfig {
  std::vector<TableRequest> tables;         // of a mirror of one source
  std::vector<std::string> extra_sql = {};  // run in the mirror at the seed's end: views, indexes
  std::vector<SourceConfig> sources = {};   // of a mirror of named ones: then `tables` is empty
  std::optional<OnTrouble> on_trouble = {};
  std::shared_ptr<const FleetOffer> offer = {};  // that it is; nullptr: none of a server's

  // The requests of all sources.
  std::vector<TableRequest> all_tables() const;
  // nullptr: it names no such source.
  const SourceConfig* source(const std::string& name) const noexcept;
};

using ConfigProblem = daystream::program::JsonProblem;

// A configuration's text, all that is wrong with it (its schema is mirror_config_schema(), the one
// definition of its keys), and, where that is nothing, what it says.
// (What is wrong in it with a database, check_with_database() knows.)
struct ReadConfig {
  MirrorConfig config;
  daystream::program::JsonPlaces places;
  std::vector<ConfigProblem> problems;  // in the order of the text
};
ReadConfig read_config(const std::string& text);

// Throws ConfigError that names the first problem's place.
MirrorConfig load_config(const std::string& file);
MirrorConfig parse_config(const std::string& text, const std::string& file);

// A request as the mirror keeps it, with all that a source's configuration adds to it.
std::string wish_text(const TableRequest& request);
TableRequest parse_wish(const std::string& text);

// As a configuration has it; what is not said is left out.
nlohmann::json to_json(const TableRequest& request);

}  // namespace deltamirror
