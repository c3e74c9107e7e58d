#include "verify/verify_point.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>

#include "daystream/reader.h"
#include "history/history_tables.h"
#include "program/hint.h"

namespace deltamirror {

using daystream::Reader;
using daystream::Transaction;

namespace {

// A stream that is written has it long before that; else this says what it waits for.
constexpr std::chrono::seconds kFirstWord{1};
constexpr std::chrono::seconds kNextWord{60};

// Whether the snapshot sees all that the mirror has: every commit up to its checkpoint.
bool sees_all_up_to(const SeedSession& session, const daystream::Stream& daystream,
                    const Checkpoint& at) {
  if (session.seam().position >= at.position) return true;
  Reader reader(daystream, {session.seam().position, session.seam().lsn});
  while (Transaction* transaction = reader.next()) {
    if (transaction->lsn() > at.lsn) break;
    if (transaction->kind() != Transaction::Kind::Transaction) continue;
    const daystream::Change& end = transaction->end();
    if (end.xid != 0 && end.next &&
        !session.snapshot().sees(daystream::widen_xid(end.xid, *end.next))) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::vector<MirroredTable> comparable_tables(const Database& db, const std::string& source,
                                             VerifyReport& report) {
  std::vector<MirroredTable> tables = load_tables_of(db, source);
  std::erase_if(tables, [&report](const MirroredTable& table) {
    if (!table.is_static() && !table.is_followed()) {
      report.passed_over(table.name, fmt::format("it is {}: {}", state_name(table.standing.state),
                                                 table.standing.reason));
      return true;
    }
    if (table.mode == TableMode::Mirror) return false;
    report.passed_over(shown_name(table), "it is a history");
    return true;
  });
  return tables;
}

std::vector<TableRequest> request_of(const std::vector<MirroredTable>& tables) {
  std::vector<TableRequest> out;
  for (const MirroredTable& table : tables) {
    if (table.is_static()) continue;
    out.push_back({.table = daystream::unescape(table.shape.line_name),
                   .query = {},
                   .as = table.name,
                   .indexes = {},
                   .types = {}});
  }
  return out;
}

const MirroredTable* find_table(const std::vector<MirroredTable>& tables, std::uint32_t oid) {
  const auto found = std::find_if(tables.begin(), tables.end(), [&](const MirroredTable& table) {
    return !table.is_static() && table.shape.oid == oid;
  });
  return found == tables.end() ? nullptr : &*found;
}

const MirroredTable& require_seeded(const MirroredTable* found, const SeedTable& source) {
  if (found != nullptr) return *found;
  throw daystream::NeedsPerson(fmt::format("table \"{}\" is not the one that was seeded (OID {})",
                                           source.relation.name.display(), source.relation.oid),
                               "seed the mirror again");
}

void take_snapshot_seeing(SeedSession& session, const daystream::Stream& daystream,
                          const Checkpoint& at) {
  session.only_compare();
  session.take_snapshot();
  while (!sees_all_up_to(session, daystream, at)) {
    session.give_up_snapshot();
    session.take_snapshot();
  }
}

void read_to_snapshot(Reader& reader, const SeedSession& session, const std::string& conninfo,
                      const daystream::program::Signals& signals,
                      const std::function<daystream::Lsn()>& reached,
                      const std::function<void(Transaction&)>& take) {
  std::chrono::seconds patience = kFirstWord;
  bool nudged = false;
  while (reached() < session.consistent_at()) {
    if (signals.stop_requested())
      throw daystream::Error("stopped before all was verified", "the same command does it again");
    if (Transaction* const transaction = reader.next(); transaction != nullptr) {
      take(*transaction);
      continue;
    }
    if (!nudged) {
      daystream::program::commit_nothing(
          daystream::program::connect(conninfo, "deltamirror").get());
    }
    nudged = true;
    if (!reader.wait(patience, signals.stop().fd()) && !signals.stop_requested()) {
      patience = kNextWord;
      spdlog::warn("{}", daystream::program::with_hint(
                             fmt::format("waiting until the daystream reaches {}, where "
                                         "PostgreSQL's rows are read",
                                         session.consistent_at().text()),
                             fmt::format("it ends at {}: \"deltastream status\" shows whether "
                                         "anybody writes it",
                                         reached().text())));
    }
  }
}

bool lay_over(Overlay& overlay, const SeedSession& session, const daystream::Stream& daystream,
              const Checkpoint& at, const std::string& conninfo,
              const daystream::program::Signals& signals) {
  Reader reader(daystream, {at.position, at.lsn});
  daystream::Lsn reached = at.lsn;
  bool fits = true;
  read_to_snapshot(
      reader, session, conninfo, signals, [&] { return fits ? reached : session.consistent_at(); },
      [&](Transaction& transaction) {
        fits = overlay.take(transaction, session.snapshot());
        reached = std::max(reached, transaction.lsn());
      });
  return fits;
}

}  // namespace deltamirror
