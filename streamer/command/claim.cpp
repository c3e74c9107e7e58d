#include "command/claim.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "program/postgres.h"
#include "server/server_error.h"

namespace deltastream {

namespace program = daystream::program;

std::string name_of(const Config& config) {
  char host[256] = "";
  if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  const std::string path = std::filesystem::absolute(config.directory).lexically_normal().string();
  const std::string name = fmt::format("\"{}\" on {}", path, host);
  return name.size() <= 1000 && name.find('\n') == std::string::npos ? name : "";
}

std::vector<std::pair<std::string, std::string>> claim_options(const Config& config,
                                                               const std::string& id) {
  std::vector<std::pair<std::string, std::string>> options;
  if (id.empty()) return options;
  options.emplace_back("stream-id", id);
  if (const std::string name = name_of(config); !name.empty()) {
    options.emplace_back("stream-name", name);
  }
  if (config.adopt_slot) options.emplace_back("adopt-slot", "on");
  return options;
}

// The plugin looks whose the slot is when decoding begins: so a single record is decoded, the first
// one behind LSN 0/1.
void check_claim(ReplicationConnection& connection, const Config& config, const std::string& id) {
  const auto options = claim_options(config, id);
  if (options.empty() || config.adopt_slot) return;
  std::string sql = fmt::format(
      "SELECT count(*) FROM pg_catalog.pg_logical_slot_peek_changes({}, '0/1', 1, "
      "'only-look', 'on'",
      program::quote_literal(config.slot));
  for (const auto& [name, value] : options) {
    sql += fmt::format(", {}, {}", program::quote_literal(name), program::quote_literal(value));
  }
  try {
    connection.query_value(sql + ")");
  } catch (const program::SqlError& e) {
    if (e.sqlstate() == "DF001") explain_server_error(e);
    throw;
  }
}

}  // namespace deltastream
