#include "values/binary_copy.h"

#include <fmt/format.h>

#include <utility>

namespace deltamirror {

namespace {

using namespace std::string_view_literals;

constexpr std::string_view kSignature = "PGCOPY\n\377\r\n\0"sv;

[[noreturn]] void bad_message(const char* what) {
  throw daystream::ProtocolError(fmt::format("a message of COPY {}", what));
}

// A number in network byte order, from the front of `rest`.
template <typename Number>
Number take_number(std::string_view& rest) {
  if (rest.size() < sizeof(Number)) bad_message("is cut short");
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    value = value << 8 | static_cast<unsigned char>(rest[i]);
  }
  rest.remove_prefix(sizeof(Number));
  return static_cast<Number>(value);
}

std::string_view take_bytes(std::string_view& rest, std::int32_t size) {
  if (size < 0 || static_cast<std::size_t>(size) > rest.size()) bad_message("is cut short");
  const std::string_view out = rest.substr(0, static_cast<std::size_t>(size));
  rest.remove_prefix(out.size());
  return out;
}

// `IS DISTINCT FROM NULL` is about the value itself: IS NULL would also be true for a composite of
// NULLs only.
std::string text_of(const std::string& value) {
  return fmt::format("CASE WHEN {0} IS DISTINCT FROM NULL THEN pg_catalog.format('%s', {0}) END",
                     value);
}

// As TYPES.md says of elements. convert() leaves alone what does not begin as an array does.
std::string json_by_server(const std::string& name, Kind kind) {
  std::string element = "pg_catalog.to_json(e.t)::text";
  if (kind == Kind::Bool) {
    element = "CASE e.t WHEN 't' THEN 'true' WHEN 'f' THEN 'false' END";
  } else if (kind == Kind::Integer || kind == Kind::Real || kind == Kind::Whole) {
    element = "CASE WHEN e.t = 'NaN' OR e.t LIKE '%Infinity' THEN '\"' || e.t || '\"' ELSE e.t END";
  } else if (kind == Kind::TimestampTz) {
    element = "pg_catalog.to_json(pg_catalog.regexp_replace(e.t, '[+]00$', ''))::text";
  }
  return fmt::format(
      "CASE WHEN pg_catalog.array_ndims(q.{0}) = 1 AND pg_catalog.array_lower(q.{0}, 1) = 1 THEN "
      "(SELECT '[' || pg_catalog.string_agg(COALESCE({1}, 'null'), ',') || ']' FROM "
      "(SELECT {2} AS t FROM (SELECT pg_catalog.unnest(q.{0}) AS x) AS u) AS e) ELSE {3} END",
      name, element, text_of("u.x"), text_of("q." + name));
}

}  // namespace

std::string binary_copy_sql(std::string_view select, const std::vector<CopyColumn>& columns) {
  std::string list;
  std::string names;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const std::string name = fmt::format("c{}", i);
    if (i != 0) list += ", ", names += ", ";
    names += name;
    list += columns[i].wire != Wire::Text ? "q." + name
            : columns[i].json_by_server   ? json_by_server(name, columns[i].type.kind)
                                          : text_of("q." + name);
  }
  return fmt::format("COPY (SELECT {} FROM (\n{}\n) AS q({})) TO STDOUT (FORMAT binary)", list,
                     select, names);
}

namespace {

Value value_in(const CopyColumn& column, std::string_view bytes, std::string& scratch) {
  try {
    return decode(column.wire, column.type, bytes, scratch);
  } catch (const daystream::ProtocolError&) {
    if (column.asked.empty()) throw;
    does_not_fit(column.name, column.asked);
  }
}

}  // namespace

BinaryCopy::BinaryCopy(std::vector<CopyColumn> columns) : columns_(std::move(columns)) {}

void BinaryCopy::take(std::string_view message, RowBatch& batch) {
  if (std::exchange(header_, false)) {
    if (!message.starts_with(kSignature)) bad_message("does not begin as binary COPY does");
    message.remove_prefix(kSignature.size());
    if (take_number<std::uint32_t>(message) != 0) bad_message("has flags that we do not know");
    take_bytes(message, take_number<std::int32_t>(message));
  }
  if (message.empty()) return;
  const auto count = take_number<std::int16_t>(message);
  if (count == -1) return;  // the end
  if (count < 0 || static_cast<std::size_t>(count) != columns_.size()) {
    bad_message("has another number of columns than its query");
  }
  // One copy of the whole row; what is converted comes after it.
  const std::size_t row_at = batch.keep(message);
  const char* const row = message.data();
  for (const CopyColumn& column : columns_) {
    const auto size = take_number<std::int32_t>(message);
    if (size == -1) {
      batch.add(Value{}, 0);
      continue;
    }
    const std::string_view bytes = take_bytes(message, size);
    const Value value = value_in(column, bytes, scratch_);
    std::size_t at = 0;
    if (value.type == Value::Type::Text || value.type == Value::Type::Blob) {
      const bool borrows_row =
          value.bytes.data() >= bytes.data() && value.bytes.data() <= bytes.data() + bytes.size();
      at = borrows_row ? row_at + static_cast<std::size_t>(value.bytes.data() - row)
                       : batch.keep(value.bytes);
    }
    batch.add(value, at);
  }
  if (!message.empty()) bad_message("goes on after its row");
}

}  // namespace deltamirror
