#include "remote/remote_source.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>

#include "calendar.h"
#include "crc32c.h"
#include "daystream/error.h"
#include "manifest_file.h"
#include "number.h"
#include "program/figures.h"
#include "remote/refusal.h"
#include "remote/url_encode.h"
#include "src/waiting.h"

namespace daystream::remote {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kForever = std::chrono::hours(1);

bool is_readable(int fd) {
  return WaitSet{fd}.wait(milliseconds(0));
}

}  // namespace

RemoteSource::RemoteSource(Options options, Url url)
    : options_(std::move(options)), url_(std::move(url)) {}

Manifest RemoteSource::manifest() {
  const std::string url = url_.base + "/manifest";
  return parse_manifest(request(options_, "GET", url).body, url, url_.base);
}

std::unique_ptr<File> RemoteSource::open_day(std::int64_t day) {
  return lines_.spool().open(day, fmt::format("{} of {}", day_text(day), url_.base));
}

// ---- connecting --------------------------------------------------------------------------------

void RemoteSource::connect(const std::string& query) {
  download_ = std::make_unique<Download>(
      options_, fmt::format("{}/stream?beat={}{}{}", url_.base, Download::kBeat.count(),
                            tables_.empty() ? "" : "&tables=" + url_encode(tables_), query));
  filter_known_ = false;
  lines_.begin_response();
}

void RemoteSource::connect_again() {
  std::string query;
  if (lines_.last() != Position::begin()) query = "&line=" + lines_.last().text();
  if (is_filtered() && lines_.chain()) query += "&chain=" + crc_text(*lines_.chain());
  connect(query);
}

// Which lines are left out must not change in between: the reader has checked it at the start.
void RemoteSource::check_filter() {
  if (filter_known_) return;
  filter_known_ = true;
  const std::string filter = download_->header("daystream-tables");
  if (!begun_) {
    filter_ = filter;
  } else if (filter != filter_) {
    throw NeedsPerson(
        fmt::format("{}: the server sends other tables than before: \"{}\", not \"{}\"", url_.base,
                    filter, filter_),
        "our token was changed there: start again, to see whether what is sent now is enough");
  }
}

void RemoteSource::lost(const Error& error) {
  download_.reset();
  if (!error.retryable()) throw;
  ++failures_;
  if (!away_) away_ = Away{error.what(), error.hint()};
  retries_.failed(error);
  try_again_at_ = steady_clock::now() + retries_.pause();
}

std::optional<Place> RemoteSource::resolve(const StartAfter& start) {
  tables_ = start.tables;
  std::string query;
  if (start.position != Position::begin()) query += "&after=" + start.position.text();
  if (start.lsn) query += "&lsn=" + start.lsn->text();
  try {
    connect(query);
    // A response begins with a line, or with the beat that says that there is none yet.
    while (!download_->wait(kForever, -1)) continue;
    check_filter();
  } catch (const Behind&) {
    download_.reset();
    try_again_at_ = steady_clock::now() + retries_.pause();
    return std::nullopt;
  }
  Place place;
  const std::string after = download_->header("daystream-after");
  if (after.empty()) {
    while (!have_more()) {
      if (!take()) download_->wait(kForever, -1);
    }
    place.day = lines_.spool().days().front();
    begun_ = true;
    return place;
  }
  const auto position = Position::parse(after);
  const auto chain = parse_crc(download_->header("daystream-chain"));
  const auto lsn = Lsn::parse(download_->header("daystream-lsn"));
  if (!position || !chain || !lsn) {
    throw ProtocolError(fmt::format("{}: the server does not say where it begins", url_.base),
                        "is it a \"daystream serve\"?");
  }
  lines_.begin_behind(*position, *chain);
  place.day = lines_.spool().last_day();
  place.state = {Spool::kInside, *position, *chain, false};
  place.lsn = *lsn;
  begun_ = true;
  return place;
}

// ---- receiving ---------------------------------------------------------------------------------

// Spools what waits. True: there was something.
bool RemoteSource::take() {
  if (download_->bytes().empty()) return false;
  lines_.take(download_->bytes(), is_filtered());
  download_->bytes().clear();
  retries_.worked();
  away_.reset();
  if (failures_ > 0) {
    spdlog::info("{}: connected again after {}", url_.base, program::counted(failures_, "failure"));
    failures_ = 0;
  }
  return true;
}

// Whether more is spooled than limit() has returned.
bool RemoteSource::have_more() const {
  const Spool& spool = lines_.spool();
  if (spool.empty()) return false;
  if (!told_) return spool.bytes_from(spool.days().front(), 0) > 0;
  return day_number(told_->durable.position.c) != spool.last_day() ||
         spool.last_end() > told_->durable.size_bytes;
}

// Connects where there is no connection, and takes what comes. False: nothing did.
bool RemoteSource::receive(milliseconds timeout, int wake_fd) {
  try {
    if (!download_) {
      const auto now = steady_clock::now();
      if (now < try_again_at_) {
        WaitSet{wake_fd}.wait_until(std::min(try_again_at_, now + timeout));
        if (steady_clock::now() < try_again_at_) return false;
      }
      connect_again();
    }
    if (!download_->wait(timeout, wake_fd)) return false;
    check_filter();
    return take();
  } catch (const Error& e) {
    lost(e);
    return false;
  }
}

std::optional<ReaderSource::Limit> RemoteSource::limit(std::int64_t day, std::uint64_t offset) {
  lines_.spool().release(day, offset);
  // Who asks has read all that was returned: now it is either more, or the end of what is durable.
  if (!have_more() && download_) receive(milliseconds(0), -1);
  const auto give_up = steady_clock::now() + kPatience;
  while (!have_more() && !lines_.at_tail()) {
    if (lines_.caught_up() && !download_) return told_;
    receive(milliseconds(1000), wake_fd_);
    // The server may read on for long without finding any of our tables. Who follows comes again,
    // and has other things to do meanwhile; anybody else takes "nothing" for the end.
    if (is_filtered() && wake_fd_ >= 0 && download_ && !have_more()) return told_;
    if (is_readable(wake_fd_)) return told_;
    if (!download_ && !have_more() && !lines_.at_tail() && steady_clock::now() >= give_up) {
      throw ConnectionLost(
          fmt::format("{}: the server has been away for {} s", url_.base, kPatience.count()),
          "look whether \"daystream serve\" runs there, and start this again");
    }
  }
  if (have_more()) {
    Limit limit;
    limit.has_chain = false;
    limit.durable.position = lines_.last();
    limit.durable.size_bytes = lines_.spool().last_end();
    told_ = limit;
  }
  return told_;
}

bool RemoteSource::wait(milliseconds timeout, int wake_fd) {
  const auto deadline = steady_clock::now() + timeout;
  wake_fd_ = wake_fd;
  if (!begun_) {
    // A signal ends it early: the caller may want to look at its flags.
    WaitSet{wake_fd}.wait_until(std::min(deadline, try_again_at_));
    return steady_clock::now() >= try_again_at_;
  }
  for (;;) {
    if (have_more()) return true;
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    if (left.count() <= 0) return false;
    const bool connected = download_ != nullptr;
    const bool was_away = away_.has_value();
    if (receive(std::min(left, milliseconds(60000)), wake_fd)) return have_more();
    if (is_readable(wake_fd) || (away_ && !was_away)) return false;
    if (connected && download_) return false;  // a signal, or the time is over
  }
}

std::uint64_t RemoteSource::backlog_bytes(std::int64_t day, std::uint64_t offset) {
  return lines_.spool().bytes_from(day, offset);
}

}  // namespace daystream::remote
