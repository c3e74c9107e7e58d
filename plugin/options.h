// What a user or deltastream may ask of the plugin: its options, parsed. README.md lists them.
#pragma once

#include "server.h"

// The server's headers stay first.
#include "claim.h"
#include "grammar/actions.h"
#include "grammar/table_list.h"

namespace deltaflood {

enum class Nulls {
  Sparse,   // the default: `insert` and keys leave them out, `update` and FULL write them
  Skipped,  // skip-nulls=on
  Written,  // skip-nulls=off
};

using grammar::Pattern;

struct Patterns {
  Pattern* items = nullptr;
  std::size_t count = 0;
};

// Trivially destructible: lives in the decoding context's memory, as do all views within.
struct Options {
  bool include_xids = true;
  bool include_lsn = false;
  bool include_transaction = false;
  bool include_schema = false;
  bool include_truncate = true;
  bool full_name = false;
  bool only_local = false;
  bool partition_root = false;
  bool convert_bool = true;
  bool escape = true;
  Nulls nulls = Nulls::Sparse;
  std::string_view null_text;   // as it is written
  std::string_view separator;   // between keys and values
  std::size_t batch_bytes = 0;  // 0: one message a line
  unsigned actions = grammar::kAllActions;
  Patterns tables;  // none: every table
  Patterns exclude_tables;
  Patterns exclude_columns;
  Patterns messages;  // prefixes; none: no message lines
  Claim claim;
};

// Parses the options into `options`, allocating in the current context. ereports
// ERRCODE_INVALID_PARAMETER_VALUE for an option that is unknown, repeated or not of its form.
void parse_options(List* elements, Options* options);

bool follows_name(const Options& options, std::string_view schema, std::string_view table) noexcept;
bool excludes_name(const Options& options, std::string_view schema,
                   std::string_view table) noexcept;
bool excludes_column(const Options& options, std::string_view schema, std::string_view table,
                     std::string_view column) noexcept;
bool wants_message(const Options& options, std::string_view prefix) noexcept;

}  // namespace deltaflood
