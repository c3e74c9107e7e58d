#include "remote/refusal.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "program/harmless.h"
#include "program/json.h"

namespace daystream::remote {

namespace {

// Where the server, or what is in between, has none of its own.
std::string advice_for(int status) {
  switch (status) {
    case 401:
      return "give a token: --token-file, or $DAYSTREAM_TOKEN";
    case 403:
      return "this token is good for less: look at its line in the server's file of tokens";
    case 404:
      return "the last part of the URL is the name of a daystream: its server's page lists them";
    case 429:
      return "ask less often";
    default:
      return status >= 500 ? "the server's log says more"
                           : "look whether \"daystream serve\" of this version answers there";
  }
}

}  // namespace

void throw_refusal(const std::string& url, const Response& response) {
  const std::string where = url.substr(0, url.find('?'));
  // Anything between us and the server may have answered, with a page of its own, or with JSON that
  // is not ours.
  const auto body = program::parse_json<nlohmann::json>(response.body);
  const std::string code = program::text_of(body, "error");
  const std::string message = program::harmless_words(program::text_of(body, "message"));
  const std::string said = program::harmless_words(program::text_of(body, "hint"));
  const std::string hint = said.empty() ? advice_for(response.status) : said;
  const std::string text = message.empty()
                               ? fmt::format("{}: HTTP status {}", where, response.status)
                               : fmt::format("{}: {}", where, message);
  if (code == "behind" || code == "ahead") throw Behind(text, hint);
  if (response.status == 410) throw PositionGone(text, hint);
  if (response.status == 409) throw WrongSource(text, hint);
  if (response.status == 401 || response.status == 403 || response.status == 404)
    throw NeedsPerson(text, hint);
  if (response.status == 429 || response.status >= 500) throw ConnectionLost(text, hint);
  throw ProtocolError(text, hint);
}

}  // namespace daystream::remote
