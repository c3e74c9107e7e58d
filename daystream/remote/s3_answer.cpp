#include "remote/s3_answer.h"

#include <fmt/format.h>

#include "daystream/error.h"
#include "program/harmless.h"
#include "remote/http_client.h"
#include "remote/s3_address.h"

namespace daystream::remote {

namespace {

constexpr std::pair<std::string_view, char> kEntities[] = {
    {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&amp;", '&'}};

std::string unescaped(std::string_view xml) {
  std::string text;
  while (!xml.empty()) {
    std::size_t size = 1;
    char c = xml.front();
    for (const auto& [entity, stands_for] : kEntities) {
      if (!xml.starts_with(entity)) continue;
      size = entity.size();
      c = stands_for;
    }
    text += c;
    xml.remove_prefix(size);
  }
  return text;
}

std::string advice_for(int status, const std::string& code, const S3Address& address,
                       const Response& response) {
  if (code == "NoSuchBucket") {
    return fmt::format("make bucket \"{}\" at {} first, or look at its name", address.bucket,
                       address.endpoint);
  }
  if (code == "RequestTimeTooSkewed") return "this machine's clock is wrong: set it, or start NTP";
  if (code == "InvalidAccessKeyId" || code == "SignatureDoesNotMatch") {
    return "look at AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or at the credentials file";
  }
  if (code == "ExpiredToken" || code == "InvalidToken") {
    return "get new credentials: the token of a session (AWS_SESSION_TOKEN) is good for some hours";
  }
  const auto region = response.headers.find("x-amz-bucket-region");
  if (status / 100 == 3 || code == "AuthorizationHeaderMalformed") {
    const std::string where =
        region != response.headers.end() ? region->second : xml_text(response.body, "Region");
    return where.empty() ? "look at the endpoint, and at AWS_REGION"
                         : fmt::format("the bucket is in another region: AWS_REGION={}",
                                       program::harmless_words(where));
  }
  if (status == 403 || status == 401) {
    return "these credentials need the rights s3:GetObject and s3:ListBucket there, and to archive "
           "s3:PutObject and s3:DeleteObject";
  }
  if (status == 404) return "look at bucket, prefix and endpoint";
  if (status >= 500 || status == 429) return "it tries again; the storage is busy or in trouble";
  return "look whether the endpoint speaks the S3 protocol";
}

}  // namespace

std::optional<std::string_view> xml_inside(std::string_view xml, std::string_view name,
                                           std::size_t& from) {
  const std::string open = fmt::format("<{}>", name);
  const std::string close = fmt::format("</{}>", name);
  const auto begin = xml.find(open, from);
  if (begin == std::string_view::npos) return std::nullopt;
  const auto end = xml.find(close, begin + open.size());
  if (end == std::string_view::npos) return std::nullopt;
  from = end + close.size();
  return xml.substr(begin + open.size(), end - begin - open.size());
}

std::string xml_text(std::string_view xml, std::string_view name) {
  std::size_t from = 0;
  const auto inside = xml_inside(xml, name, from);
  return inside ? unescaped(*inside) : "";
}

std::string xml_escaped(std::string_view text) {
  std::string xml;
  for (const char c : text) {
    std::string_view written(&c, 1);
    for (const auto& [entity, stands_for] : kEntities) {
      if (c == stands_for) written = entity;
    }
    xml += written;
  }
  return xml;
}

bool s3_may_pass(const Response& response) {
  const std::string code = xml_text(response.body, "Code");
  if (code == "RequestTimeout" || code == "SlowDown" || code == "InternalError") return true;
  return response.status == 408 || response.status == 429 || response.status == 500 ||
         response.status == 502 || response.status == 503 || response.status == 504 ||
         response.status == 409;  // of two that wrote at once
}

void throw_s3_refusal(const std::string& what, const S3Address& address, const Response& response) {
  const std::string code = program::harmless_words(xml_text(response.body, "Code"));
  const std::string message = program::harmless_words(xml_text(response.body, "Message"));
  std::string text = fmt::format("{}: HTTP status {}", what, response.status);
  if (!code.empty()) text += fmt::format(" ({})", code);
  if (!message.empty()) text += fmt::format(": {}", message);
  const std::string hint = advice_for(response.status, code, address, response);
  if (s3_may_pass(response)) throw ConnectionLost(text, hint);
  if (response.status / 100 == 3 || response.status / 100 == 4) throw NeedsPerson(text, hint);
  throw ProtocolError(text, hint);
}

}  // namespace daystream::remote
