#include "source.h"

#include <fmt/format.h>

#include "daystream/error.h"

namespace daystream::command {

std::filesystem::path source_directory(const std::string& source) {
  if (source.starts_with("http://") || source.starts_with("https://")) {
    throw ConfigError(
        fmt::format("cannot read \"{}\": this version reads directories only", source),
        "run the command on the machine that has the files");
  }
  return source;
}

}  // namespace daystream::command
