#include "serve/own_name.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <string>

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

}  // namespace daystream::serve
