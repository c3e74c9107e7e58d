#include "serve/snapshot_route.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <nlohmann/json.hpp>

#include "calendar.h"
#include "daystream/error.h"
#include "json_text.h"
#include "number.h"

namespace daystream::serve {

namespace {

constexpr std::size_t kPiece = 64 * 1024;

// A file from `offset` on.
class FileSource final : public ByteSource {
 public:
  FileSource(UniqueFd fd, std::uint64_t offset, std::uint64_t size)
      : fd_(std::move(fd)), offset_(offset), size_(size) {}

  bool read(evbuffer* out) override {
    if (offset_ == size_) return false;
    char bytes[kPiece];
    const std::size_t wanted = std::min<std::uint64_t>(kPiece, size_ - offset_);
    ssize_t got = 0;
    do {
      got = pread(fd_.get(), bytes, wanted, static_cast<off_t>(offset_));
    } while (got < 0 && errno == EINTR);
    if (got < 0) throw IoError("could not read a snapshot", errno);
    if (got == 0)
      throw Error("a snapshot has become shorter while it was sent",
                  "take snapshots with \"deltamirror snapshot\", which replaces them whole");
    evbuffer_add(out, bytes, static_cast<std::size_t>(got));
    offset_ += static_cast<std::uint64_t>(got);
    return true;
  }
  Position position() const override { return Position::begin(); }
  std::uint64_t backlog_bytes() override { return size_ - offset_; }

 private:
  UniqueFd fd_;
  std::uint64_t offset_;
  std::uint64_t size_;
};

// The N of `Range: bytes=N-`, which a client sends to go on with a download. nullopt: the range has
// another form, so all is sent.
std::optional<std::uint64_t> begin_of_range(const std::string& range) {
  constexpr std::string_view kBytes = "bytes=";
  if (!range.starts_with(kBytes) || !range.ends_with('-')) return std::nullopt;
  return parse_number<std::uint64_t>(
      std::string_view(range).substr(kBytes.size(), range.size() - kBytes.size() - 1));
}

}  // namespace

SnapshotRoute::SnapshotRoute(event_base* loop, Answers& answers, Streams& streams,
                             std::chrono::seconds stall)
    : loop_(loop), answers_(answers), streams_(streams), stall_(stall) {}

void SnapshotRoute::list(const Request& request, const Served& served) {
  request.allow({});
  nlohmann::ordered_json body;
  body["snapshots"] = nlohmann::ordered_json::array();
  std::size_t preparing = 0;
  for (const Snapshot& snapshot : served.snapshots->list(preparing)) {
    body["snapshots"].push_back({{"id", snapshot.id},
                                 {"size_bytes", snapshot.size_bytes},
                                 {"time", utc_text(at_second(snapshot.time))}});
  }
  body["preparing"] = preparing;
  request.reply(200, "application/json", json_page(body));
}

void SnapshotRoute::send(const Request& request, Served& served, const Grant& grant) {
  request.allow({"id"});
  UniqueFd fd = served.snapshots->open(request.parameter("id").value_or(""));
  struct stat status {};
  if (!fd || fstat(fd.get(), &status) != 0) {
    throw HttpError(404, "no-such-snapshot", "there is no snapshot of this id",
                    "GET …/snapshots lists those there are");
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  const auto from = begin_of_range(request.header("Range"));
  const std::uint64_t begin = from.value_or(0);
  if (begin > size) {
    request.set_header("Content-Range", fmt::format("bytes */{}", size));
    throw HttpError(416, "bad-range", fmt::format("the snapshot has {} bytes", size));
  }
  answers_.require_room_to_stay(request);
  request.set_header("Content-Type", "application/vnd.sqlite3");
  request.set_header("Cache-Control", "no-store");
  request.set_header("Connection", "close");
  request.set_header("Accept-Ranges", "bytes");
  request.set_header("X-Accel-Buffering", "no");
  request.set_header("Content-Length", std::to_string(size - begin));
  FollowerOptions options;
  options.follow = false;
  options.stall = stall_;
  if (from) {
    options.status = 206;
    request.set_header("Content-Range", fmt::format("bytes {}-{}/{}", begin, size - 1, size));
  }
  FollowerFacts facts;
  facts.peer = request.peer();
  facts.host = facts.peer;
  facts.grant = grant.name;
  facts.since = std::time(nullptr);
  served.downloads.push_back(std::make_unique<Follower>(
      loop_, request.raw(), std::make_unique<FileSource>(std::move(fd), begin, size), options,
      std::move(facts), [this] { streams_.bury_soon(); }));
  served.downloads.back()->begin();
}

}  // namespace daystream::serve
