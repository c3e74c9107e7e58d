#include "source.h"

#include <fmt/format.h>

#include "daystream/error.h"

namespace daystream::command {

std::filesystem::path source_directory(const std::string& source) {
  return source;
}

std::filesystem::path local_directory(const std::string& source) {
  if (source.starts_with("http://") || source.starts_with("https://")) {
    throw ConfigError(
        fmt::format("cannot use \"{}\": this command needs the files themselves", source),
        "run it on the machine that has them, or pull them: daystream pull URL DIR");
  }
  return source;
}

}  // namespace daystream::command
