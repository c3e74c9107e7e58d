#include "options.h"

#include "grammar/escape.h"

extern "C" {
#include "nodes/parsenodes.h"
#include "nodes/value.h"
}

namespace deltaflood {

namespace {

constexpr int kMaxBatchBytes = 64 * 1024 * 1024;

// Every frame here is C-shaped: ereport jumps over it.
[[noreturn]] void refuse(const DefElem* element, const char* takes) {
  if (element->arg == nullptr) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("option \"%s\" needs a value: %s", element->defname, takes)));
  }
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                  errmsg("invalid value for option \"%s\": \"%s\"", element->defname,
                         strVal(element->arg)),
                  errdetail("It takes %s.", takes)));
  pg_unreachable();
}

const char* text_of(const DefElem* element, const char* takes) {
  if (element->arg == nullptr) refuse(element, takes);
  return strVal(element->arg);
}

std::string_view kept(const char* text) {
  return pstrdup(text);
}

// No value means on, as in test_decoding.
bool parse_switch(const DefElem* element) {
  bool value = true;
  if (element->arg != nullptr && !parse_bool(strVal(element->arg), &value)) {
    refuse(element, "a Boolean: on or off");
  }
  return value;
}

// Part of a line in a file of the server: an id is short, and of nothing that could end it.
std::string_view parse_id(const DefElem* element) {
  static const char takes[] = "1 to 64 letters, digits and hyphens";
  const std::string_view id = text_of(element, takes);
  bool fits = !id.empty() && id.size() <= 64;
  for (const char c : id) fits &= isalnum(static_cast<unsigned char>(c)) != 0 || c == '-';
  if (!fits) refuse(element, takes);
  return kept(id.data());
}

std::string_view parse_words(const DefElem* element) {
  static const char takes[] = "a text of one line, of 1000 bytes at most";
  const std::string_view text = text_of(element, takes);
  if (text.size() > 1000 || text.find('\n') != std::string_view::npos) refuse(element, takes);
  return kept(text.data());
}

std::size_t parse_size(const DefElem* element) {
  static const char takes[] = "a number of bytes from 0 to 67108864";
  int value = 0;
  if (!parse_int(text_of(element, takes), &value, 0, nullptr) || value < 0 ||
      value > kMaxBatchBytes) {
    refuse(element, takes);
  }
  return static_cast<std::size_t>(value);
}

Patterns parse_list(const DefElem* element, grammar::ListOf what, const char* takes) {
  const std::string_view list = text_of(element, takes);
  Patterns result;
  result.items = static_cast<Pattern*>(palloc(grammar::pattern_capacity(list) * sizeof(Pattern)));
  char* const storage = static_cast<char*>(palloc(list.size() + 1));
  const grammar::ParsedList parsed = grammar::parse_list(list, what, storage, result.items);
  if (parsed.problem != nullptr) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("invalid value for option \"%s\": \"%s\"", element->defname,
                           strVal(element->arg)),
                    errdetail("%s: it takes %s.", parsed.problem, takes)));
  }
  result.count = parsed.count;
  return result;
}

unsigned parse_actions(const DefElem* element) {
  static const char takes[] = "a comma-separated list of insert, update, delete and truncate";
  const unsigned actions = grammar::parse_actions(text_of(element, takes)).actions;
  if (actions == 0) refuse(element, takes);
  return actions;
}

void refuse_repeated(List* elements, const DefElem* element) {
  ListCell* cell = nullptr;
  foreach (cell, elements) {
    const auto* const other = static_cast<const DefElem*>(lfirst(cell));
    if (other == element) return;
    if (strcmp(other->defname, element->defname) == 0) {
      ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                      errmsg("option \"%s\" is given more than once", element->defname)));
    }
  }
}

// A null text of the user's own is escaped as any value is; pg-deltaflood's source (0c5cc0e) does
// so.
std::string_view escaped_null(const Options& options) {
  if (!options.escape) return options.null_text;
  const std::size_t size = grammar::escaped_size(options.null_text);
  char* const out = static_cast<char*>(palloc(size + grammar::kEscapeSlack));
  return {out, grammar::escape_into(out, options.null_text)};
}

// Where a switch of one name is kept; nullptr: it is no switch, or none that we keep.
bool* switch_named(std::string_view name, Options* options) {
  const struct {
    const char* name;
    bool* kept;
  } switches[] = {
      {"include-xids", &options->include_xids},
      {"include-lsn", &options->include_lsn},
      {"include-transaction", &options->include_transaction},
      {"include-schema", &options->include_schema},
      {"include-truncate", &options->include_truncate},
      {"full-name", &options->full_name},
      {"only-local", &options->only_local},
      {"partition-root", &options->partition_root},
      {"convert-bool", &options->convert_bool},
      {"escape-chars", &options->escape},
      // A later name of pg-deltaflood's for the same; its source at 0c5cc0e has only the first.
      {"escape-unicode", &options->escape},
      {"adopt-slot", &options->claim.adopt},
      {"only-look", &options->claim.only_look},
  };
  for (const auto& each : switches) {
    if (name == each.name) return each.kept;
  }
  return nullptr;
}

void parse_option(const DefElem* element, Options* options) {
  static const char tables[] = "a comma-separated list of table, schema.table, with * for any run";
  static const char columns[] =
      "a comma-separated list of column, table.column, schema.table.column, with * for any run";
  static const char prefixes[] = "a comma-separated list of message prefixes, with * for any run";
  const std::string_view name = element->defname;
  if (bool* const kept_at = switch_named(name, options); kept_at != nullptr) {
    *kept_at = parse_switch(element);
  } else if (name == "include-oids") {
    (void)parse_switch(element);  // rows have no OIDs of their own since PostgreSQL 12
  } else if (name == "include-messages") {
    options->messages = parse_list(element, grammar::ListOf::Texts, prefixes);
  } else if (name == "skip-nulls") {
    options->nulls = parse_switch(element) ? Nulls::Skipped : Nulls::Written;
  } else if (name == "null") {
    options->null_text = kept(text_of(element, "the text that stands for NULL"));
  } else if (name == "separator") {
    options->separator = kept(text_of(element, "the text between keys and values"));
  } else if (name == "batch-bytes") {
    options->batch_bytes = parse_size(element);
  } else if (name == "stream-id") {
    options->claim.id = parse_id(element);
  } else if (name == "stream-name") {
    options->claim.name = parse_words(element);
  } else if (name == "actions") {
    options->actions = parse_actions(element);
  } else if (name == "tables") {
    options->tables = parse_list(element, grammar::ListOf::Tables, tables);
  } else if (name == "exclude-tables") {
    options->exclude_tables = parse_list(element, grammar::ListOf::Tables, tables);
  } else if (name == "exclude-columns") {
    options->exclude_columns = parse_list(element, grammar::ListOf::Columns, columns);
  } else {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("option \"%s\" is not known to deltaflood", element->defname),
                    errhint("Options are include-transaction, include-schema, include-truncate, "
                            "include-messages, batch-bytes, tables, exclude-tables, "
                            "exclude-columns, actions, only-local, partition-root, include-xids, "
                            "include-oids, include-lsn, full-name, skip-nulls, null, separator, "
                            "convert-bool, escape-chars, escape-unicode, stream-id, "
                            "stream-name, adopt-slot and only-look.")));
  }
}

bool any_table(const Patterns& patterns, std::string_view schema, std::string_view table) noexcept {
  for (std::size_t i = 0; i < patterns.count; ++i) {
    if (grammar::matches_table(patterns.items[i], schema, table)) return true;
  }
  return false;
}

}  // namespace

void parse_options(List* elements, Options* options) {
  *options = Options{};
  options->separator = "\t";
  options->claim.name = "";
  ListCell* cell = nullptr;
  foreach (cell, elements) {
    const auto* const element = static_cast<const DefElem*>(lfirst(cell));
    if (element->arg != nullptr && !IsA(element->arg, String)) {
      elog(ERROR, "option \"%s\" is not a string", element->defname);
    }
    refuse_repeated(elements, element);
    parse_option(element, options);
  }
  options->null_text =
      options->null_text.data() == nullptr ? grammar::kNull : escaped_null(*options);
}

bool follows_name(const Options& options, std::string_view schema,
                  std::string_view table) noexcept {
  return options.tables.count == 0 || any_table(options.tables, schema, table);
}

bool excludes_name(const Options& options, std::string_view schema,
                   std::string_view table) noexcept {
  return any_table(options.exclude_tables, schema, table);
}

bool excludes_column(const Options& options, std::string_view schema, std::string_view table,
                     std::string_view column) noexcept {
  for (std::size_t i = 0; i < options.exclude_columns.count; ++i) {
    if (grammar::matches_column(options.exclude_columns.items[i], schema, table, column))
      return true;
  }
  return false;
}

bool wants_message(const Options& options, std::string_view prefix) noexcept {
  for (std::size_t i = 0; i < options.messages.count; ++i) {
    if (grammar::part_matches(options.messages.items[i].parts[0], prefix)) return true;
  }
  return false;
}

}  // namespace deltaflood
