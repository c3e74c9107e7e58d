#include "source.h"

#include <fmt/format.h>

#include "daystream/error.h"

namespace daystream::command {

std::filesystem::path local_directory(const Stream& source) {
  // One with an archive behind it is more than its directory.
  if (auto directory = source.directory(); directory && *directory == source.address()) {
    return *directory;
  }
  throw ConfigError(
      fmt::format("cannot use \"{}\": this command needs the files themselves", source.address()),
      "run it on the machine that has them, or pull them: daystream pull URL DIR");
}

}  // namespace daystream::command
