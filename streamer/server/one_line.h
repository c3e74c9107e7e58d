// Messages as one line of a log or of a status.
#pragma once

#include <string>

namespace deltastream {

// libpq's messages run over several lines.
std::string one_line(std::string text);

}  // namespace deltastream
