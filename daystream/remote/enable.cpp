#include "remote/enable.h"

#include <fmt/format.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "daystream/error.h"
#include "program/json.h"
#include "reader_source.h"
#include "remote/remote_source.h"

namespace daystream::remote {

namespace {

Options& process_options() {
  static Options options;
  return options;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

nlohmann::json get_json(const std::string& url) {
  const Response response = request(process_options(), "GET", url);
  auto value = program::parse_json<nlohmann::json>(response.body);
  if (!value.is_object()) throw ProtocolError(fmt::format("{}: the answer is no JSON object", url));
  return value;
}

// Whatever is not as the protocol says.
template <typename Parsed>
auto known(const std::string& url, const Parsed& parsed) {
  if (!parsed) throw ProtocolError(fmt::format("{}: the answer cannot be understood", url));
  return *parsed;
}

std::optional<Seam> seam(const std::string& source, std::uint64_t xmin) {
  const std::string url = fmt::format("{}/seam?xmin={}", Url::parse(source).base, xmin);
  try {
    const auto found = get_json(url).at("seam");
    if (found.is_null()) return std::nullopt;
    return Seam{known(url, Position::parse(found.at("position").get<std::string>())),
                known(url, Lsn::parse(found.at("lsn").get<std::string>())),
                found.at("next").get<std::uint64_t>()};
  } catch (const nlohmann::json::exception&) {
    throw ProtocolError(fmt::format("{}: the answer cannot be understood", url));
  }
}

std::optional<Extent> extent(const std::string& source) {
  const std::string url = Url::parse(source).base + "/info";
  try {
    const auto info = get_json(url);
    if (info.at("last").is_null() || info.at("first").is_null()) return std::nullopt;
    const auto position = [](const nlohmann::json& place) {
      return Position{place.at("c").get<std::int64_t>(), place.at("s").get<std::uint64_t>()};
    };
    return Extent{position(info.at("first")), position(info.at("last")),
                  known(url, Lsn::parse(info.at("last").at("lsn").get<std::string>()))};
  } catch (const nlohmann::json::exception&) {
    throw ProtocolError(fmt::format("{}: the answer cannot be understood", url));
  }
}

// From further back than a server goes, all is read.
std::optional<Position> back(const std::string& source, std::uint64_t commits) {
  constexpr std::uint64_t kMost = 10000;  // PROTOCOL.md
  if (commits > kMost) return std::nullopt;
  const std::string url = fmt::format("{}/back?commits={}", Url::parse(source).base, commits);
  try {
    const auto position = get_json(url).at("position");
    if (position.is_null()) return std::nullopt;
    return known(url, Position::parse(position.get<std::string>()));
  } catch (const nlohmann::json::exception&) {
    throw ProtocolError(fmt::format("{}: the answer cannot be understood", url));
  }
}

}  // namespace

Options options_from_environment() {
  Options options;
  options.ca = environment("DAYSTREAM_CA");
  options.cert = environment("DAYSTREAM_CERT");
  options.key = environment("DAYSTREAM_KEY");
  options.token_file = environment("DAYSTREAM_TOKEN_FILE");
  options.token_in_the_clear = environment("DAYSTREAM_TOKEN_IN_THE_CLEAR") == "1";
  return options;
}

const Options& current_options() {
  return process_options();
}

void enable(Options options) {
  process_options() = std::move(options);
  remote_hooks.source = [](const std::string& url) -> std::unique_ptr<ReaderSource> {
    return std::make_unique<RemoteSource>(process_options(), Url::parse(url));
  };
  remote_hooks.manifest = [](const std::string& url) {
    return RemoteSource(process_options(), Url::parse(url)).manifest();
  };
  remote_hooks.seam = seam;
  remote_hooks.extent = extent;
  remote_hooks.back = back;
}

}  // namespace daystream::remote
