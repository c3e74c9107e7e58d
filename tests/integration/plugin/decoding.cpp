#include "decoding.h"

#include <catch2/catch.hpp>
#include <map>
#include <sstream>

namespace plugin_test {

namespace {

Lines split(const std::string& text, char separator) {
  Lines parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  if (!text.empty() && text.back() == separator && separator == '\t') parts.emplace_back();
  return parts;
}

std::string literal(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + "'";
}

}  // namespace

const support::Cluster& cluster() {
  static const support::Cluster shared{
      support::Cluster::Options{.config = {"max_replication_slots = 50", "max_wal_senders = 20",
                                           "max_prepared_transactions = 5"}}};
  return shared;
}

Fields::Fields(const std::string& line) {
  const Lines parts = split(line, '\t');
  for (std::size_t i = 0; i + 1 < parts.size(); i += 2) {
    if (action.empty() && parts[i] == "_action") {
      action = parts[i + 1];
    } else {
      (action.empty() ? heads : columns).emplace_back(parts[i], parts[i + 1]);
    }
  }
}

std::optional<std::string> Fields::head(const std::string& key) const {
  for (const auto& [name, value] : heads) {
    if (name == key) return value;
  }
  return std::nullopt;
}

std::optional<std::string> Fields::column(const std::string& key) const {
  for (const auto& [name, value] : columns) {
    if (name == key) return value;
  }
  return std::nullopt;
}

Source::Source(const std::string& plugin, const std::string& database_options) {
  static int number = 0;
  database_ = "source_" + std::to_string(++number);
  cluster().create_database(database_, database_options);
  execute("SELECT pg_create_logical_replication_slot(" + literal(database_) + ", " +
          literal(plugin) + ")");
}

Source::~Source() {
  try {
    execute(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
        "WHERE database = current_database() AND NOT active");
  } catch (...) {
    // The cluster goes with the program; what the test found is what counts.
  }
}

std::string Source::add_slot(const std::string& plugin) const {
  std::string name = database_ + "_" + plugin;
  execute("SELECT pg_create_logical_replication_slot(" + literal(name) + ", " + literal(plugin) +
          ")");
  return name;
}

Lines Source::peek(const Options& options) const {
  return peek(database_, options);
}

Lines Source::peek(const std::string& slot, const Options& options) const {
  std::string sql =
      "SELECT data FROM pg_logical_slot_peek_changes(" + literal(slot) + ", NULL, NULL";
  for (const auto& [name, value] : options) sql += ", " + literal(name) + ", " + literal(value);
  Lines lines;
  for (const support::Row& row : cluster().query(sql + ")", database_)) {
    for (std::string& line : split(row[0].value(), '\n')) lines.push_back(std::move(line));
  }
  return lines;
}

Lines Source::receive(const Options& options) const {
  const std::string copy = database_ + "_copy";
  execute("SELECT pg_copy_logical_replication_slot(" + literal(database_) + ", " + literal(copy) +
          ")");
  // The end is a transaction of its own, or a filtered one would leave pg_recvlogical waiting.
  const std::string end = scalar("SELECT pg_logical_emit_message(false, 'end', '')");
  std::vector<std::string> arguments = {"-h",      cluster().socket_dir(),
                                        "-U",      "postgres",
                                        "-d",      database_,
                                        "-S",      copy,
                                        "--start", "-f",
                                        "-",       "-n",
                                        "-E",      end};
  for (const auto& [name, value] : options) {
    arguments.insert(arguments.end(), {"-o", name + "=" + value});
  }
  const std::string text = cluster().run_tool("pg_recvlogical", arguments);
  execute("SELECT pg_drop_replication_slot(" + literal(copy) + ")");
  return split(text, '\n');
}

Lines normalized(const Lines& lines) {
  std::map<std::string, std::string> xids;
  std::map<std::string, std::string> oids;
  Lines result;
  for (const std::string& line : lines) {
    const Fields fields(line);
    std::string out;
    for (const auto& [name, value] : fields.heads) {
      std::string shown = value;
      if (name == "_xid") {
        shown = xids.try_emplace(value, std::to_string(xids.size() + 1)).first->second;
      } else if (name == "_oid" || name == "_root") {
        const auto next = std::string(1, static_cast<char>('A' + oids.size()));
        shown = oids.try_emplace(value, next).first->second;
      }
      out += name + "\t" + shown + "\t";
    }
    out += "_action\t" + fields.action;
    for (const auto& [name, value] : fields.columns) out += "\t" + name + "\t" + value;
    result.push_back(out);
  }
  return result;
}

Lines without(const Lines& lines, const std::string& action) {
  Lines result;
  for (const std::string& line : lines) {
    if (Fields(line).action != action) result.push_back(line);
  }
  return result;
}

}  // namespace plugin_test
