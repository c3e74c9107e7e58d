// What nobody but we and this network can make a browser call this machine.
#pragma once

#include <string_view>

namespace daystream::serve {

// Of `HOST`, `HOST:PORT`, `[IPV6]:PORT`, also after `//`: the host, without brackets.
std::string_view host_of(std::string_view authority);

// An address, or a name without a dot: `localhost`, or one of this network's own. Names that the
// owner of a domain can lead anywhere, also to our loopback interface, have a dot.
bool is_own_name(std::string_view host);

}  // namespace daystream::serve
