#include "serve/admission.h"

#include <arpa/inet.h>
#include <event2/http.h>
#include <netinet/in.h>

#include <algorithm>
#include <utility>

#include "serve/tls.h"

namespace daystream::serve {

std::string_view host_of(std::string_view authority) {
  while (authority.starts_with('/')) authority.remove_prefix(1);
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    return end == std::string_view::npos ? authority : authority.substr(1, end - 1);
  }
  return authority.substr(0, authority.find_first_of(":/"));
}

bool is_own_name(std::string_view host) {
  const std::string text(host);
  in_addr v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return true;
  in6_addr v6{};
  if (inet_pton(AF_INET6, text.c_str(), &v6) == 1) return true;
  return host.find('.') == std::string_view::npos;
}

Admission::Admission(const std::string& tokens, bool client_ca) : client_ca_(client_ca) {
  if (!tokens.empty()) access_.emplace(tokens);
}

void Admission::reload() {
  if (access_) access_->reload();
}

void Admission::keep_out_strangers(const Request& request) const {
  if (authenticates() || request.peer() == "local") return;
  const std::string host_header = request.header("Host");
  const std::string origin = request.header("Origin");
  const std::string_view host = host_of(host_header);
  const bool is_ours =
      is_own_name(host) || std::find(hosts_.begin(), hosts_.end(), host) != hosts_.end();
  // What our own page asks has the origin that it was loaded from.
  const auto from = origin.find("://");
  const bool own_page =
      origin.empty() ||
      (from != std::string::npos && host_of(std::string_view(origin).substr(from + 1)) == host);
  if (is_ours && own_page) return;
  throw HttpError(403, "forbidden",
                  "without tokens only requests by an address or a local name are answered",
                  "see --tokens");
}

Grant Admission::admit(const Request& request) const {
  if (!access_) return {};
  bufferevent* connection =
      evhttp_connection_get_bufferevent(evhttp_request_get_connection(request.raw()));
  auto grant = access_->check(request.header("Authorization"), Tls::client_name(connection));
  if (!grant) {
    request.set_header("WWW-Authenticate", "Bearer");
    throw HttpError(401, "unauthorized", "no token, or one that is not known here",
                    "name the file of your token with --token-file or DAYSTREAM_TOKEN_FILE; who "
                    "runs the server makes one with \"daystream token\"");
  }
  return std::move(*grant);
}

}  // namespace daystream::serve
