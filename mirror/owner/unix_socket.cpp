#include "owner/unix_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "daystream/error.h"

namespace deltamirror {

using daystream::IoError;
using daystream::UniqueFd;

namespace {

constexpr std::size_t kLongestLine = 1 << 20;

// The kernel takes 107 bytes of a path; by way of the folder's descriptor only the name counts.
struct Address {
  sockaddr_un name{};
  UniqueFd folder;

  explicit Address(const std::string& path) {
    const std::filesystem::path whole(path);
    const std::string parent = whole.has_parent_path() ? whole.parent_path().string() : ".";
    folder = UniqueFd(open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folder) throw IoError(fmt::format("could not open directory \"{}\"", parent), errno);
    const std::string shown =
        fmt::format("/proc/self/fd/{}/{}", folder.get(), whole.filename().string());
    if (shown.size() >= sizeof name.sun_path) {
      throw IoError(fmt::format("could not use socket \"{}\"", path), ENAMETOOLONG);
    }
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, shown.c_str(), shown.size() + 1);
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&name); }
};

UniqueFd new_socket(const std::string& path, int flags) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!fd) throw IoError(fmt::format("could not make socket \"{}\"", path), errno);
  return fd;
}

}  // namespace

UniqueFd listen_at(const std::string& path) {
  struct stat facts {};
  if (lstat(path.c_str(), &facts) == 0) {
    if (!S_ISSOCK(facts.st_mode)) throw IoError(fmt::format("could not use \"{}\"", path), EEXIST);
    bool lives = true;
    try {
      connect_to(path);
    } catch (const IoError&) {
      lives = false;
    }
    if (lives) throw IoError(fmt::format("could not listen on \"{}\"", path), EADDRINUSE);
  }
  // Who sees the name can connect: so it gets its name when all is done.
  const std::string unready = path + ".new";
  const Address address(unready);
  unlink(unready.c_str());
  UniqueFd fd = new_socket(path, SOCK_NONBLOCK);
  // The mode goes before the name, which bind() gives it: it is never there with another.
  if (fchmod(fd.get(), S_IRUSR | S_IWUSR) != 0 ||
      bind(fd.get(), address.get(), sizeof address.name) != 0 || listen(fd.get(), 16) != 0 ||
      rename(unready.c_str(), path.c_str()) != 0) {
    throw IoError(fmt::format("could not listen on \"{}\"", path), errno);
  }
  return fd;
}

UniqueFd connect_to(const std::string& path) {
  const Address address(path);
  UniqueFd fd = new_socket(path, 0);
  if (connect(fd.get(), address.get(), sizeof address.name) != 0) {
    throw IoError(fmt::format("could not connect to \"{}\"", path), errno);
  }
  return fd;
}

SocketServer::SocketServer(std::string path, std::size_t most)
    : path_(std::move(path)), most_(most), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) throw IoError(fmt::format("could not wait at socket \"{}\"", path_), errno);
  listener_ = listen_at(path_);
  identity_ = daystream::identity_of(path_);
  if (!add(listener_.get(), 0)) {
    throw IoError(fmt::format("could not wait at socket \"{}\"", path_), errno);
  }
}

SocketServer::~SocketServer() {
  try {
    if (identity_ && daystream::identity_of(path_) == identity_) unlink(path_.c_str());
  } catch (const IoError&) {
    // A folder that may not be entered any more: nothing can be removed from it.
  }
}

bool SocketServer::add(int fd, std::uint64_t id) noexcept {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = id}};
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

std::optional<SocketServer::Event> SocketServer::next(std::size_t open) {
  for (;;) {
    epoll_event event{};
    if (epoll_wait(epoll_.get(), &event, 1, 0) != 1) return std::nullopt;
    if (event.data.u64 != 0) {
      const bool readable = (event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
      return Event{.id = event.data.u64, .opened = {}, .readable = readable};
    }
    UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    // No descriptor is left, say: it stays in the queue, and what else there is to do goes on.
    if (!fd) return std::nullopt;
    if (open >= most_ || !add(fd.get(), last_id_ + 1)) continue;
    return Event{.id = ++last_id_, .opened = std::move(fd), .readable = false};
  }
}

void SocketServer::watch(std::uint64_t id, const UniqueFd& connection, bool to_write) noexcept {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = id}};
  if (to_write) event.events |= EPOLLOUT;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.get(), &event);
}

LineBuffer::Read LineBuffer::fill(int fd) {
  char bytes[16384];
  const ssize_t size = recv(fd, bytes, sizeof bytes, 0);
  if (size < 0) return errno == EAGAIN || errno == EINTR ? Read::Again : Read::Closed;
  if (size == 0) return Read::Closed;
  bytes_.append(bytes, static_cast<std::size_t>(size));
  return bytes_.size() > kLongestLine ? Read::TooLong : Read::Again;
}

bool LineBuffer::next(std::string& line) {
  const std::size_t end = bytes_.find('\n');
  if (end == std::string::npos) return false;
  line = bytes_.substr(0, end);
  bytes_.erase(0, end + 1);
  return true;
}

}  // namespace deltamirror
