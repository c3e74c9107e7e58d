#include "remote/refusal.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "program/harmless.h"
#include "program/json.h"

namespace daystream::remote {

void throw_refusal(const std::string& url, const Response& response) {
  const std::string where = url.substr(0, url.find('?'));
  // Anything between us and the server may have answered, with a page of its own, or with JSON that
  // is not ours.
  const auto body = program::parse_json<nlohmann::json>(response.body);
  const std::string code = program::text_of(body, "error");
  const std::string message = program::harmless_words(program::text_of(body, "message"));
  const std::string hint = program::harmless_words(program::text_of(body, "hint"));
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
