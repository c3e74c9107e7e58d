#include "serve/stream_route.h"

#include <event2/http.h>
#include <fmt/format.h>

#include <ctime>

#include "crc32c.h"
#include "daystream/error.h"
#include "serve/zstd_frame.h"

namespace daystream::serve {

namespace {

constexpr std::uint64_t kMostBeatSeconds = 60;
constexpr const char* kLines = "text/tab-separated-values; charset=utf-8";

// A header is one line of plain ASCII.
std::string plain_header(const std::string& text) {
  std::string plain;
  for (const char c : text) {
    if (c >= 0x20 && c < 0x7f && c != '%') {
      plain += c;
    } else {
      plain += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return plain;
}

// What is asked for, as far as the grant goes.
TableFilter filter_of(const Request& request, const Grant& grant) {
  const std::string asked = request.parameter("tables").value_or("");
  try {
    TableFilter filter(asked, grant.tables);
    if (!filter.takes_all() && filter.text().empty()) {
      throw HttpError(404, "no-such-table",
                      fmt::format("there is nothing of tables \"{}\" to be read here", asked));
    }
    return filter;
  } catch (const ConfigError& e) {
    throw HttpError(400, "bad-request", e.what(), e.hint());
  }
}

// What a request says of where to begin.
struct Wanted {
  std::optional<Position> line;
  StartAfter after;
  std::optional<std::uint32_t> crc;
  std::optional<std::uint32_t> chain;
  bool filtered = false;
};

Wanted wanted_of(const Request& request, const Grant& grant, bool filtered) {
  Wanted wanted;
  wanted.filtered = filtered;
  wanted.crc = request.crc("crc");
  wanted.chain = request.crc("chain");
  wanted.after = {request.position("after").value_or(Position::begin()), request.lsn("lsn"), {}};
  if (request.parameter("line")) {
    wanted.line = request.position("line").value_or(Position::begin());
  }
  // Whether it is right depends on lines that may not be seen.
  if (wanted.crc && grant.is_limited()) {
    throw HttpError(403, "forbidden", "who may read some tables only gets no CRC of the files",
                    "parameter \"chain\" is the CRC of what was sent");
  }
  return wanted;
}

Opening opening_of(const Wanted& wanted, const ServedStream& stream) {
  Opening opening;
  if (!wanted.line) {
    opening.begin = stream.begin_after(wanted.after);
    opening.chain = wanted.filtered ? std::optional<std::uint32_t>(0) : opening.begin.chain;
    return opening;
  }
  opening.begin = stream.begin_at_line(*wanted.line, wanted.crc);
  opening.chain = opening.begin.chain;
  opening.in_group = !opening.begin.chain && *wanted.line != Position::begin();
  if (!wanted.filtered) return opening;
  opening.chain = wanted.chain;
  if (opening.in_group && !opening.chain) {
    throw HttpError(400, "bad-request",
                    fmt::format("line {} is inside a transaction: parameter \"chain\" is needed",
                                wanted.line->text()));
  }
  if (!opening.chain) opening.chain = 0;
  return opening;
}

}  // namespace

StreamRoute::StreamRoute(event_base* loop, Answers& answers, Streams& streams,
                         std::chrono::seconds stall)
    : loop_(loop), answers_(answers), streams_(streams), stall_(stall) {}

void StreamRoute::reply(const Request& request, Served& served, const Grant& grant) {
  request.allow({"after", "lsn", "line", "crc", "chain", "tables", "beat", "follow"});
  const TableFilter filter = filter_of(request, grant);
  const Wanted wanted = wanted_of(request, grant, !filter.takes_all());
  const ServedStream& stream = *served.stream;
  answers_.later(
      request, grant, [this, &served, &stream, filter, wanted, grant]() -> Answers::Reply {
        return [this, &served, filter, grant, opening = opening_of(wanted, stream)](
                   const Request& asked) { follow(asked, served, grant, filter, opening); };
      });
}

void StreamRoute::follow(const Request& request, Served& served, const Grant& grant,
                         const TableFilter& filter, Opening opening) {
  answers_.require_room_to_stay(request);
  ServedStream& stream = *served.stream;
  stream.refresh();
  stream.share(opening.begin);
  const Beginning& begin = opening.begin;
  FollowerOptions options;
  options.stall = stall_;
  options.follow = request.parameter("follow").value_or("1") != "0";
  const std::uint64_t beat = request.number("beat").value_or(0);
  if (beat > kMostBeatSeconds) {
    throw HttpError(400, "bad-request", fmt::format("a beat is at most {} s", kMostBeatSeconds));
  }
  options.beat = std::chrono::seconds(beat);
  if (accepts_zstd(request.header("Accept-Encoding"))) options.encoding = Encoding::Zstd;

  const Manifest manifest = stream.manifest();
  request.set_header("Content-Type", kLines);
  request.set_header("Cache-Control", "no-store");
  request.set_header("X-Accel-Buffering", "no");  // nginx: pass on as it comes
  request.set_header("Connection", "close");
  request.set_header("Daystream-Format", std::to_string(manifest.format));
  request.set_header("Daystream-System", manifest.system_identifier);
  request.set_header("Daystream-Database", plain(manifest.database));
  request.set_header("Daystream-Slot", plain(manifest.slot));
  if (begin.after != Position::begin()) {
    request.set_header("Daystream-After", begin.after.text());
    request.set_header("Daystream-LSN", begin.lsn.text());
    if (opening.chain) request.set_header("Daystream-Chain", crc_text(*opening.chain));
  }
  if (!filter.takes_all()) request.set_header("Daystream-Tables", plain_header(filter.text()));
  request.set_header("Vary", "Accept-Encoding");
  if (options.encoding == Encoding::Zstd) request.set_header("Content-Encoding", "zstd");
  if (stream.durable()) request.set_header("Daystream-Last", stream.durable()->position.text());

  FollowerFacts facts;
  facts.peer = request.peer();
  facts.host = plain(request.header("Daystream-Host"));
  if (facts.host.empty()) facts.host = facts.peer;
  facts.client = plain(request.header("User-Agent"));
  facts.grant = grant.name;
  facts.since = std::time(nullptr);
  facts.tables = filter.text();
  std::unique_ptr<ByteSource> source;
  if (filter.takes_all()) {
    source = std::make_unique<WholeSource>(stream, begin, options.encoding);
  } else {
    source = std::make_unique<FilteredSource>(
        stream, begin, LineFilter(filter, begin.after, opening.chain, opening.in_group),
        options.encoding);
  }
  served.followers.push_back(std::make_unique<Follower>(loop_, request.raw(), std::move(source),
                                                        options, std::move(facts),
                                                        [this] { streams_.bury_soon(); }));
  served.followers.back()->begin();
}

}  // namespace daystream::serve
