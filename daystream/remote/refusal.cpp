#include "remote/refusal.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace daystream::remote {

void throw_refusal(const std::string& url, const Response& response) {
  const std::string where = url.substr(0, url.find('?'));
  std::string code;
  std::string message;
  std::string hint;
  // Anything between us and the server may have answered, with a page of its own.
  const auto body = nlohmann::json::parse(response.body, nullptr, false);
  if (body.is_object()) {
    code = body.value("error", "");
    message = body.value("message", "");
    hint = body.value("hint", "");
  }
  const std::string text = message.empty()
                               ? fmt::format("{}: HTTP status {}", where, response.status)
                               : fmt::format("{}: {}", where, message);
  if (code == "behind" || code == "ahead") throw Behind(text, hint);
  if (response.status == 410) throw PositionGone(text, hint);
  if (response.status == 409) throw WrongSource(text, hint);
  if (response.status == 401) {
    throw NeedsPerson(text,
                      hint.empty() ? "give a token: --token-file, or $DAYSTREAM_TOKEN" : hint);
  }
  if (response.status == 403 || response.status == 404) throw NeedsPerson(text, hint);
  if (response.status == 429 || response.status >= 500) throw ConnectionLost(text, hint);
  throw ProtocolError(text, hint);
}

}  // namespace daystream::remote
