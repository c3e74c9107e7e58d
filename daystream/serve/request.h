// One HTTP request as the server's parts see it: its path in segments, its query, its answer.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daystream/lsn.h"
#include "daystream/position.h"
#include "serve/http_error.h"

struct evhttp_request;

namespace daystream::serve {

// Ownership: borrows libevent's request, which lives until it is answered.
class Request {
 public:
  // Throws HttpError (400) on a target that cannot be understood.
  explicit Request(evhttp_request* request);

  evhttp_request* raw() const noexcept { return request_; }
  bool is_get() const noexcept;
  bool is_post() const noexcept;
  const std::vector<std::string>& path() const noexcept { return path_; }  // decoded segments

  // Query parameters. A name that is not in `known` is refused, so that a misspelt one is no
  // silent change of meaning.
  void allow(std::initializer_list<std::string_view> known) const;
  std::optional<std::string> parameter(const std::string& name) const;  // the last of that name
  std::vector<std::string> parameters(const std::string& name) const;
  std::optional<Position> position(const std::string& name) const;  // 400 where it is none
  std::optional<Lsn> lsn(const std::string& name) const;
  std::optional<std::uint32_t> crc(const std::string& name) const;
  std::optional<std::uint64_t> number(const std::string& name) const;

  std::string header(const char* name) const;  // empty: absent
  std::string peer() const;                    // address, without port
  std::string body() const;

  // Until it is answered, nothing that comes on its connection is looked at, and no time is
  // counted.
  void pause_reading() const;

  // A function for any thread, while nothing ends the connection: whether the peer has closed it.
  std::function<bool()> peer_watch() const;

  // Answers whole, and closes the connection: each carries one request (connection_limits.h says
  // why).
  void reply(int status, const char* content_type, const std::string& body) const;
  void reply(const HttpError& error) const;
  void set_header(const char* name, const std::string& value) const;

 private:
  evhttp_request* request_;
  std::vector<std::string> path_;
  std::multimap<std::string, std::string> query_;
};

// What a peer says of itself, made fit to be shown: harmless, and cut where it is long.
std::string plain(std::string_view text, std::size_t most = 100);

const char* reason_of(int status) noexcept;  // "Not Found"

}  // namespace daystream::serve
