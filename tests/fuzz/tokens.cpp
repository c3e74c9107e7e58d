// A file of tokens: who may read what.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "daystream/error.h"
#include "daystream/unique_fd.h"
#include "serve/access.h"
#include "target.h"

using namespace daystream;

FUZZ_TARGET(tokens) {
  const UniqueFd file(memfd_create("tokens", MFD_CLOEXEC));
  fuzz::require(fchmod(file.get(), 0600) == 0 && write(file.get(), input.data(), input.size()) ==
                                                     static_cast<ssize_t>(input.size()),
                "there is room for a small file");
  try {
    const serve::Access access("/proc/self/fd/" + std::to_string(file.get()));
    fuzz::require(!access.check("Bearer ", "").has_value(), "no token is none");
    fuzz::require(!access.check("", "").has_value(), "nor is nothing at all");
  } catch (const ConfigError&) {
  }
}
