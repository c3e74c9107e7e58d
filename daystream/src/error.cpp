#include "daystream/error.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "reasons.h"

namespace daystream {

namespace {
constexpr const char* kRestore =
    "restore the file from a copy of the daystream (a relay's, a backup's), then run \"daystream "
    "verify\"; without a copy begin a new daystream and seed its mirrors again";

constexpr const char* kNotKnownDurable = ", where nothing says that it was on disk";
constexpr const char* kMendTorn =
    "start its deltastream, which cuts what a loss of power has torn; where none writes it any "
    "more, \"daystream repair\" does; a copy without \"durable\" is to be copied again";

const char* hint_of(int error_number) {
  switch (error_number) {
    case EACCES:
    case EPERM:
      return "look at its owner and mode, and at those of its folder: this user may not do that";
    case ENOENT:
    case ENOTDIR:
      return "look at the name: nothing is there, or something else than was meant";
    case EISDIR:
      return "name a file: that is a directory";
    case ENOSPC:
    case EDQUOT:
      return "make room on its disk, or raise the quota";
    case EFBIG:
      return "raise the limit of a file's size: LimitFSIZE=, ulimit -f; or choose a file system "
             "that "
             "takes larger files";
    case EROFS:
      return "it is on a file system that is mounted read-only";
    case EMFILE:
    case ENFILE:
      return "raise the limit of open files: LimitNOFILE=, ulimit -n";
    case EADDRINUSE:
      return "another process listens there: end it, or choose another address";
    case EADDRNOTAVAIL:
      return "that address is none of this host's: \"ip address\" lists them";
    case ENOMEM:
      return "close other programs, or give the machine more memory";
    default:
      return "look at its disk or network: dmesg";
  }
}
}  // namespace

IoError::IoError(const std::string& action, int error_number, std::string hint)
    : Error(fmt::format("{}: {}", action, std::strerror(error_number)),
            hint.empty() ? hint_of(error_number) : std::move(hint)),
      error_number_(error_number) {}

ExitCode IoError::exit_code() const noexcept {
  return exit_code_of(reason_of_errno(error_number_));
}

Corruption::Corruption(const std::string& file, std::uint64_t offset_bytes,
                       const std::string& problem, std::string hint)
    : Error(fmt::format("file \"{}\" is damaged at byte {}: {}", file, offset_bytes, problem),
            hint.empty() ? kRestore : std::move(hint)),
      file_(file),
      problem_(problem),
      offset_bytes_(offset_bytes) {}

TornEnd::TornEnd(const Corruption& damage)
    : Corruption(damage.file(), damage.offset_bytes(), damage.problem() + kNotKnownDurable,
                 kMendTorn) {}

}  // namespace daystream
