#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <random>

#include "daystream/reader.h"
#include "filter/row_filter.h"
#include "program/figures.h"
#include "seed/copy_pump.h"
#include "store/mirror_file.h"
#include "verify/row_compare.h"
#include "verify/touched_keys.h"
#include "verify/verify.h"
#include "verify/verify_point.h"

namespace deltamirror {

namespace {

// Stretches of the mirror's keys, and how long each is.
constexpr int kStretches = 50;
constexpr int kStretch = 20;

// Of all blocks.
double percent_of(const SampleSize& size, double estimated_rows) {
  double percent = size.percent;
  if (size.rows > 0) {
    // Twice as many blocks as should do, as the estimate may be old; LIMIT ends it.
    percent = estimated_rows > 0 ? 200.0 * static_cast<double>(size.rows) / estimated_rows : 100.0;
  }
  return std::clamp(percent, 0.000001, 100.0);
}

RowChoice some_rows(const SampleSize& size, double percent, std::uint32_t seed) {
  RowChoice rows;
  rows.sample = fmt::format("TABLESAMPLE SYSTEM ({:.6f}) REPEATABLE ({})", percent, seed);
  if (size.rows > 0) rows.limit = fmt::format("LIMIT {}", size.rows);
  return rows;
}

// The key's only column, where it is of an integer type; nullptr: another key.
const SourceColumn* integer_key(const MirroredTable& table) {
  const std::vector<int> key = table.key();
  if (key.size() != 1) return nullptr;
  const SourceColumn* column = table.shape.column(table.columns[key[0]].attnum);
  const bool is_integer =
      column->type == "smallint" || column->type == "integer" || column->type == "bigint";
  return is_integer ? column : nullptr;
}

// Keys of the mirror from random places on.
std::vector<std::int64_t> some_keys(const Database& db, const MirroredTable& table,
                                    std::mt19937_64& random) {
  const std::string key = quote_name(table.columns[table.key()[0]].name);
  const std::string name = quote_name(table.name);
  Statement bounds = db.prepare(fmt::format("SELECT min({0}), max({0}) FROM {1}", key, name));
  if (!bounds.step() || bounds.is_null(0)) return {};
  std::uniform_int_distribution<std::int64_t> anywhere(bounds.integer(0), bounds.integer(1));
  Statement select = db.prepare(fmt::format(
      "SELECT {0} FROM {1} WHERE {0} >= ? ORDER BY {0} LIMIT {2}", key, name, kStretch));
  std::vector<std::int64_t> keys;
  for (int i = 0; i < kStretches; ++i) {
    select.bind(1, anywhere(random));
    while (select.step()) keys.push_back(select.integer(0));
    select.reset();
  }
  return keys;
}

// Those of `keys` that PostgreSQL has not.
std::vector<std::int64_t> surplus_keys(SeedSession& session, const SeedTable& source,
                                       const MirroredTable& table, const SourceColumn& key,
                                       const std::vector<std::int64_t>& keys) {
  SeedTable asked = source;
  asked.by_query = false;
  const std::string where =
      table.choice.where ? " AND " + table.choice.where->sql(source.mirrored.shape) : std::string();
  asked.copied = {{.wire = Wire::Int8, .type = {.kind = Kind::Integer}}};
  asked.copy_sql =
      binary_copy_sql(fmt::format("SELECT k FROM unnest('{{{}}}'::bigint[]) AS k WHERE NOT EXISTS "
                                  "(SELECT 1 FROM {} t WHERE t.{} = k{})",
                                  fmt::join(keys, ","), from_item(source.relation),
                                  daystream::program::quote_identifier(key.name), where),
                      asked.copied);
  std::vector<std::int64_t> out;
  CopyPump pump(session.start_copy(asked), asked.copied);
  while (const RowBatch* batch = pump.next()) {
    for (std::size_t row = 0; row < batch->rows(); ++row)
      out.push_back(batch->value(row, 0).integer);
  }
  return out;
}

// Compares a sample of the rows of one table after the other. Rows that were touched since the
// mirror's commit are left out.
class SampleCheck {
 public:
  SampleCheck(Database& db, SeedSession& session, const TouchedKeys& touched,
              const SampleSize& size, VerifyReport& report)
      : db_(db), session_(session), touched_(touched), size_(size), report_(report) {}

  void run(const SeedTable& source, const MirroredTable& table) {
    if (table.key().empty()) return report_.passed_over(table.name, "it has no key");
    const std::uint32_t oid = table.shape.oid;
    if (touched_.whole_table(oid)) {
      return report_.passed_over(table.name, "it has just been truncated, rewritten or altered");
    }
    const auto tell = [this](const RowDifference& found) { report_.difference(found.what); };
    RowCompare compare(db_, table, false, tell);
    // Chance may choose no block of a small table: then of more of them.
    double percent = percent_of(size_, source.relation.estimated_rows);
    for (bool all = false; !all && compare.rows() == 0; percent = std::min(10 * percent, 100.0)) {
      all = percent >= 100;
      compare.run_sample(session_, source, some_rows(size_, percent, seed_),
                         [&](const RowBatch& batch, std::size_t row) {
                           return touched_.contains(oid, batch, row);
                         });
    }
    const std::uint64_t surplus = count_surplus(source, table);
    report_.compared(table.name, compare.rows(), compare.differences() + surplus,
                     fmt::format(" of a sample (seed {})", seed_));
  }

 private:
  // Rows of the mirror that PostgreSQL has not.
  std::uint64_t count_surplus(const SeedTable& source, const MirroredTable& table) {
    const SourceColumn* const key = integer_key(table);
    if (key == nullptr) return 0;
    std::uint64_t surplus = 0;
    const std::vector<std::int64_t> keys = some_keys(db_, table, random_);
    for (const std::int64_t missing : surplus_keys(session_, source, table, *key, keys)) {
      Value value;
      value.type = Value::Type::Integer;
      value.integer = missing;
      if (touched_.contains(table.shape.oid, {value})) continue;
      ++surplus;
      report_.difference(fmt::format("{}: row {}={} is not in PostgreSQL", table.name,
                                     table.columns[table.key()[0]].name, missing));
    }
    return surplus;
  }

  Database& db_;
  SeedSession& session_;
  const TouchedKeys& touched_;
  const SampleSize& size_;
  VerifyReport& report_;
  const std::uint32_t seed_ = std::random_device()() % 1'000'000;
  std::mt19937_64 random_{seed_};
};

}  // namespace

void verify_sample(const VerifyOptions& options, const daystream::program::Signals& signals,
                   VerifyReport& report) {
  Database db = open_for_reading(options.mirror);
  // One state of the mirror for all that follows.
  db.exec("BEGIN");
  const Checkpoint at = load_checkpoint(db, options.source);
  const std::vector<MirroredTable> tables = comparable_tables(db, options.source, report);

  SeedSession session(options.conninfo, options.daystream, request_of(tables), signals);
  take_snapshot_seeing(session, options.daystream, at);
  TouchedKeys touched(tables);
  daystream::Reader reader(options.daystream, {at.position, at.lsn});
  daystream::Lsn reached = at.lsn;
  read_to_snapshot(
      reader, session, options.conninfo, signals, [&] { return reached; },
      [&](daystream::Transaction& transaction) {
        touched.read(transaction);
        reached = std::max(reached, transaction.lsn());
      });

  SampleCheck check(db, session, touched, options.sample, report);
  for (const SeedTable& source : session.tables()) {
    check.run(source, require_seeded(find_table(tables, source.relation.oid), source));
  }
  session.finish();
}

}  // namespace deltamirror
