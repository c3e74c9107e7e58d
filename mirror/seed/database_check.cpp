#include "seed/database_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "program/figures.h"
#include "program/hint.h"
#include "program/postgres.h"
#include "seed/chosen_columns.h"
#include "seed/database_tables.h"
#include "seed/requests.h"
#include "seed/shards.h"
#include "seed/source_catalog.h"
#include "store/number_columns.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::Error;
using daystream::program::PgConn;
using daystream::program::PgResult;
using daystream::program::with_hint;

namespace {

constexpr std::string_view kNoTables = "vmf";  // relkind of views and foreign tables
constexpr std::size_t kMostNamed = 10;

void tell_no_tables(std::vector<std::string> names) {
  if (names.empty()) return;
  const std::size_t count = names.size();
  if (count > kMostNamed) names.resize(kMostNamed);
  spdlog::info("left out views and foreign tables, which cannot be followed ({}): {}{}", count,
               fmt::join(names, ", "), count > kMostNamed ? ", …" : "");
}

// A configuration is often written before the rights are given.
void tell_unreadable(PGconn* connection, std::vector<std::string> names) {
  if (names.empty()) return;
  const std::size_t count = names.size();
  if (count > kMostNamed) names.resize(kMostNamed);
  spdlog::warn(
      "{}", with_hint(fmt::format("role \"{}\" may not read {} of these yet: {}{}",
                                  PQuser(connection), daystream::program::counted(count, "table"),
                                  fmt::join(names, ", "), count > kMostNamed ? ", …" : ""),
                      fmt::format("as their owner: GRANT SELECT ON {} TO {};", names.front(),
                                  daystream::program::quote_identifier(PQuser(connection)))));
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
  TableCheck(PGconn* connection, const TypeNames& types, const CatalogTables& catalog,
             const ReadConfig& read, const TableRequest& request, std::string at,
             std::vector<ConfigProblem>& problems)
      : connection_(connection),
        types_(types),
        catalog_(catalog),
        read_(read),
        request_(request),
        at_(std::move(at)),
        problems_(problems) {}

  void run() {
    SourceRelation relation;
    Shape shape;
    if (!request_.table.empty()) {
      try {
        relation = catalog_.relation(parse_table_name(request_.table));
        check_followable(connection_, relation);
        shape = catalog_.shape(relation);
        check_key(connection_, relation, shape);
      } catch (const daystream::ConnectionLost&) {
        throw;
      } catch (const Error& e) {
        // Of what is not there nothing more can be said.
        return tell("/table", with_hint(e.what(), e.hint()));
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
      return tell(e.pointer(), with_hint(e.what(), e.hint()));
    } catch (const Error& e) {
      return tell("/query", with_hint(e.what(), e.hint()));
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
      tell(e.pointer(), with_hint(e.what(), e.hint()));
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
      if (!has(column))
        tell("/types/" + daystream::program::pointer_token(column), no_column(column, names), true);
    }
  }

  PGconn* connection_;
  const TypeNames& types_;
  const CatalogTables& catalog_;
  const ReadConfig& read_;
  const TableRequest& request_;
  const std::string at_;
  std::vector<ConfigProblem>& problems_;
};

void check_tables(const ReadConfig& read, const std::vector<TableRequest>& tables,
                  const std::string& at, const std::string& conninfo,
                  std::vector<ConfigProblem>& problems) {
  const PgConn connection = daystream::program::connect(conninfo, "deltamirror");
  daystream::program::exec(connection.get(), "SET search_path = ''");  // as seeds spell types
  const TypeNames types = read_types(connection.get());
  const CatalogTables catalog(connection.get(), table_names_of(tables));
  for (std::size_t i = 0; i < tables.size(); ++i) {
    TableCheck(connection.get(), types, catalog, read, tables[i], fmt::format("{}/{}", at, i),
               problems)
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

namespace {

// The relations of a database as a configuration's "tables".
class FirstConfig {
 public:
  FirstConfig(PGconn* connection, const InitWishes& wishes, const std::vector<QualifiedName>& names)
      : connection_(connection), wishes_(wishes), catalog_(connection, names) {}

  // One of those names.
  void add(const QualifiedName& name) {
    try {
      if (!is_wanted(name)) return;
    } catch (const daystream::ConnectionLost&) {
      throw;
    } catch (const Error& e) {
      spdlog::warn("left out: {}", with_hint(e.what(), e.hint()));
      return;
    }
    TableRequest request;
    request.table = spelt(name);
    std::string called = default_mirror_name(name);
    for (int number = 2; !taken_.insert(folded(called)).second; ++number) {
      called = fmt::format("{}_{}", default_mirror_name(name), number);
    }
    if (called != default_mirror_name(name)) request.as = called;
    requests_.push_back(request);
  }

  // A line a table: that is what is edited.
  std::string text() {
    tell_no_tables(no_tables_);
    tell_unreadable(connection_, unreadable_);
    if (roots_ != 0) {
      spdlog::info("the stream has to be one of deltastream --partition-root, for {}",
                   daystream::program::counted(roots_, "partitioned table"));
    }
    if (requests_.empty()) {
      throw ConfigError("there is no table that can be mirrored",
                        "the warnings above say why of each");
    }
    std::string out = "{\n  \"tables\": [";
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      out += fmt::format("{}\n    {}", i == 0 ? "" : ",", to_json(requests_[i]).dump());
    }
    return out + "\n  ]\n}\n";
  }

 private:
  // False: there is nothing to be said of it alone. Throws Error: why it cannot be mirrored.
  bool is_wanted(const QualifiedName& name) {
    const SourceRelation& relation = catalog_.relation(name);
    const bool is_named = !wishes_.tables.empty();
    // No table, and nothing that could be mended: not to stand between what can be.
    if (!is_named && kNoTables.find(relation.kind) != std::string_view::npos) {
      no_tables_.push_back(spelt(name));
      return false;
    }
    if (wishes_.partition_root) {
      if (!is_named && relation.partitioning == Partitioning::Partition) return false;
    } else if (!is_named && relation.partitioning == Partitioning::Root) {
      throw daystream::NeedsPerson(
          fmt::format("\"{}\" is partitioned, its partitions are named", name.display()),
          "\"config init --partition-root\" names it itself instead");
    }
    check_followable(connection_, relation);
    check_key(connection_, relation, catalog_.shape(relation));
    if (relation.partitioning == Partitioning::Root) ++roots_;
    if (!relation.may_lock) unreadable_.push_back(spelt(name));
    return true;
  }

  PGconn* connection_;
  const InitWishes& wishes_;
  const CatalogTables catalog_;
  std::vector<TableRequest> requests_;
  std::set<std::string> taken_;
  std::vector<std::string> no_tables_;
  std::vector<std::string> unreadable_;
  std::size_t roots_ = 0;
};

}  // namespace

std::string config_for_database(const std::string& conninfo, const InitWishes& wishes) {
  const PgConn connection = daystream::program::connect(conninfo, "deltamirror");
  if (const auto shards = find_shards(connection.get(), wishes.shards, wishes.tables);
      !shards.empty()) {
    return config_for_shards(shards, wishes.shards);
  }
  std::vector<QualifiedName> names;
  for (const std::string& table : wishes.tables) names.push_back(parse_table_name(table));
  if (names.empty()) names = all_tables(connection.get());
  FirstConfig config(connection.get(), wishes, names);
  for (const QualifiedName& name : names) config.add(name);
  return config.text();
}

}  // namespace deltamirror
