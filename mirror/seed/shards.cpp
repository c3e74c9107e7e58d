#include "seed/shards.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "program/hint.h"
#include "program/postgres.h"
#include "seed/database_tables.h"
#include "seed/requests.h"
#include "seed/source_catalog.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::program::exec;
using daystream::program::exec_params;
using daystream::program::PgConn;
using daystream::program::PgResult;
using daystream::program::with_hint;

namespace {

std::vector<std::string> first_column(const PgResult& rows) {
  std::vector<std::string> out;
  for (int i = 0; i < PQntuples(rows.get()); ++i) out.emplace_back(PQgetvalue(rows.get(), i, 0));
  return out;
}

// As the name of a source may be, and no other one's.
std::string free_name(const std::string& wished, std::set<std::string>& taken) {
  std::string name;
  for (const char c : wished) {
    const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_' || c == '.';
    name += fits ? c : '_';
  }
  if (name.empty()) name = "shard";
  const std::string stem = name;
  for (int number = 2; !taken.insert(folded(name)).second; ++number) {
    name = fmt::format("{}_{}", stem, number);
  }
  return name;
}

std::string database_of(const std::string& conninfo) {
  PQconninfoOption* const options = PQconninfoParse(conninfo.c_str(), nullptr);
  std::string name;
  for (const PQconninfoOption* option = options; option != nullptr && option->keyword != nullptr;
       ++option) {
    if (std::string_view(option->keyword) == "dbname" && option->val != nullptr) name = option->val;
  }
  PQconninfoFree(options);
  return name;
}

// PL/Proxy --------------------------------------------------------------------------------------

// Clusters that functions name, and those that are foreign servers.
constexpr const char* kClusters = R"(
  SELECT DISTINCT (regexp_match(p.prosrc, $$\mcluster\s+'([^']+)'$$, 'i'))[1]
  FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
  WHERE l.lanname = 'plproxy' AND p.prosrc ~* $$\mcluster\s+'[^']+'$$
  UNION
  SELECT s.srvname FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
  WHERE w.fdwname = 'plproxy' ORDER BY 1)";

std::string cluster_of(PGconn* pg, const ShardWishes& wishes) {
  if (!wishes.cluster.empty()) return wishes.cluster;
  const std::vector<std::string> clusters = first_column(exec(pg, kClusters));
  if (clusters.size() == 1) return clusters.front();
  if (clusters.empty()) return {};
  throw ConfigError(fmt::format("the database leads to several clusters of PL/Proxy: {}",
                                fmt::join(clusters, ", ")),
                    "name one with --cluster");
}

// The connection strings of its partitions, in PL/Proxy's own order.
std::vector<std::string> partitions_of(PGconn* pg, const std::string& cluster) {
  const PgResult server = exec_params(
      pg,
      "SELECT o.option_value FROM pg_foreign_server s, pg_options_to_table(s.srvoptions) o WHERE "
      "s.srvname = $1 AND o.option_name ~ '^p?[0-9]+$' ORDER BY ltrim(o.option_name, 'p')::int",
      {cluster});
  if (PQntuples(server.get()) > 0) return first_column(server);
  return first_column(
      exec_params(pg, "SELECT * FROM plproxy.get_cluster_partitions($1)", {cluster}));
}

std::vector<Shard> shards_of_plproxy(PGconn* pg, const ShardWishes& wishes) {
  const bool is_there =
      daystream::program::query_value(pg, "SELECT 1 FROM pg_language WHERE lanname = 'plproxy'")
          .has_value();
  if (!is_there) return {};
  const std::string cluster = cluster_of(pg, wishes);
  if (cluster.empty()) return {};
  std::vector<Shard> shards;
  std::set<std::string> taken;
  for (const std::string& conninfo : partitions_of(pg, cluster)) {
    const std::string name = database_of(conninfo);
    shards.push_back({free_name(name.empty() ? cluster : name, taken), conninfo, {}});
  }
  return shards;
}

// Foreign partitions ----------------------------------------------------------------------------

// What a connection string takes of a server's options, a user's among them: not what tells
// postgres_fdw how to plan. A password is not for a file.
constexpr const char* kForeignPartitions = R"(
  SELECT quote_ident(pn.nspname) || '.' || quote_ident(p.relname), s.srvname,
    coalesce((SELECT o.option_value FROM pg_options_to_table(t.ftoptions) o
              WHERE o.option_name = 'schema_name'), n.nspname),
    coalesce((SELECT o.option_value FROM pg_options_to_table(t.ftoptions) o
              WHERE o.option_name = 'table_name'), c.relname),
    (SELECT string_agg(format('%s=''%s''', o.option_name,
                              replace(replace(o.option_value, '\', '\\'), '''', '\''')), ' ')
     FROM (SELECT * FROM pg_options_to_table(s.srvoptions) UNION ALL
           SELECT o.* FROM pg_user_mappings m, pg_options_to_table(m.umoptions) o
           WHERE m.srvid = s.oid AND m.usename = current_user) o
     WHERE o.option_name IN ('service', 'host', 'hostaddr', 'port', 'dbname', 'user', 'sslmode',
       'sslrootcert', 'sslcert', 'sslkey', 'target_session_attrs', 'connect_timeout', 'options'))
  FROM pg_foreign_table t JOIN pg_class c ON c.oid = t.ftrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_foreign_server s ON s.oid = t.ftserver
  JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'postgres_fdw'
  JOIN pg_inherits i ON i.inhrelid = c.oid JOIN pg_class p ON p.oid = i.inhparent
  JOIN pg_namespace pn ON pn.oid = p.relnamespace
  WHERE p.relkind = 'p' ORDER BY 1, 2, c.relname)";

void warn_of_local_partitions(PGconn* pg) {
  const PgResult local = exec(
      pg,
      "SELECT DISTINCT c.oid::regclass::text FROM pg_inherits i JOIN pg_class c ON c.oid = "
      "i.inhrelid AND c.relkind <> 'f' WHERE i.inhparent IN (SELECT f.inhparent FROM pg_inherits f "
      "JOIN pg_class x ON x.oid = f.inhrelid AND x.relkind = 'f') AND c.relispartition ORDER BY 1");
  for (const std::string& table : first_column(local)) {
    spdlog::warn("{}", daystream::program::with_hint(
                           fmt::format("left out: partition {} is in this database itself", table),
                           "add a source for it"));
  }
}

// A source has a table once: of two partitions at one server the second is of a source of its own.
std::vector<Shard> shards_behind_tables(PGconn* pg, const std::vector<std::string>& tables) {
  std::set<std::string> asked;
  for (const std::string& table : tables) asked.insert(parse_table_name(table).display());
  const PgResult rows = exec(pg, kForeignPartitions);
  std::map<std::pair<std::string, int>, Shard> shards;
  std::map<std::pair<std::string, std::string>, int> seen;
  std::set<std::string> taken;
  const auto value = [&](int row, int column) {
    return std::string(PQgetvalue(rows.get(), row, column));
  };
  for (int row = 0; row < PQntuples(rows.get()); ++row) {
    const QualifiedName parent = parse_table_name(value(row, 0));
    if (!asked.empty() && asked.count(parent.display()) == 0) continue;
    const std::string server = value(row, 1);
    const int number = seen[{value(row, 0), server}]++;
    Shard& shard = shards[{server, number}];
    if (shard.name.empty()) shard = {free_name(server, taken), value(row, 4), {}};
    TableRequest request;
    const QualifiedName remote{value(row, 2), value(row, 3)};
    request.table = spelt(remote);
    if (default_mirror_name(remote) != default_mirror_name(parent)) {
      request.as = default_mirror_name(parent);
    }
    shard.tables.push_back(request);
  }
  if (!shards.empty()) warn_of_local_partitions(pg);
  std::vector<Shard> out;
  for (auto& [key, shard] : shards) out.push_back(std::move(shard));
  return out;
}

// Whether they fit --------------------------------------------------------------------------------

// What tables of one name must have alike to be one table: types by the columns' names, and the
// key.
struct Looks {
  std::map<std::string, std::string> columns;
  std::vector<std::string> key;

  static Looks of(const Shape& shape) {
    Looks looks;
    for (const SourceColumn& column : shape.columns) looks.columns[column.name] = column.type;
    for (const int attnum : shape.row_key()) {
      if (const SourceColumn* column = shape.column(attnum)) looks.key.push_back(column->name);
    }
    return looks;
  }
  // Empty: they fit.
  std::string difference(const Looks& other) const {
    if (key != other.key) {
      return fmt::format("its key is ({}), not ({})", fmt::join(other.key, ", "),
                         fmt::join(key, ", "));
    }
    for (const auto& [name, type] : columns) {
      const auto found = other.columns.find(name);
      if (found == other.columns.end()) return fmt::format("it has no column \"{}\"", name);
      if (found->second != type) {
        return fmt::format("its column \"{}\" is {}, not {}", name, found->second, type);
      }
    }
    for (const auto& [name, type] : other.columns) {
      if (columns.count(name) == 0) return fmt::format("it has a column \"{}\" more", name);
    }
    return {};
  }
};

// By its name in the mirror.
std::string called(const TableRequest& request) {
  return request.as.empty() ? default_mirror_name(parse_table_name(request.table)) : request.as;
}

class Agreement {
 public:
  explicit Agreement(std::vector<Shard>& shards) : shards_(shards) {}

  void look(const std::vector<std::string>& tables) {
    for (Shard& shard : shards_) look_at(shard, tables);
    for (Shard& shard : shards_) {
      std::erase_if(shard.tables, [&](const TableRequest& request) {
        const auto found = counts_.find(called(request));
        return out_.count(called(request)) > 0 || found == counts_.end();
      });
    }
  }

 private:
  void look_at(Shard& shard, const std::vector<std::string>& tables) {
    const PgConn session = daystream::program::connect(shard.connection, "deltamirror");
    exec(session.get(), "SET search_path = ''");  // as seeds spell types
    const bool same_everywhere = shard.tables.empty();
    if (same_everywhere) {
      for (const std::string& table : names(session.get(), tables)) {
        TableRequest request;
        request.table = table;
        shard.tables.push_back(request);
      }
    }
    std::set<std::string> has;
    const CatalogTables catalog(session.get(), table_names_of(shard.tables));
    for (const TableRequest& request : shard.tables) {
      has.insert(called(request));
      look_at(shard, session.get(), catalog, request);
    }
    if (!same_everywhere) return;
    // What one database has and another has not is one database's own.
    for (const auto& [name, first] : counts_) {
      if (has.count(name) == 0) leave_out(name, fmt::format("\"{}\" does not have it", shard.name));
    }
    if (&shard == &shards_.front()) return;
    for (const std::string& name : has) {
      if (looks_.count(name) != 0 && firsts_[name] == shard.name) {
        leave_out(name, fmt::format("\"{}\" does not have it", shards_.front().name));
      }
    }
  }

  static std::vector<std::string> names(PGconn* pg, const std::vector<std::string>& tables) {
    if (!tables.empty()) return tables;
    std::vector<std::string> out;
    for (const QualifiedName& name : all_tables(pg)) out.push_back(spelt(name));
    return out;
  }

  void look_at(const Shard& shard, PGconn* pg, const CatalogTables& catalog,
               const TableRequest& request) {
    const std::string name = called(request);
    counts_[name]++;
    try {
      const SourceRelation& relation = catalog.relation(parse_table_name(request.table));
      check_followable(pg, relation);
      const Shape& shape = catalog.shape(relation);
      check_key(pg, relation, shape);
      const Looks looks = Looks::of(shape);
      const auto [first, is_first] = looks_.emplace(name, looks);
      if (is_first) {
        firsts_[name] = shard.name;
        return;
      }
      const std::string differs = first->second.difference(looks);
      if (!differs.empty()) {
        leave_out(name,
                  fmt::format("in \"{}\" {}, as in \"{}\"", shard.name, differs, firsts_[name]));
      }
    } catch (const daystream::ConnectionLost&) {
      throw;
    } catch (const daystream::Error& e) {
      leave_out(name, fmt::format("in \"{}\": {}", shard.name, with_hint(e.what(), e.hint())));
    }
  }

  void leave_out(const std::string& name, const std::string& why) {
    if (out_.insert(name).second) spdlog::warn("left out: table {}: {}", name, why);
  }

  std::vector<Shard>& shards_;
  std::map<std::string, int> counts_;          // by the name in the mirror
  std::map<std::string, Looks> looks_;         // of the first
  std::map<std::string, std::string> firsts_;  // which that is
  std::set<std::string> out_;
};

}  // namespace

std::vector<Shard> find_shards(PGconn* pg, const ShardWishes& wishes,
                               const std::vector<std::string>& tables) {
  std::vector<Shard> shards = shards_of_plproxy(pg, wishes);
  if (shards.empty()) shards = shards_behind_tables(pg, tables);
  if (shards.empty()) return shards;
  Agreement(shards).look(tables);
  const auto total = [](std::size_t sum, const Shard& shard) { return sum + shard.tables.size(); };
  if (std::accumulate(shards.begin(), shards.end(), std::size_t{0}, total) == 0) {
    throw ConfigError("the databases have no table alike that can be mirrored",
                      "the warnings above say why of each");
  }
  return shards;
}

std::string config_for_shards(const std::vector<Shard>& shards, const ShardWishes& wishes) {
  const bool alike = std::all_of(shards.begin(), shards.end(), [&](const Shard& shard) {
    return shard.tables == shards.front().tables;
  });
  const auto list = [](const std::vector<TableRequest>& tables) {
    nlohmann::json out = nlohmann::json::array();
    for (const TableRequest& request : tables) out.push_back(to_json(request));
    return out;
  };
  std::string out = "{\n  \"sources\": [";
  for (const Shard& shard : shards) {
    if (shard.tables.empty()) continue;
    nlohmann::ordered_json source = {{"name", shard.name},
                                     {"daystream", wishes.daystreams + "/" + shard.name},
                                     {"connection", shard.connection},
                                     {"source_column", "shard"}};
    if (!alike) source["tables"] = list(shard.tables);
    out += fmt::format("{}\n    {}", out.back() == '[' ? "" : ",", source.dump());
  }
  out += "\n  ]";
  if (!alike) return out + "\n}\n";
  out += ",\n  \"tables\": [";
  for (const TableRequest& request : shards.front().tables) {
    out += fmt::format("{}\n    {}", out.back() == '[' ? "" : ",", to_json(request).dump());
  }
  return out + "\n  ]\n}\n";
}

}  // namespace deltamirror
