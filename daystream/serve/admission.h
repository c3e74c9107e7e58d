// Who is answered: one who shows who he is, or, where nobody has to, one of this machine.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/access.h"
#include "serve/request.h"

namespace daystream::serve {

// Of `HOST`, `HOST:PORT`, `[IPV6]:PORT`, also after `//`: the host, without brackets.
std::string_view host_of(std::string_view authority);

// An address, or a name without a dot: `localhost`, or one of this network's own. Names that the
// owner of a domain can lead anywhere, also to our loopback interface, have a dot.
bool is_own_name(std::string_view host);

// Threads: the loop's one.
class Admission {
 public:
  // `tokens`: the file of them; empty: none are asked for. `client_ca`: there are authorities for
  // clients' certificates. Throws ConfigError as Access does.
  Admission(const std::string& tokens, bool client_ca);

  bool has_tokens() const noexcept { return access_.has_value(); }
  // Who has no token to show needs a certificate.
  bool needs_certificate() const noexcept { return client_ca_ && !access_; }
  bool authenticates() const noexcept { return access_ || client_ca_; }

  // A name that the server is known to be reached by.
  void add_host(const std::string& host) { hosts_.push_back(host); }

  // A page of somebody else's, in a browser on this machine, can make it ask us by a name that
  // leads here. Where nobody shows who he is, the name has to be one that only this machine gives
  // us. Throws HttpError (403).
  void keep_out_strangers(const Request& request) const;
  // What the one who asks may see. Throws HttpError (401).
  Grant admit(const Request& request) const;

  void reload();  // tokens; throws as the constructor, and what was in force stays then

 private:
  std::optional<Access> access_;
  bool client_ca_;
  std::vector<std::string> hosts_;
};

}  // namespace daystream::serve
