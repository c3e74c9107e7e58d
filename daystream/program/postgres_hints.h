// What to do about what libpq or PostgreSQL say, where they do not say it themselves.
#pragma once

#include <string>
#include <string_view>

#include "daystream/error.h"

namespace daystream::program {

// What to do where a connection could not be made. Never empty.
std::string connection_hint(const std::string& words);

// Refused: a server is there, and refuses this role, password, database or encryption; of several
// servers, none is merely away.
Reason connection_reason(const std::string& words);

// What to do where the server refused something with this SQLSTATE to the role `user`. Empty:
// nothing better is known than the words.
std::string refusal_hint(std::string_view sqlstate, const std::string& words,
                         const std::string& user);

}  // namespace daystream::program
