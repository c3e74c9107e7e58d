#include "program/labels.h"

#include <fmt/format.h>

#include "daystream/error.h"

namespace daystream::program {

Labels parse_labels(const std::vector<std::string>& texts) {
  Labels labels;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos) {
      throw ConfigError(fmt::format("label \"{}\" is not KEY=VALUE", text),
                        "write it like region=eu");
    }
    labels[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return labels;
}

}  // namespace daystream::program
