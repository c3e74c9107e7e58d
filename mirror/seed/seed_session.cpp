#include "seed/seed_session.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <set>

#include "apply/holding.h"
#include "seed/chosen_columns.h"
#include "seed/requests.h"
#include "src/waiting.h"
#include "store/shared_table.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::Error;
using daystream::NeedsPerson;
using daystream::WrongSource;
using daystream::program::exec;
using daystream::program::exec_params;
using daystream::program::PgResult;
using daystream::program::query_value;

namespace {

// "dfcp": what pg_locks has as classid of the places for copies.
constexpr int kPlacesClass = 0x64666370;

std::string cell(const PgResult& result, int row, int column) {
  return PQgetvalue(result.get(), row, column);
}

daystream::Lsn lsn_of(const std::optional<std::string>& text) {
  return daystream::Lsn::parse(text.value_or("")).value_or(daystream::Lsn{});
}

void check_names(const std::vector<SeedTable>& tables) {
  std::set<std::string> names;
  for (const SeedTable& table : tables) {
    check_mirror_name(table.mirrored.name);
    if (names.insert(folded(table.mirrored.name)).second) continue;
    throw ConfigError(
        fmt::format("two tables would be called \"{}\" in the mirror", table.mirrored.name),
        "give one another name with --as or \"as\"");
  }
}

}  // namespace

SeedSession::SeedSession(const std::string& conninfo, const daystream::Stream& daystream,
                         const std::vector<TableRequest>& tables,
                         const daystream::program::Signals& signals, Unfit unfit, int places)
    : SeedSession(conninfo, daystream, daystream.manifest(), tables, signals, unfit, places) {}

SeedSession::SeedSession(const std::string& conninfo, const daystream::Manifest& manifest,
                         const std::vector<TableRequest>& tables,
                         const daystream::program::Signals& signals, Unfit unfit)
    : SeedSession(conninfo, {}, manifest, tables, signals, unfit, 0) {}

SeedSession::SeedSession(const std::string& conninfo, daystream::Stream stream,
                         daystream::Manifest manifest, const std::vector<TableRequest>& tables,
                         const daystream::program::Signals& signals, Unfit unfit, int places)
    : stream_(std::move(stream)), signals_(signals), manifest_(std::move(manifest)), unfit_(unfit) {
  require_one_database(manifest_, stream_ ? stream_.address() : manifest_.name);
  source_ = manifest_.name;
  for (const TableRequest& asked : tables) {
    SeedTable& table = tables_.emplace_back();
    TableRequest& request = table.request;
    request = asked;
    if (request.source.empty()) request.source = manifest_.name;
    source_ = request.source;
    table.mirrored = asked_table(request);
  }
  check_names(tables_);

  connection_ = daystream::program::connect(conninfo, "deltamirror");
  cancel_ = daystream::program::Cancel(connection_.get());
  if (places > 0) take_place(places);
  // No conversion in a SQL_ASCII database: its bytes are what they are, here as in the stream.
  const char* server_encoding = PQparameterStatus(connection_.get(), "server_encoding");
  const bool utf8 = server_encoding != nullptr && std::string_view(server_encoding) == "UTF8";
  const bool ascii = server_encoding != nullptr && std::string_view(server_encoding) == "SQL_ASCII";
  exec(connection_.get(), fmt::format("SET client_encoding = '{}'", ascii ? "SQL_ASCII" : "UTF8"));
  settings_.emplace(connection_.get());
  locks_.emplace(connection_.get(), conninfo, *settings_, signals_.stop());
  describer_.emplace(connection_.get(), *settings_, utf8);
  server_ = identify_server(connection_.get());
  check_source();
  const CatalogTables catalog = read_catalog();
  for (std::size_t i = 0; i < tables_.size();) {
    try {
      check_table(tables_[i], catalog);
      ++i;
    } catch (const Error& e) {
      if (!pass_over(i, e)) throw;
    }
  }
}

// Advisory locks of the connection: they go with it, however it ends. Those that wait for one hold
// no connection meanwhile: a large fleet would use up all that the server has.
void SeedSession::take_place(int places) {
  const auto place = query_value(connection_.get(), R"(
    SELECT n FROM pg_catalog.generate_series(1, $1::int) n
    WHERE pg_catalog.pg_try_advisory_lock($2::int, n) LIMIT 1)",
                                 {std::to_string(places), std::to_string(kPlacesClass)});
  if (place) return;
  throw NoPlace(
      fmt::format("there is no place for another copy of database \"{}\"", PQdb(connection_.get())),
      fmt::format("at most {} are made at once: --max-copies", places));
}

CatalogTables SeedSession::read_catalog() {
  std::vector<TableRequest> requests;
  requests.reserve(tables_.size());
  for (const SeedTable& table : tables_) requests.push_back(table.request);
  return {connection_.get(), table_names_of(requests)};
}

void SeedSession::check_table(SeedTable& table, const CatalogTables& catalog) {
  if (table.request.table.empty()) return;
  table.relation = catalog.relation(parse_table_name(table.request.table));
  check_followable(connection_.get(), table.relation);
  const Shape& shape = catalog.shape(table.relation);
  check_key(connection_.get(), table.relation, shape);
  const daystream::Holding& holding = manifest_.holdings.back();
  auto not_held = why_not_held(holding, shape.line_name, table.relation.partitioning);
  if (!not_held && !holding.excluded_tables().empty()) {
    not_held = why_excluded(holding, partition_relatives(connection_.get(), table.relation));
  }
  if (!not_held) return;
  throw NeedsPerson(fmt::format("the daystream does not hold table \"{}\": {}",
                                table.relation.name.display(), not_held->why),
                    not_held->hint);
}

// What only one table has: the session goes on with the others. What may pass, and what is wrong
// with the connection, concerns all.
bool SeedSession::pass_over(std::size_t table, const Error& error) {
  if (unfit_ == Unfit::Refuse || error.retryable() || cancelled_ || signals_.stop_requested() ||
      PQstatus(connection_.get()) != CONNECTION_OK) {
    return false;
  }
  const bool missing = dynamic_cast<const NoSuchTable*>(&error) != nullptr;
  problems_.push_back(
      {.name = tables_[table].mirrored.name,
       .absence = {.state = missing ? TableState::Waiting : TableState::Parked,
                   .reason = error.what(),
                   .hint = missing ? "it is copied when it is there" : error.hint()},
       .exit_code = error.exit_code()});
  tables_.erase(tables_.begin() + static_cast<std::ptrdiff_t>(table));
  return true;
}

void SeedSession::check_source() {
  if (manifest_.holdings.empty()) {
    throw Error(fmt::format("daystream \"{}\" says nothing of what it holds", stream_.address()),
                "it was made by an older deltastream: start that once, of this version");
  }
  const std::string& name = stream_ ? stream_.address() : manifest_.name;
  require_same_source(fmt::format("daystream \"{}\"", name), manifest_.source(), "the server",
                      server_.identity(),
                      "connect to the server and database that deltastream follows, or name its "
                      "daystream");
}

void SeedSession::pause(int milliseconds) {
  daystream::WaitSet{signals_.stop().fd()}.wait(std::chrono::milliseconds(milliseconds));
  if (signals_.stop_requested() || cancelled_) {
    throw Error("stopped before all tables were read", "the same command does it again");
  }
}

void SeedSession::cancel() noexcept {
  cancelled_ = true;
  cancel_.ask();
}

void SeedSession::begin() {
  PGconn* const pg = connection_.get();
  const auto pass = [this](std::size_t table, const Error& e) { return pass_over(table, e); };
  for (;; exec(pg, "ROLLBACK"), locks_->drop_bridge(), pause(1)) {
    exec(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    settings_->set(pg);
    if (!locks_->take(tables_, pass)) continue;
    point_.snapshot =
        MvccSnapshot::parse(query_value(pg, "SELECT pg_current_snapshot()").value_or(""));
    point_.consistent_at = lsn_of(query_value(pg, "SELECT pg_current_wal_insert_lsn()"));
    if (locks_->cross_bridge(tables_, pass)) return;
  }
}

// Of the end of the stream, which is from after the snapshot: that it goes to another timeline
// later is seen by who applies it.
void SeedSession::check_timeline() const {
  const auto theirs = stream_.timeline();
  if (!theirs || *theirs == server_.timeline) return;
  const bool left = *theirs > server_.timeline;
  throw OtherTimeline(
      fmt::format("the server is on timeline {}, and the daystream {} on timeline {}: what they "
                  "have since the fail-over are not the same transactions",
                  server_.timeline, left ? "goes on" : "still is", *theirs),
      left ? "connect to the server that deltastream is connected to: this one was left behind"
           : "where it was promoted, connect deltastream to it; where it is a copy, connect to the "
             "server that deltastream is connected to");
}

bool SeedSession::try_seam() {
  manifest_ = stream_.manifest();
  check_timeline();
  const auto seam = stream_.find_seam(point_.snapshot.xmin());
  if (!seam) return false;
  for (const SeedTable& table : tables_) {
    if (table.relation.oid == 0) continue;
    const auto since =
        held_since(manifest_, table.mirrored.shape.line_name, table.mirrored.partitions.kind);
    if (!since || seam->position < *since) return false;
  }
  point_.seam = *seam;
  return true;
}

// The snapshot is given up meanwhile: it would hold back vacuum, and a later one is needed anyway.
void SeedSession::wait_for_seam() {
  using std::chrono::steady_clock;
  PGconn* const pg = connection_.get();
  exec(pg, "ROLLBACK");
  auto told = steady_clock::time_point{};
  for (;;) {
    point_.snapshot =
        MvccSnapshot::parse(query_value(pg, "SELECT pg_current_snapshot()").value_or(""));
    if (try_seam()) return;
    if (steady_clock::now() - told > std::chrono::seconds(5)) {
      told = steady_clock::now();
      const PgResult running = exec(pg, R"(
        SELECT pid::text, backend_xid::text, coalesce(extract(epoch FROM now() - xact_start), 0)::int
        FROM pg_stat_activity WHERE backend_xid IS NOT NULL
        UNION ALL
        SELECT 'prepared ' || quote_literal(gid), transaction::text,
               extract(epoch FROM now() - prepared)::int
        FROM pg_prepared_xacts ORDER BY 3 DESC LIMIT 3)");
      std::string who;
      for (int row = 0; row < PQntuples(running.get()); ++row) {
        who += fmt::format("{}xid {} of {} since {} s", who.empty() ? "" : ", ",
                           cell(running, row, 1), cell(running, row, 0), cell(running, row, 2));
      }
      spdlog::info("waiting until the daystream reaches past transactions from before it began{}",
                   who.empty() ? "" : ": " + who);
      const auto active =
          query_value(pg, "SELECT active::text FROM pg_replication_slots WHERE slot_name = $1",
                      {manifest_.slot});
      if (!manifest_.slot.empty() && active != "true") {
        spdlog::warn(
            "nobody reads replication slot \"{}\": without deltastream the daystream does not grow",
            manifest_.slot);
      }
    }
    pause(200);
  }
}

void SeedSession::check() {
  bool described = false;
  while (!described) {
    begin();
    described = describe_tables();
    exec(connection_.get(), "ROLLBACK");
  }
}

std::int64_t SeedSession::clock_us() {
  const auto text = query_value(connection_.get(),
                                "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint");
  return std::strtoll(text.value_or("0").c_str(), nullptr, 10);
}

void SeedSession::give_up_snapshot() {
  exec(connection_.get(), "ROLLBACK");
  pause(50);
}

// False: another try is to be made, as with locks, or as a table was replaced.
bool SeedSession::describe_tables() {
  describer_->read_types(tables_);
  const CatalogTables catalog = read_catalog();
  for (std::size_t i = 0; i < tables_.size(); ++i) {
    pause(0);  // of thousands of tables this takes long: a stop is heard
    try {
      SeedTable& table = tables_[i];
      if (table.relation.oid != 0 &&
          catalog.relation(table.relation.name).oid != table.relation.oid) {
        check_table(table, catalog);  // another has come under its name: that one is meant now
        return false;
      }
      describer_->describe(table, catalog);
    } catch (const RequestProblem& e) {
      const ConfigError error(
          fmt::format("table \"{}\": {}", tables_[i].relation.name.display(), e.what()), e.hint());
      if (!pass_over(i, error)) throw error;
      return false;
    } catch (const Error& e) {
      if (!pass_over(i, e)) throw;
      return false;
    }
  }
  return true;
}

void SeedSession::take_snapshot() {
  for (;;) {
    begin();
    if (!describe_tables()) {
      exec(connection_.get(), "ROLLBACK");
      continue;
    }
    if (try_seam()) break;
    wait_for_seam();
  }
  for (SeedTable& table : tables_) {
    table.mirrored.seed.snapshot = point_.snapshot;
    table.mirrored.seed.consistent_at = point_.consistent_at;
    table.mirrored.seed.timeline = server_.timeline;
  }
  spdlog::info("snapshot {} at {}, replay joins after {} ({})", point_.snapshot.text(),
               point_.consistent_at.text(), point_.seam.position.text(), point_.seam.lsn.text());
}

std::uint64_t SeedSession::count_rows(const SeedTable& table) {
  const auto count =
      query_value(connection_.get(), "SELECT count(*) FROM " + from_item(table.relation));
  return std::strtoull(count.value_or("0").c_str(), nullptr, 10);
}

// The server says that rows will come only with the first of them, over which it may think for
// long: a stop is heard meanwhile.
void SeedSession::begin_copy(const std::string& sql) {
  PGconn* const pg = connection_.get();
  const std::string action = "could not copy rows from PostgreSQL";
  daystream::program::send(pg, sql);
  daystream::program::is_answered(pg, std::chrono::steady_clock::time_point::max(),
                                  signals_.stop());
  if (signals_.stop_requested()) {
    throw Error("stopped before all tables were read", "the same command does it again");
  }
  const PgResult result(PQgetResult(pg));
  if (PQresultStatus(result.get()) == PGRES_COPY_OUT) return;
  daystream::program::throw_error(pg, result.get(), action);
}

PGconn* SeedSession::start_copy(const SeedTable& table) {
  PGconn* const pg = connection_.get();
  if (table.by_query) {
    settings_->for_query(pg);
  } else {
    settings_->for_tables(pg);
  }
  begin_copy(table.copy_sql);
  return pg;
}

bool SeedSession::is_flushed() {
  return query_value(connection_.get(),
                     fmt::format("SELECT (pg_current_wal_flush_lsn() >= '{}'::pg_lsn)::text",
                                 point_.consistent_at.text())) == "true";
}

void SeedSession::finish() {
  PGconn* const pg = connection_.get();
  exec(pg, "COMMIT");
  while (!is_flushed()) {
    daystream::program::commit_nothing(pg);
    if (is_flushed()) return;
    pause(20);
  }
}

}  // namespace deltamirror
