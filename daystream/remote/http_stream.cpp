#include "remote/http_stream.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "daystream/error.h"
#include "program/json.h"
#include "remote/remote_source.h"
#include "stream_impl.h"
#include "stream_json.h"

namespace daystream::remote {

namespace {

using nlohmann::json;

class HttpStream final : public Stream::Impl {
 public:
  HttpStream(const Options& options, const std::string& url)
      : Impl(url), options_(options), url_(Url::parse(url)) {}

  std::optional<std::string> server() const override { return url_.base; }

  Manifest manifest() const override { return RemoteSource(options_, url_).manifest(); }

  std::optional<Extent> extent() const override {
    return ask("/extent", [](const json& answer) { return extent_from_json(answer.at("extent")); });
  }

  std::optional<Seam> find_seam(std::uint64_t xmin) const override {
    return ask(fmt::format("/seam?xmin={}", xmin),
               [](const json& answer) { return seam_from_json(answer.at("seam")); });
  }

  std::optional<std::uint32_t> timeline() const override {
    return ask("/timeline", [](const json& answer) -> std::optional<std::uint32_t> {
      const json& timeline = answer.at("timeline");
      return timeline.is_null() ? std::nullopt : std::optional(timeline.get<std::uint32_t>());
    });
  }

  std::optional<Position> before_last(std::uint64_t commits) const override {
    constexpr std::uint64_t kMost = 10000;     // PROTOCOL.md
    if (commits > kMost) return std::nullopt;  // from further back all is read
    return ask(fmt::format("/back?commits={}", commits),
               [](const json& answer) { return position_from_json(answer.at("position")); });
  }

  StreamInfo info() const override {
    return ask("/info",
               [this](const json& answer) { return stream_info_from_json(answer, url_.base); });
  }

  std::unique_ptr<ReaderSource> reader_source() const override {
    return std::make_unique<RemoteSource>(options_, url_);
  }

 private:
  // Gives what `read` makes of the answer.
  template <typename Read>
  std::invoke_result_t<Read, const json&> ask(const std::string& what, const Read& read) const {
    const std::string url = url_.base + what;
    const std::string body = request(options_, "GET", url).body;
    try {
      return read(program::parse_json<json>(body));
    } catch (const json::exception&) {
    } catch (const ConfigError&) {
    }
    throw ProtocolError(fmt::format("{}: the answer cannot be understood", url));
  }

  const Options options_;
  const Url url_;
};

}  // namespace

Stream http_stream(const Options& options, const std::string& url) {
  return Stream(std::make_shared<HttpStream>(options, url));
}

}  // namespace daystream::remote
