#include "program/terminal_output.h"

#include <unistd.h>

#include <exception>

#include "program/harmless.h"
#include "program/terminal.h"
#include "write_all.h"

namespace daystream::program {

HarmlessStdout::HarmlessStdout() noexcept {
  if (!is_terminal(STDOUT_FILENO)) return;
  ours_ = fopencookie(this, "w",
                      {.read = nullptr, .write = written, .seek = nullptr, .close = nullptr});
  if (ours_ == nullptr) return;
  setvbuf(ours_, nullptr, _IOLBF, BUFSIZ);
  std::fflush(stdout);
  before_ = stdout;
  stdout = ours_;
}

HarmlessStdout::~HarmlessStdout() {
  if (ours_ == nullptr) return;
  std::fclose(ours_);
  send(true);
  stdout = before_;
}

ssize_t HarmlessStdout::written(void* self, const char* data, std::size_t size) noexcept {
  try {
    auto& output = *static_cast<HarmlessStdout*>(self);
    output.waiting_.append(data, size);
    return output.send(false) ? static_cast<ssize_t>(size) : 0;
  } catch (const std::exception&) {
    return 0;  // no memory
  }
}

// A buffer that is full may end within a character: that waits for the rest.
bool HarmlessStdout::send(bool all) {
  const std::size_t kept = all ? 0 : cut_character_bytes(waiting_);
  const std::string text = waiting_.substr(0, waiting_.size() - kept);
  waiting_.erase(0, text.size());
  return write_all(STDOUT_FILENO, harmless(text, Keep::Lines));
}

}  // namespace daystream::program
