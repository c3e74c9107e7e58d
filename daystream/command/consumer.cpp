#include "consumer.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "daystream/error.h"
#include "text.h"

namespace daystream::command {

Consumer::Consumer(const std::vector<std::string>& command, Child::Output output,
                   ConsumeProgress& progress)
    : Output(-1), name_(command.front()), child_(command, output), progress_(progress) {}

void Consumer::hear() {
  char bytes[4096];
  while (!closed_ && child_.output() >= 0) {
    const ssize_t got = ::read(child_.output(), bytes, sizeof bytes);
    if (got > 0) {
      heard_.append(bytes, static_cast<std::size_t>(got));
      take_lines();
    } else if (got == 0) {
      closed_ = true;
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      throw IoError("could not read from the command", errno);
    }
  }
}

void Consumer::wait_for_word(int wake_fd) {
  pollfd fds[] = {{child_.output(), POLLIN, 0}, {wake_fd, POLLIN, 0}};
  ::poll(fds, 2, -1);  // whatever it says, the caller looks again
}

std::string Consumer::finish() {
  child_.close_input();
  while (!closed_ && child_.output() >= 0) {
    wait_for_word(-1);
    hear();
    progress_.save(false);
  }
  return child_.wait();
}

void Consumer::ended(const std::string& how) const {
  throw Error(fmt::format("command \"{}\" ended {}, with {} not acknowledged", name_,
                          how.empty() ? "with exit code 0" : how,
                          count_text(progress_.pending(), "transaction")),
              "start again: it goes on after what was acknowledged");
}

void Consumer::send(std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(child_.input(), text.data(), text.size());
    if (put >= 0) {
      text.remove_prefix(static_cast<std::size_t>(put));
    } else if (errno == EPIPE) {
      ended(finish());
    } else if (errno == EAGAIN) {
      pollfd fds[] = {{child_.input(), POLLOUT, 0}, {closed_ ? -1 : child_.output(), POLLIN, 0}};
      ::poll(fds, 2, -1);
      hear();
    } else if (errno != EINTR) {
      throw IoError("could not write to the command", errno);
    }
  }
}

void Consumer::take_lines() {
  std::size_t begin = 0;
  for (auto end = heard_.find('\n'); end != std::string::npos; end = heard_.find('\n', begin)) {
    const std::string line = heard_.substr(begin, end - begin);
    const auto position = Position::parse(line);
    if (!position || !progress_.acknowledge(*position)) {
      throw ProtocolError(
          fmt::format("command \"{}\" wrote \"{}\", which is no position of a transaction that "
                      "it was handed and has not acknowledged",
                      name_, line.substr(0, 60)),
          "its standard output is for acknowledgements: the C/S of a commit line, "
          "1507507200/17; other words belong on standard error");
    }
    begin = end + 1;
  }
  heard_.erase(0, begin);
}

}  // namespace daystream::command
