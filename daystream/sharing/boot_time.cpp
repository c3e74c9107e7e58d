#include "boot_time.h"

#include <time.h>

#include <cerrno>
#include <fstream>

#include "daystream/error.h"

namespace daystream::sharing {

BootTime boot_time() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

const std::string& boot_id() {
  static const std::string id = [] {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string text;
    if (!std::getline(file, text) || text.empty()) {
      throw IoError("could not read \"/proc/sys/kernel/random/boot_id\"", errno == 0 ? EIO : errno);
    }
    return text;
  }();
  return id;
}

}  // namespace daystream::sharing
