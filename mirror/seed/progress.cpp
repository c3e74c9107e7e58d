#include "seed/progress.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>
#include <string_view>

#include "program/figures.h"
#include "program/harmless.h"
#include "program/terminal.h"

namespace deltamirror {

using std::chrono::steady_clock;

ProgressLine::ProgressLine(std::string what, double expected)
    : what_(std::move(what)),
      expected_(expected),
      terminal_(daystream::program::may_redraw(STDERR_FILENO)),
      start_(steady_clock::now()),
      shown_(start_) {}

std::string ProgressLine::line(std::uint64_t rows) const {
  const double seconds = std::chrono::duration<double>(steady_clock::now() - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(rows) / seconds : 0;
  std::string text =
      fmt::format("{}: {}, {:.0f} rows/s", what_, daystream::program::counted(rows, "row"), rate);
  if (expected_ > static_cast<double>(rows) && rate > 0) {
    text +=
        fmt::format(", {:.0f}%, about {:.0f} s left", 100 * static_cast<double>(rows) / expected_,
                    (expected_ - static_cast<double>(rows)) / rate);
  }
  return text;
}

void ProgressLine::update(std::uint64_t rows) {
  const auto now = steady_clock::now();
  if (now - shown_ < (terminal_ ? std::chrono::milliseconds(500) : std::chrono::seconds(10))) {
    return;
  }
  shown_ = now;
  if (terminal_) {
    // Longer than the line it would wrap, and each time stay.
    const std::size_t room = daystream::program::width_of_terminal(STDERR_FILENO) - 1;
    const std::string text = daystream::program::harmless(line(rows));
    const std::string_view shown = daystream::program::beginning_of(text, room);
    std::fprintf(stderr, "\r%.*s\x1b[K", static_cast<int>(shown.size()), shown.data());
  } else {
    spdlog::info("{}", line(rows));
  }
}

void ProgressLine::finish(std::uint64_t rows) {
  if (terminal_) std::fputs("\r\x1b[K", stderr);
  const double seconds = std::chrono::duration<double>(steady_clock::now() - start_).count();
  spdlog::info("{}: {} in {:.1f} s", what_, daystream::program::counted(rows, "row"), seconds);
}

}  // namespace deltamirror
