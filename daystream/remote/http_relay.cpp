#include "remote/http_relay.h"

#include <fmt/format.h>

#include <utility>

#include "crc32c.h"
#include "daystream/error.h"
#include "remote/url_encode.h"

namespace daystream::remote {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// The server hears of a new position at most so often, and of an old one now and then.
constexpr milliseconds kReportAfter{250};
constexpr std::chrono::seconds kReportAgain{3};  // at the next beat, that is

void check_whole(const Download& download, const std::string& base) {
  const std::string tables = download.header("daystream-tables");
  if (tables.empty()) return;
  throw NeedsPerson(fmt::format("{}: the server sends us only tables \"{}\"", base, tables),
                    "a copy needs all of them: use a token without \"tables=\", or let the readers "
                    "ask the server itself");
}

}  // namespace

void require_whole(const RelayOptions& options) {
  Download download(options.http,
                    fmt::format("{}/stream?beat={}", options.url.base, Download::kBeat.count()));
  while (!download.wait(Download::kSilence, -1)) continue;
  check_whole(download, options.url.base);
}

HttpRelay::HttpRelay(RelayOptions options)
    : Relay(options.url.base, options.directory, options.once),
      options_(std::move(options)),
      notices_(options_.http) {}
HttpRelay::~HttpRelay() = default;

std::string HttpRelay::manifest_text() {
  return request(options_.http, "GET", options_.url.base + "/manifest").body;
}

void HttpRelay::begin() {
  std::string url = fmt::format("{}/stream?beat={}", options_.url.base, Download::kBeat.count());
  if (writer().position() != Position::begin()) {
    url += fmt::format("&line={}&crc={}", writer().position().text(), crc_text(writer().crc()));
  }
  download_.emplace(options_.http, url);
  beats_ = {};
}

bool HttpRelay::receive(const Stop& stop) {
  const milliseconds patience = notices_.busy() ? milliseconds(50) : kFlushAfter;
  if (!download_->wait(patience, stop.fd())) return false;
  check_whole(*download_, options_.url.base);
  lines_.clear();
  beats_.strip(download_->bytes(), lines_);
  download_->bytes().clear();
  writer().append(lines_);
  return true;
}

// Says how far the copy is.
void HttpRelay::end_turn() {
  notices_.turn();
  const auto now = steady_clock::now();
  if (notices_.busy() || writer().position() == Position::begin()) return;
  const std::string position = writer().position().text();
  const auto since = now - reported_at_;
  if (position == reported_ ? since < kReportAgain : since < kReportAfter) return;
  notices_.post(fmt::format("{}/copies?copy={}&kind=pull&position={}&lsn={}&crc={}",
                            options_.url.base, url_encode(options_.copy), position,
                            writer().lsn().text(), crc_text(writer().crc())));
  reported_ = position;
  reported_at_ = now;
}

}  // namespace daystream::remote
