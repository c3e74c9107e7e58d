#include "seed/database_check.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "program/postgres.h"
#include "seed/chosen_columns.h"
#include "seed/requests.h"
#include "seed/source_catalog.h"
#include "store/number_columns.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::Error;
using daystream::program::PgConn;
using daystream::program::PgResult;

namespace {

std::string with_hint(const Error& error) {
  return error.hint().empty() ? error.what() : fmt::format("{}: {}", error.what(), error.hint());
}

// Columns of a query's result. Throws Error.
std::vector<std::string> query_columns(PGconn* connection, const TableRequest& request,
                                       const SourceRelation& relation) {
  daystream::program::exec(connection, "RESET search_path");  // a query's names are the user's
  const PgResult prepared(PQprepare(connection, "", request.query.c_str(), 0, nullptr));
  const PgResult described(PQdescribePrepared(connection, ""));
  daystream::program::exec(connection, "SET search_path = ''");
  if (PQresultStatus(prepared.get()) != PGRES_COMMAND_OK) {
    daystream::program::throw_error(connection, prepared.get(), "cannot use the query");
  }
  std::vector<std::string> names;
  for (int i = 0; i < PQnfields(described.get()); ++i) {
    names.emplace_back(PQfname(described.get(), i));
    if (relation.oid == 0 || PQftable(described.get(), i) == relation.oid) continue;
    throw ConfigError(
        fmt::format("column \"{}\" is not a column of the table", names.back()),
        "a followed query may choose columns, as they are: compute in a SQLite view over them");
  }
  return names;
}

class TableCheck {
 public:
  // `at`: the request's JSON pointer.
  TableCheck(PGconn* connection, const TypeNames& types, const ReadConfig& read,
             const TableRequest& request, std::string at, std::vector<ConfigProblem>& problems)
      : connection_(connection),
        types_(types),
        read_(read),
        request_(request),
        at_(std::move(at)),
        problems_(problems) {}

  void run() {
    SourceRelation relation;
    Shape shape;
    if (!request_.table.empty()) {
      try {
        relation = find_relation(connection_, parse_table_name(request_.table));
        check_followable(connection_, relation);
        shape = read_shape(connection_, relation);
        check_key(relation, shape);
      } catch (const daystream::ConnectionLost&) {
        throw;
      } catch (const Error& e) {
        return tell("/table", with_hint(e));  // of what is not there nothing more can be said
      }
    }
    std::vector<std::string> names;
    std::vector<MirrorColumn> columns;
    try {
      if (request_.query.empty()) {
        columns = chosen_columns(request_, shape, types_);
        for (const MirrorColumn& column : columns) names.push_back(column.name);
      } else {
        names = query_columns(connection_, request_, relation);
      }
    } catch (const daystream::ConnectionLost&) {
      throw;
    } catch (const RequestProblem& e) {
      return tell(e.pointer(), with_hint(e));
    } catch (const Error& e) {
      return tell("/query", with_hint(e));
    }
    for (MirrorColumn& column : columns) {
      const auto other = request_.types.find(column.name);
      if (other == request_.types.end()) continue;
      column.type_override = other->second;
      column.type = type_named(other->second).value_or(column.type);
    }
    try {
      const char* const encoding = PQparameterStatus(connection_, "server_encoding");
      const bool utf8 = encoding != nullptr && std::string_view(encoding) == "UTF8";
      chosen_rows(request_, shape, types_, columns, utf8);
    } catch (const RequestProblem& e) {
      tell(e.pointer(), with_hint(e));
    }
    if (request_.mode == TableMode::LatestPerDay && shape.row_key().empty()) {
      tell("/mode", "the table has no key: \"latest-per-day\" needs one, \"history\" does not");
    }
    check_mirror_names(names, columns);
  }

 private:
  // What the columns that number_columns() adds are called.
  std::vector<std::string> number_names(const std::vector<MirrorColumn>& columns) const {
    MirroredTable table;
    table.mode = request_.mode;
    table.columns = columns;
    std::vector<std::string> out;
    for (const NumberColumn& column : number_columns(table)) out.push_back(column.name);
    return out;
  }

  void tell(const std::string& below, std::string message, bool of_key = false) {
    const std::string pointer = at_ + below;
    if (!request_.source.empty()) message += fmt::format(" (source \"{}\")", request_.source);
    problems_.push_back({pointer, of_key ? read_.places.key(pointer) : read_.places.value(pointer),
                         std::move(message)});
  }

  // What speaks of the columns as the mirror calls them.
  void check_mirror_names(const std::vector<std::string>& names,
                          const std::vector<MirrorColumn>& columns) {
    std::set<std::string> seen;
    if (!request_.source_column.empty()) seen.insert(folded(request_.source_column));
    for (const std::string& name : names) {
      if (seen.insert(folded(name)).second) continue;
      tell("", fmt::format("two columns would both be \"{}\" to SQLite", name));
    }
    const auto has = [&](const std::string& name) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    const std::vector<std::string> numbers = number_names(columns);
    const auto has_number = [&](const std::string& name) {
      return std::find(numbers.begin(), numbers.end(), name) != numbers.end();
    };
    for (std::size_t i = 0; i < request_.indexes.size(); ++i) {
      for (const std::string& column : request_.indexes[i]) {
        if (!has(column) && !has_number(column))
          tell(fmt::format("/indexes/{}", i), no_column(column, names));
      }
    }
    for (const auto& [column, type] : request_.types) {
      if (!has(column)) tell("/types/" + pointer_token(column), no_column(column, names), true);
    }
  }

  PGconn* connection_;
  const TypeNames& types_;
  const ReadConfig& read_;
  const TableRequest& request_;
  const std::string at_;
  std::vector<ConfigProblem>& problems_;
};

// All that looks like a table, but those of PostgreSQL itself, of extensions, and ours.
std::vector<QualifiedName> all_tables(PGconn* connection) {
  const PgResult result = daystream::program::exec(connection, R"(
    SELECT n.nspname, c.relname
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'information_schema'
      AND n.nspname !~ '^pg_' AND n.nspname <> 'deltaflood'
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
                        AND d.deptype = 'e')
    ORDER BY n.nspname <> 'public', 1, 2)");
  std::vector<QualifiedName> out;
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    out.push_back({PQgetvalue(result.get(), row, 0), PQgetvalue(result.get(), row, 1)});
  }
  return out;
}

// As parse_table_name() reads it.
std::string spelt(const QualifiedName& name) {
  const auto part = [](const std::string& text) {
    const bool plain = !text.empty() && text.find_first_not_of(
                                            "abcdefghijklmnopqrstuvwxyz"
                                            "0123456789_") == std::string::npos;
    return plain ? text : daystream::program::quote_identifier(text);
  };
  return name.schema == "public" ? part(name.table) : part(name.schema) + "." + part(name.table);
}

}  // namespace

namespace {

void check_tables(const ReadConfig& read, const std::vector<TableRequest>& tables,
                  const std::string& at, const std::string& conninfo,
                  std::vector<ConfigProblem>& problems) {
  const PgConn connection = daystream::program::connect(conninfo, "deltamirror");
  daystream::program::exec(connection.get(), "SET search_path = ''");  // as seeds spell types
  const TypeNames types = read_types(connection.get());
  for (std::size_t i = 0; i < tables.size(); ++i) {
    TableCheck(connection.get(), types, read, tables[i], fmt::format("{}/{}", at, i), problems)
        .run();
  }
}

}  // namespace

std::vector<ConfigProblem> check_with_database(const ReadConfig& read,
                                               const std::string& conninfo) {
  std::vector<ConfigProblem> problems;
  const std::vector<SourceConfig>& sources = read.config.sources;
  if (sources.empty()) check_tables(read, read.config.tables, "/tables", conninfo, problems);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const std::string at = sources[i].own_tables ? fmt::format("/sources/{}/tables", i) : "/tables";
    check_tables(read, sources[i].tables, at, sources[i].connection.value_or(conninfo), problems);
  }
  return problems;
}

std::string config_for_database(const std::string& conninfo,
                                const std::vector<std::string>& tables) {
  const PgConn connection = daystream::program::connect(conninfo, "deltamirror");
  std::vector<QualifiedName> names;
  for (const std::string& table : tables) names.push_back(parse_table_name(table));
  if (names.empty()) names = all_tables(connection.get());
  nlohmann::json list = nlohmann::json::array();
  std::set<std::string> taken;
  for (const QualifiedName& name : names) {
    try {
      const SourceRelation relation = find_relation(connection.get(), name);
      if (tables.empty() && relation.partitioning == Partitioning::Root) {
        throw daystream::NeedsPerson(
            fmt::format("\"{}\" is partitioned, its partitions are named", name.display()),
            "where deltastream has --partition-root, name it itself instead");
      }
      check_followable(connection.get(), relation);
      check_key(relation, read_shape(connection.get(), relation));
    } catch (const daystream::ConnectionLost&) {
      throw;
    } catch (const Error& e) {
      spdlog::warn("left out: {}", with_hint(e));
      continue;
    }
    TableRequest request;
    request.table = spelt(name);
    std::string called = default_mirror_name(name);
    for (int number = 2; !taken.insert(folded(called)).second; ++number) {
      called = fmt::format("{}_{}", default_mirror_name(name), number);
    }
    if (called != default_mirror_name(name)) request.as = called;
    list.push_back(to_json(request));
  }
  if (list.empty())
    throw ConfigError("there is no table that can be mirrored",
                      "the warnings above say why of each");
  // A line a table: that is what is edited.
  std::string out = "{\n  \"tables\": [";
  for (std::size_t i = 0; i < list.size(); ++i) {
    out += fmt::format("{}\n    {}", i == 0 ? "" : ",", list[i].dump());
  }
  return out + "\n  ]\n}\n";
}

}  // namespace deltamirror
