#include "remote/s3_address.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <map>

#include "daystream/error.h"

namespace daystream::remote {

namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::string first_of(std::initializer_list<std::string> texts) {
  for (const std::string& text : texts) {
    if (!text.empty()) return text;
  }
  return {};
}

ConfigError bad(const std::string& text, const std::string& why) {
  return ConfigError(fmt::format("cannot use \"{}\": {}", text, why),
                     "object storage is s3://BUCKET/PREFIX, perhaps with "
                     "?endpoint=https://HOST:PORT&region=REGION&style=path");
}

std::map<std::string, std::string> query_of(const std::string& text, const std::string& query) {
  std::map<std::string, std::string> values;
  for (std::size_t at = 0; at < query.size();) {
    const auto end = std::min(query.find('&', at), query.size());
    const std::string pair = query.substr(at, end - at);
    const auto equals = pair.find('=');
    const std::string name = pair.substr(0, equals);
    if (name != "endpoint" && name != "region" && name != "style") {
      throw bad(text, fmt::format("it says \"{}\" after its \"?\"", name));
    }
    values[name] = equals == std::string::npos ? "" : pair.substr(equals + 1);
    at = end + 1;
  }
  return values;
}

std::string trimmed(std::string text) {
  text.erase(0, text.find_first_not_of(" \t\r"));
  text.resize(text.find_last_not_of(" \t\r") + 1);
  return text;
}

// [profile] and name = value, as AWS's own programs have it.
std::map<std::string, std::string> profile_of(std::istream& file, const std::string& profile) {
  std::map<std::string, std::string> values;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    line = trimmed(line);
    if (line.starts_with('[')) {
      inside = line == fmt::format("[{}]", profile);
    } else if (const auto equals = line.find('='); inside && equals != std::string::npos) {
      values[trimmed(line.substr(0, equals))] = trimmed(line.substr(equals + 1));
    }
  }
  return values;
}

}  // namespace

S3Address S3Address::parse(const std::string& text) {
  S3Address address;
  address.text = text;
  if (!is_one(text)) throw bad(text, "it does not begin with s3://");
  const auto question = std::min(text.find('?'), text.size());
  std::string place = text.substr(5, question - 5);
  while (place.ends_with('/')) place.pop_back();
  const auto slash = std::min(place.find('/'), place.size());
  address.bucket = place.substr(0, slash);
  if (slash < place.size()) address.prefix = place.substr(slash + 1);
  if (address.bucket.empty()) throw bad(text, "it names no bucket");
  if (address.bucket.find_first_of("@:\\ ") != std::string::npos) {
    throw bad(text, "its bucket's name has a character that none can have");
  }
  for (const char* const not_a_name : {"//", "/./", "/../"}) {
    if (fmt::format("/{}/", address.prefix).find(not_a_name) != std::string::npos &&
        !address.prefix.empty()) {
      throw bad(text, "a part of its prefix is empty, \".\" or \"..\"");
    }
  }
  auto said = question < text.size() ? query_of(text, text.substr(question + 1))
                                     : std::map<std::string, std::string>{};
  address.region = first_of(
      {said["region"], environment("AWS_REGION"), environment("AWS_DEFAULT_REGION"), "us-east-1"});
  address.endpoint = first_of(
      {said["endpoint"], environment("AWS_ENDPOINT_URL_S3"), environment("AWS_ENDPOINT_URL")});
  const bool is_aws = address.endpoint.empty();
  if (is_aws) address.endpoint = fmt::format("https://s3.{}.amazonaws.com", address.region);
  while (address.endpoint.ends_with('/')) address.endpoint.pop_back();
  const bool has_scheme =
      address.endpoint.starts_with("http://") || address.endpoint.starts_with("https://");
  const auto host = address.endpoint.find("://") + 3;
  if (!has_scheme || host >= address.endpoint.size() ||
      address.endpoint.find_first_of("/?#@", host) != std::string::npos) {
    throw bad(text, fmt::format("its endpoint \"{}\" is not http://HOST:PORT or https://…",
                                address.endpoint));
  }
  if (!said["style"].empty() && said["style"] != "path" && said["style"] != "virtual") {
    throw bad(text, fmt::format("its style \"{}\" is neither path nor virtual", said["style"]));
  }
  // A certificate for *.s3.… does not cover a name with a dot.
  address.virtual_host = said["style"].empty()
                             ? is_aws && address.bucket.find('.') == std::string::npos
                             : said["style"] == "virtual";
  return address;
}

std::string S3Address::name() const {
  return fmt::format("s3://{}{}{}", bucket, prefix.empty() ? "" : "/", prefix);
}

std::string S3Address::path_of(const std::string& key) const {
  std::string path = virtual_host ? "/" : fmt::format("/{}/", bucket);
  if (!prefix.empty() && !key.empty()) path += prefix + "/";
  return path + key;
}

std::string S3Address::base_url() const {
  if (!virtual_host) return endpoint;
  const auto host = endpoint.find("://") + 3;
  return fmt::format("{}{}.{}", endpoint.substr(0, host), bucket, endpoint.substr(host));
}

std::string S3Address::host() const {
  const std::string url = base_url();
  std::string host = url.substr(url.find("://") + 3);
  // As curl and AWS's programs have it: a port that the scheme has anyway is not said.
  for (const char* const usual : {":443", ":80"}) {
    const bool secure = url.starts_with("https://");
    if (host.ends_with(usual) && secure == (usual == std::string(":443"))) {
      host.resize(host.rfind(':'));
    }
  }
  return host;
}

S3Credentials s3_credentials() {
  S3Credentials found{environment("AWS_ACCESS_KEY_ID"), environment("AWS_SECRET_ACCESS_KEY"),
                      environment("AWS_SESSION_TOKEN")};
  if (!found.key_id.empty() && !found.secret.empty()) return found;
  std::string path = environment("AWS_SHARED_CREDENTIALS_FILE");
  if (path.empty()) path = environment("HOME") + "/.aws/credentials";
  const std::string profile = first_of({environment("AWS_PROFILE"), "default"});
  if (std::ifstream file(path); file) {
    auto said = profile_of(file, profile);
    found = {said["aws_access_key_id"], said["aws_secret_access_key"], said["aws_session_token"]};
    if (!found.key_id.empty() && !found.secret.empty()) return found;
  }
  throw NeedsPerson(
      fmt::format("there are no credentials for object storage: neither in the environment nor as "
                  "profile \"{}\" of file \"{}\"",
                  profile, path),
      "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write them into that file");
}

}  // namespace daystream::remote
