#include "serve/request.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "json_text.h"
#include "number.h"
#include "program/harmless.h"
#include "serve/peer_end.h"

namespace daystream::serve {

namespace {

struct Freed {
  void operator()(char* text) const noexcept { std::free(text); }
  void operator()(evbuffer* buffer) const noexcept { evbuffer_free(buffer); }
};

std::string decoded(const std::string& text) {
  std::size_t size = 0;
  const std::unique_ptr<char, Freed> plain(evhttp_uridecode(text.c_str(), 0, &size));
  if (!plain) throw HttpError(400, "bad-request", "the path cannot be decoded");
  return {plain.get(), size};
}

HttpError bad_parameter(const std::string& name, const char* what) {
  return {400, "bad-request", fmt::format("parameter \"{}\" is not {}", name, what)};
}

}  // namespace

std::string plain(std::string_view text, std::size_t most) {
  return program::harmless_words(text, most);
}

const char* reason_of(int status) noexcept {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 416:
      return "Range Not Satisfiable";
    case 429:
      return "Too Many Requests";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    default:
      return "";
  }
}

Request::Request(evhttp_request* request) : request_(request) {
  const evhttp_uri* uri = evhttp_request_get_evhttp_uri(request);
  const char* path = uri != nullptr ? evhttp_uri_get_path(uri) : nullptr;
  if (path == nullptr) throw HttpError(400, "bad-request", "the request has no path");
  std::string segment;
  for (const char* at = path;; ++at) {
    if (*at != '/' && *at != '\0') {
      segment += *at;
      continue;
    }
    if (!segment.empty()) path_.push_back(decoded(segment));
    segment.clear();
    if (*at == '\0') break;
  }
  const char* query = evhttp_uri_get_query(uri);
  if (query == nullptr) return;
  evkeyvalq pairs;
  if (evhttp_parse_query_str(query, &pairs) != 0) {
    throw HttpError(400, "bad-request", "the query cannot be understood");
  }
  for (const evkeyval* pair = pairs.tqh_first; pair != nullptr; pair = pair->next.tqe_next) {
    query_.emplace(pair->key, pair->value);
  }
  evhttp_clear_headers(&pairs);
}

bool Request::is_get() const noexcept {
  return evhttp_request_get_command(request_) == EVHTTP_REQ_GET;
}
bool Request::is_post() const noexcept {
  return evhttp_request_get_command(request_) == EVHTTP_REQ_POST;
}

void Request::allow(std::initializer_list<std::string_view> known) const {
  for (const auto& [name, value] : query_) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      throw HttpError(400, "bad-request", fmt::format("unknown parameter \"{}\"", name),
                      fmt::format("known here: {}", fmt::join(known, ", ")));
    }
  }
}

std::optional<std::string> Request::parameter(const std::string& name) const {
  const auto [begin, end] = query_.equal_range(name);
  if (begin == end) return std::nullopt;
  return std::prev(end)->second;
}

std::vector<std::string> Request::parameters(const std::string& name) const {
  std::vector<std::string> out;
  const auto [begin, end] = query_.equal_range(name);
  for (auto at = begin; at != end; ++at) out.push_back(at->second);
  return out;
}

std::optional<Position> Request::position(const std::string& name) const {
  const auto text = parameter(name);
  if (!text) return std::nullopt;
  const auto position = Position::parse(*text);
  if (!position) throw bad_parameter(name, "a position, C/S");
  return position;
}

std::optional<Lsn> Request::lsn(const std::string& name) const {
  const auto text = parameter(name);
  if (!text) return std::nullopt;
  const auto lsn = Lsn::parse(*text);
  if (!lsn) throw bad_parameter(name, "an LSN");
  return lsn;
}

std::optional<std::uint32_t> Request::crc(const std::string& name) const {
  const auto text = parameter(name);
  if (!text) return std::nullopt;
  const auto crc = parse_crc(*text);
  if (!crc) throw bad_parameter(name, "a CRC");
  return crc;
}

std::optional<std::uint64_t> Request::number(const std::string& name) const {
  const auto text = parameter(name);
  if (!text) return std::nullopt;
  const auto number = parse_number<std::uint64_t>(*text);
  if (!number) throw bad_parameter(name, "a number");
  return number;
}

std::string Request::header(const char* name) const {
  const char* value = evhttp_find_header(evhttp_request_get_input_headers(request_), name);
  return value != nullptr ? value : "";
}

std::string Request::peer() const {
  char* address = nullptr;
  ev_uint16_t port = 0;
  evhttp_connection* connection = evhttp_request_get_connection(request_);
  if (connection != nullptr) evhttp_connection_get_peer(connection, &address, &port);
  return address != nullptr && *address != '\0' ? address : "local";
}

std::string Request::body() const {
  evbuffer* const buffer = evhttp_request_get_input_buffer(request_);
  std::string out(evbuffer_get_length(buffer), '\0');
  evbuffer_copyout(buffer, out.data(), out.size());
  return out;
}

void Request::pause_reading() const {
  bufferevent* connection =
      evhttp_connection_get_bufferevent(evhttp_request_get_connection(request_));
  bufferevent_disable(connection, EV_READ);
}

std::function<bool()> Request::peer_watch() const {
  const int fd =
      bufferevent_getfd(evhttp_connection_get_bufferevent(evhttp_request_get_connection(request_)));
  return [fd] { return has_ended(fd); };
}

void Request::set_header(const char* name, const std::string& value) const {
  evkeyvalq* headers = evhttp_request_get_output_headers(request_);
  evhttp_remove_header(headers, name);
  evhttp_add_header(headers, name, value.c_str());
}

void Request::reply(int status, const char* content_type, const std::string& body) const {
  set_header("Content-Type", content_type);
  set_header("Cache-Control", "no-store");
  set_header("X-Content-Type-Options", "nosniff");
  set_header("Connection", "close");
  const std::unique_ptr<evbuffer, Freed> buffer(evbuffer_new());
  evbuffer_add(buffer.get(), body.data(), body.size());
  evhttp_send_reply(request_, status, reason_of(status), buffer.get());
}

void Request::reply(const HttpError& error) const {
  nlohmann::ordered_json body;
  body["error"] = error.code();
  body["message"] = error.what();
  if (!error.hint().empty()) body["hint"] = error.hint();
  using nlohmann::ordered_json;
  reply(error.status(), "application/json", json_line(body));
}

}  // namespace daystream::serve
