#include "remote/nats_address.h"

#include <fmt/format.h>

#include <algorithm>

#include "daystream/error.h"

namespace daystream::remote {

namespace {

constexpr std::string_view kScheme = "nats://";

ConfigError bad_address(const std::string& text, const std::string& why) {
  return ConfigError(fmt::format("cannot use \"{}\": {}", text, why),
                     "a daystream on JetStream is nats://HOST[:PORT][,HOST…]/STREAM, perhaps with "
                     "?tls=1&creds=FILE&fallback=ADDRESS");
}

bool is_stream_name(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

void take_setting(NatsAddress& address, const std::string& name, const std::string& value) {
  if (name == "tls" && (value == "1" || value == "0")) {
    address.tls = value == "1";
  } else if (name == "domain" && is_stream_name(value)) {
    address.domain = value;
  } else if (name == "fallback") {
    address.fallback = value;
  } else if (name == "creds") {
    address.who.creds = value;
  } else if (name == "nkey") {
    address.who.nkey = value;
  } else if (name == "ca") {
    address.who.ca = value;
  } else if (name == "cert") {
    address.who.cert = value;
  } else if (name == "key") {
    address.who.key = value;
  } else {
    throw bad_address(address.text, fmt::format("it says \"{}\" after its \"?\"", name));
  }
}

// `fallback` is the last: its value may have a "&" of its own.
void take_settings(NatsAddress& address, const std::string& query) {
  for (std::size_t at = 0; at < query.size();) {
    auto end = std::min(query.find('&', at), query.size());
    if (query.compare(at, 9, "fallback=") == 0) end = query.size();
    const std::string pair = query.substr(at, end - at);
    const auto equals = std::min(pair.find('='), pair.size());
    take_setting(address, pair.substr(0, equals),
                 equals < pair.size() ? pair.substr(equals + 1) : "");
    at = end + 1;
  }
}

}  // namespace

NatsAddress NatsAddress::parse(const Options& options, const std::string& text) {
  NatsAddress address;
  address.text = text;
  address.who = options;
  address.fallback = options.fallback;
  if (!is_one(text)) throw bad_address(text, "it does not begin with nats://");
  const auto question = std::min(text.find('?'), text.size());
  std::string place = text.substr(kScheme.size(), question - kScheme.size());
  while (place.ends_with('/')) place.pop_back();
  const auto slash = std::min(place.find('/'), place.size());
  address.stream = slash < place.size() ? place.substr(slash + 1) : "";
  if (address.stream.empty()) throw bad_address(text, "it names no stream");
  if (!is_stream_name(address.stream)) {
    throw bad_address(text,
                      "its stream's name has a character other than letters, digits, - and _");
  }
  const std::string hosts = place.substr(0, slash);
  for (std::size_t at = 0; at <= hosts.size();) {
    const auto end = std::min(hosts.find(',', at), hosts.size());
    const std::string host = hosts.substr(at, end - at);
    if (host.empty()) throw bad_address(text, "a server of it has no name");
    if (host.find('@') != std::string::npos) {
      throw ConfigError("an URL is no place for a user or password",
                        "see --creds, --nkey and --token-file");
    }
    address.servers.push_back(std::string(kScheme) + host);
    at = end + 1;
  }
  if (question < text.size()) take_settings(address, text.substr(question + 1));
  return address;
}

std::string NatsAddress::name() const {
  std::string hosts;
  for (const std::string& server : servers) {
    hosts += (hosts.empty() ? "" : ",") + server.substr(kScheme.size());
  }
  return fmt::format("{}{}/{}", kScheme, hosts, stream);
}

}  // namespace daystream::remote
