#include "remote/relay.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "crc32c.h"
#include "daystream/error.h"
#include "manifest_file.h"
#include "program/hint.h"
#include "program/repeats.h"
#include "remote/beats.h"
#include "remote/relay_writer.h"
#include "remote/url_encode.h"
#include "src/waiting.h"

namespace daystream::remote {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// While catching up: a sync costs a disk more than the bytes do.
constexpr std::uint64_t kFlushBytes = 16 * 1024 * 1024;
constexpr milliseconds kFlushAfter{1000};
// The server hears of a new position at most so often, and of an old one now and then.
constexpr milliseconds kReportAfter{250};
constexpr std::chrono::seconds kReportAgain{3};  // at the next beat, that is

}  // namespace

Relay::Relay(RelayOptions options) : options_(std::move(options)), notices_(options_.http) {}
Relay::~Relay() = default;

void Relay::run(int wake_fd, const std::function<bool()>& stop) {
  program::Repeats repeats;
  while (!stop() && !done_) {
    try {
      // What was written beyond `durable` is cut by opening again, and asked for again.
      writer_.reset();
      open();
      repeats.clear();
      session(wake_fd, stop);
    } catch (const Error& e) {
      if (!e.retryable()) throw;
      if (const auto text = repeats.met(e.what()))
        spdlog::warn("{}", program::with_hint(*text + "; trying again", e.hint()));
      notify_.status(fmt::format("waiting: {}", e.what()));
      wait(pauses_.next(), wake_fd);
    }
  }
}

void Relay::open() {
  if (place_) place_->look_now();  // else what was moved away would be pulled once more
  const std::string text = request(options_.http, "GET", options_.url.base + "/manifest").body;
  const Manifest source = parse_manifest(text, options_.url.base + "/manifest", options_.url.base);
  writer_ = std::make_unique<RelayWriter>(options_.directory, source, text);
  if (!place_) place_ = watch_directory(options_.directory);
  const Recovery& recovery = writer_->recovery();
  if (recovery.cut_bytes > 0) {
    spdlog::info("cut {} bytes from file \"{}\" that were not durable: {}", recovery.cut_bytes,
                 recovery.cut_file, recovery.cut_reason);
  }
}

void Relay::session(int wake_fd, const std::function<bool()>& stop) {
  std::string url = fmt::format("{}/stream?beat={}", options_.url.base, Download::kBeat.count());
  if (writer_->position() != Position::begin()) {
    url += fmt::format("&line={}&crc={}", writer_->position().text(), crc_text(writer_->crc()));
  }
  spdlog::info("pulling {} into \"{}\" after {}", options_.url.base, options_.directory.string(),
               writer_->position() == Position::begin() ? "nothing" : writer_->position().text());
  Download download(options_.http, url);
  notify_.status(fmt::format("pulling {}", options_.url.base));
  Beats beats;
  std::string lines;
  auto flushed_at = steady_clock::now();
  notify_.ready();
  while (!stop()) {
    notify_.alive();
    place_->look();
    const milliseconds patience = notices_.busy() ? milliseconds(50) : kFlushAfter;
    if (download.wait(patience, wake_fd)) {
      check_whole(download);
      lines.clear();
      beats.strip(download.bytes(), lines);
      download.bytes().clear();
      writer_->append(lines);
      pauses_.reset();
    }
    const auto now = steady_clock::now();
    if (beats.at_tail() || writer_->unflushed_bytes() >= kFlushBytes ||
        now - flushed_at >= kFlushAfter) {
      writer_->flush();
      flushed_at = now;
      if (writer_->take_manifest_due()) refresh_manifest();
    }
    report();
    if (options_.once && beats.at_tail()) {
      done_ = true;
      break;
    }
  }
  writer_->flush();
}

void Relay::check_whole(const Download& download) const {
  const std::string tables = download.header("daystream-tables");
  if (tables.empty()) return;
  throw NeedsPerson(
      fmt::format("{}: the server sends us only tables \"{}\"", options_.url.base, tables),
      "a copy needs all of them: use a token without \"tables=\", or let the readers ask the "
      "server itself");
}

// The source's writer began a connection: perhaps it holds other tables from there on.
void Relay::refresh_manifest() {
  writer_->save_manifest(request(options_.http, "GET", options_.url.base + "/manifest").body);
}

void Relay::report() {
  notices_.turn();
  const auto now = steady_clock::now();
  if (notices_.busy() || writer_->position() == Position::begin()) return;
  const std::string position = writer_->position().text();
  const auto since = now - reported_at_;
  if (position == reported_ ? since < kReportAgain : since < kReportAfter) return;
  notices_.post(fmt::format("{}/copies?copy={}&kind=pull&position={}&lsn={}&crc={}",
                            options_.url.base, url_encode(options_.copy), position,
                            writer_->lsn().text(), crc_text(writer_->crc())));
  reported_ = position;
  reported_at_ = now;
}

void Relay::wait(milliseconds pause, int wake_fd) {
  const auto until = steady_clock::now() + pause;
  for (;;) {
    notify_.alive();
    if (place_) place_->look();
    const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now());
    if (left.count() <= 0) return;
    if (WaitSet{wake_fd}.wait(std::min(left, kFlushAfter))) return;
  }
}

}  // namespace daystream::remote
