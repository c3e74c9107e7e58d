#include "seed/transaction_settings.h"

#include <fmt/format.h>

#include "program/postgres.h"

namespace deltamirror {

using daystream::program::exec;
using daystream::program::query_value;
using daystream::program::quote_literal;

namespace {

constexpr const char* kSettings[] = {
    "SET LOCAL DateStyle = 'ISO, MDY'", "SET LOCAL IntervalStyle = 'postgres'",
    "SET LOCAL extra_float_digits = 3", "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL TimeZone = 'UTC'",       "SET LOCAL lc_monetary = 'C'",
    "SET LOCAL row_security = off",     "SET LOCAL quote_all_identifiers = off",
    "SET LOCAL statement_timeout = 0",  "SET LOCAL idle_in_transaction_session_timeout = 0",
    "SET LOCAL lock_timeout = 0",
};

std::string setting(PGconn* pg, const char* name) {
  return query_value(pg, "SELECT reset_val FROM pg_catalog.pg_settings WHERE name = $1", {name})
      .value_or("");
}

}  // namespace

TransactionSettings::TransactionSettings(PGconn* pg)
    : users_path_(setting(pg, "search_path")),
      restricts_(query_value(pg,
                             "SELECT 1 FROM pg_catalog.pg_settings WHERE name = "
                             "'restrict_nonsystem_relation_kind'")
                     .has_value()) {}

void TransactionSettings::set(PGconn* pg) const {
  for (const char* sql : kSettings) exec(pg, sql);
  for_tables(pg);
}

// A list, which SET takes in parts.
void TransactionSettings::for_query(PGconn* pg) const {
  exec(pg, fmt::format("SELECT pg_catalog.set_config('search_path', {}, true)",
                       quote_literal(users_path_)));
  if (restricts_) exec(pg, "SET LOCAL restrict_nonsystem_relation_kind = ''");
}

void TransactionSettings::for_tables(PGconn* pg) const {
  exec(pg, "SET LOCAL search_path = ''");
  if (restricts_) exec(pg, "SET LOCAL restrict_nonsystem_relation_kind = 'view, foreign-table'");
}

}  // namespace deltamirror
