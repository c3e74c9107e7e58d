// What to do about what libpq or PostgreSQL say, where they do not say it themselves.
#pragma once

#include <string>
#include <string_view>

namespace daystream::program {

// Of a connection that could not be made. Never empty.
std::string connection_hint(const std::string& words);

// Of a refusal with this SQLSTATE, to the role `user`. Empty: nothing better than the words.
std::string refusal_hint(std::string_view sqlstate, const std::string& words,
                         const std::string& user);

}  // namespace daystream::program
