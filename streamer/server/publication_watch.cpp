#include "server/publication_watch.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "program/figures.h"
#include "program/hint.h"
#include "server/one_line.h"

namespace deltastream {

namespace program = daystream::program;

namespace {

// A managed server keeps WAL for us as long as nothing of ours comes: a sign of life is due.
constexpr std::chrono::seconds kBetweenLooks{10};
// While transactions are waited for that are older than the change.
constexpr std::chrono::seconds kBetweenLooksWhileChanged{1};
constexpr std::chrono::seconds kBetweenTrims{3'600};
// After a failure to tell a shape.
constexpr std::chrono::milliseconds kBeforeAgain{1'000};

}  // namespace

PublicationWatch::PublicationWatch(std::string conninfo, std::string publication,
                                   PublishedTables told, Published begun)
    : conninfo_(std::move(conninfo)),
      publication_(std::move(publication)),
      told_(std::move(told)),
      begun_(std::move(begun)),
      seen_(told_) {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    do {
      look();
      if (wake_.take(stop, kBeforeAgain)) (void)program::sleep(stop, std::chrono::milliseconds{10});
    } while (!stop.stop_requested());
  });
}

void PublicationWatch::tell(const std::set<std::uint32_t>& relations) {
  {
    const std::lock_guard lock(mutex_);
    asked_.insert(relations.begin(), relations.end());
  }
  wake_.put(true);
}

void PublicationWatch::look() {
  const std::set<std::uint32_t> asked = [this] {
    const std::lock_guard lock(mutex_);
    return std::exchange(asked_, {});
  }();
  const bool due = Clock::now() >= next_look_;
  if (asked.empty() && !due) return;
  try {
    const program::PgConn connection = program::connect(
        conninfo_, "deltastream", {{"connect_timeout", "3"}, {"client_encoding", "UTF8"}});
    PGconn* const pg = connection.get();
    // A commit that waits for a synchronous standby, which may be us, must not be ours.
    program::exec(pg, "SET statement_timeout = '10s'; SET synchronous_commit = off");
    if (!asked.empty()) tell_asked(pg, asked);
    if (due) {
      next_look_ = Clock::now() + (seen_ == told_ ? kBetweenLooks : kBetweenLooksWhileChanged);
      look_at_tables(pg);
      give_sign(pg);
      trim(pg);
    }
    problems_.clear();
  } catch (const daystream::Error& e) {
    if (const auto problem = problems_.met(one_line(e.what()))) {
      spdlog::warn("beside the stream of publication \"{}\": {}", publication_,
                   program::with_hint(*problem, one_line(e.hint())));
    }
    const std::lock_guard lock(mutex_);
    asked_.insert(asked.begin(), asked.end());
  }
}

void PublicationWatch::tell_asked(PGconn* pg, const std::set<std::uint32_t>& asked) {
  const std::uint64_t told = tell_shapes(pg, asked);
  spdlog::info("had the shapes of {} of publication \"{}\" told again",
               daystream::program::counted(told, "table"), publication_);
}

void PublicationWatch::look_at_tables(PGconn* pg) {
  const Published found = look_at_publication(pg, publication_);
  // At once: no mirror is to believe any longer that it gets all of them.
  if (told_ != no_tables()) {
    std::optional<PublishedTables> lost = found.lost_since(begun_, told_);
    if (!lost) return put({.left = {}, .all_left = true, .now = {}});
    if (!lost->empty()) return put({.left = std::move(*lost), .now = {}});
  }
  // What is said of the others, too.
  if (found.untold_options() != begun_.untold_options()) return put({});
  PublishedTables now = found.whole;
  if (now == told_) {
    seen_ = std::move(now);
    return;
  }
  if (now != seen_) {
    since_ =
        program::query_value(pg, "SELECT pg_snapshot_xmax(pg_current_snapshot())").value_or("");
    seen_ = std::move(now);
    next_look_ = Clock::now() + kBetweenLooksWhileChanged;
    return;
  }
  const auto over = program::query_value(
      pg, "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::xid8", {since_});
  if (over != "t") return;
  // Shapes may not have come either.
  if (told_ == no_tables()) tell_asked(pg, {0});
  put({.left = {}, .now = seen_});
}

void PublicationWatch::put(PublicationChange change) {
  changed_.put(std::move(change));
  has_changed_ = true;
}

void PublicationWatch::give_sign(PGconn* pg) {
  if (data_.exchange(false)) return;
  program::exec(pg, "SELECT pg_logical_emit_message(true, 'deltaflood', '')");
}

void PublicationWatch::trim(PGconn* pg) {
  if (Clock::now() < next_trim_) return;
  next_trim_ = Clock::now() + kBetweenTrims;
  try {
    program::exec(pg, "SELECT deltaflood.trim()");
  } catch (const program::SqlError& e) {
    // Whoever installed it may do it instead.
    spdlog::debug("could not trim deltaflood.ddl: {}", e.what());
  }
}

}  // namespace deltastream
