// Labels: what a host says of itself, as KEY=VALUE (docs/fleet.md).
#pragma once

#include <map>
#include <string>
#include <vector>

namespace daystream::program {

using Labels = std::map<std::string, std::string>;

// KEY=VALUE each; of those with one key, the last. Throws ConfigError.
Labels parse_labels(const std::vector<std::string>& texts);

}  // namespace daystream::program
