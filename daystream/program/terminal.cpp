#include "program/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace daystream::program {

bool is_terminal(int fd) noexcept {
  return fd >= 0 && isatty(fd) == 1;
}

bool may_redraw(int fd) noexcept {
  const char* const kind = std::getenv("TERM");
  return is_terminal(fd) && (kind == nullptr || std::string_view(kind) != "dumb");
}

bool may_colour(int fd) noexcept {
  const char* const unwanted = std::getenv("NO_COLOR");
  return may_redraw(fd) && (unwanted == nullptr || *unwanted == '\0');
}

std::size_t width_of_terminal(int fd) noexcept {
  winsize size{};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace daystream::program
