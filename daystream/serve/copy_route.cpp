#include "serve/copy_route.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <ctime>
#include <utility>

#include "serve/health.h"

namespace daystream::serve {

namespace {

constexpr std::size_t kMostName = 100;     // of what a peer calls itself
constexpr std::size_t kMostTrouble = 300;  // of what it says is wrong with it
constexpr const char* kJson = "application/json";

}  // namespace

CopyRoute::CopyRoute(Answers& answers, Workers& workers, bool record)
    : answers_(answers), workers_(workers), records_(record) {}

void CopyRoute::take(const Request& request, Served& served, const Grant& grant) {
  request.allow({"copy", "kind", "position", "lsn", "crc", "lag_ms", "trouble"});
  const auto name = request.parameter("copy");
  const auto position = request.position("position");
  if (!name || name->empty() || name->size() > kMostName || !position) {
    throw HttpError(400, "bad-request", "parameters \"copy\" and \"position\" are needed");
  }
  Copy copy;
  copy.name = plain(*name);
  copy.grant = grant.name;
  copy.kind = plain(request.parameter("kind").value_or("pull"));
  copy.host = plain(request.header("Daystream-Host"));
  if (copy.host.empty()) copy.host = request.peer();
  copy.position = *position;
  copy.lsn = request.lsn("lsn").value_or(Lsn{});
  copy.lag_ms = static_cast<std::int64_t>(request.number("lag_ms").value_or(0));
  copy.told = std::time(nullptr);
  copy.trouble = plain(request.parameter("trouble").value_or(""), kMostTrouble);
  const auto tell = [&served](Copy told) {
    const auto& durable = served.stream->durable();
    const bool has_more = durable && told.position < durable->position;
    served.copies.tell(std::move(told), has_more);
  };
  const auto crc = request.crc("crc");
  if (!crc) {
    tell(std::move(copy));
    return tell_health(request, served, grant);
  }
  if (grant.is_limited()) {
    throw HttpError(403, "forbidden", "who may read some tables only gets no whole copy");
  }
  // The very line, with its CRC: so all before it is the same there. The LSN is by our own files.
  const ServedStream& stream = *served.stream;
  answers_.later(request, grant,
                 [this, &served, &stream, tell, copy, crc]() mutable -> Answers::Reply {
                   const Beginning line = stream.begin_at_line(copy.position, crc);
                   copy.lsn = stream.begin_after({line.after, {}}).lsn;
                   copy.proven = true;
                   return [this, &served, tell, copy](const Request& asked) {
                     tell(copy);
                     if (records_) record(served);
                     asked.reply(200, kJson, "{}\n");
                   };
                 });
}

// What a copy cannot see itself: whether the stream is written.
void CopyRoute::tell_health(const Request& request, const Served& served, const Grant& grant) {
  constexpr std::chrono::seconds kFresh{1};
  const bool says_why = !grant.is_limited();
  const auto reply = [&served, says_why](const Request& asked) {
    const StreamHealth health = stream_health(served, std::time(nullptr));
    asked.reply(200, kJson, health_json(health, says_why));
  };
  ServedStream& stream = *served.stream;
  if (std::chrono::steady_clock::now() - stream.streamer_at() < kFresh) return reply(request);
  answers_.later(request, grant, [&stream, reply]() -> Answers::Reply {
    return [&stream, reply, told = stream.read_streamer()](const Request& asked) {
      stream.put_streamer(told);
      reply(asked);
    };
  });
}

// One write at a time, of what is known when it begins.
void CopyRoute::record(Served& served) {
  if (served.recording) {
    served.record_again = true;
    return;
  }
  served.record_again = false;
  served.recording = workers_.run(
      {}, [this, &served, text = served.copies.record(), to = served.stream->directory()]() {
        try {
          write_copies(to, text);
        } catch (const std::exception& e) {
          spdlog::error("{}", e.what());
        }
        return [this, &served] {
          served.recording = false;
          if (served.record_again) record(served);
        };
      });
}

}  // namespace daystream::serve
