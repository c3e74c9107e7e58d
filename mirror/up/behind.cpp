#include "up/behind.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <vector>

#include "model/names.h"
#include "program/postgres.h"
#include "seed/shards.h"
#include "src/dir.h"
#include "store/mirror_file.h"

namespace deltamirror {

namespace fs = std::filesystem;

namespace {

// Whether the database has rows of it itself.
bool is_here(PGconn* pg, const std::string& table) {
  return daystream::program::query_value(
             pg,
             "SELECT 1 FROM pg_class c WHERE c.oid = to_regclass($1) AND NOT EXISTS (SELECT FROM "
             "pg_inherits i JOIN pg_class f ON f.oid = i.inhrelid WHERE i.inhparent = c.oid AND "
             "c.relkind = 'p' AND f.relkind = 'f')",
             {parse_table_name(table).sql()})
      .has_value();
}

// What is asked of a table holds for that of each source.
void take_wishes(std::vector<Shard>& shards, const std::vector<TableRequest>& wishes) {
  for (Shard& shard : shards) {
    for (TableRequest& request : shard.tables) {
      const std::string as = request.as.empty() ? request.table : request.as;
      for (const TableRequest& wish : wishes) {
        if (default_mirror_name(parse_table_name(wish.table)) !=
            default_mirror_name(parse_table_name(as))) {
          continue;
        }
        const TableRequest found = request;
        request = wish;
        request.table = found.table;
        if (request.as.empty()) request.as = found.as;
      }
    }
  }
}

std::string make_sources(const UpOptions& options) {
  std::vector<std::string> tables;
  for (const TableRequest& request : options.choice.config.tables) {
    if (request.table.empty()) return {};
    tables.push_back(request.table);
  }
  if (tables.empty()) return {};
  const daystream::program::PgConn session =
      daystream::program::connect(options.run.conninfo.value_or(""), "deltamirror");
  const auto here = [&](const std::string& table) { return is_here(session.get(), table); };
  if (std::any_of(tables.begin(), tables.end(), here)) return {};
  const ShardWishes wishes{{}, fs::absolute(sources_folder(options.run.mirror)).string()};
  std::vector<Shard> shards = find_shards(session.get(), wishes, tables);
  if (shards.empty()) return {};
  take_wishes(shards, options.choice.config.tables);
  spdlog::info(
      "the database leads to {} others, which are the sources of the mirror, as \"{}\" says",
      shards.size(), sources_file(options.run.mirror).string());
  return config_for_shards(shards, wishes);
}

}  // namespace

fs::path sources_file(const std::string& mirror) {
  return beside(mirror, ".sources.json");
}
fs::path sources_folder(const std::string& mirror) {
  return beside(mirror, ".daystreams");
}

UpOptions with_sources_behind(UpOptions options) {
  if (!options.choice.config_file.empty() || !options.choice.config.sources.empty()) return options;
  const fs::path file = sources_file(options.run.mirror);
  if (!fs::exists(file)) {
    if (fs::exists(options.run.mirror)) return options;
    const std::string made = make_sources(options);
    if (made.empty()) return options;
    if (options.check) {
      options.choice.config = parse_config(made, file.string());
      return options;
    }
    fs::create_directories(sources_folder(options.run.mirror));
    daystream::replace_file(*daystream::real_dir(fs::absolute(file).parent_path()),
                            file.filename().string(), made);
  }
  options.choice.config = load_config(file.string());
  options.choice.config_file = options.run.config_file = file.string();
  return options;
}

}  // namespace deltamirror
