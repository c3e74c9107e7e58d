#include "support/cut_proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <list>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include "support/fd.h"

namespace support {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kMostPendingBytes = 256 << 10;  // a slow end slows the other one down

[[noreturn]] void fail(const std::string& action) {
  throw std::system_error(errno, std::generic_category(), "cut proxy: " + action);
}

// What has come in at one end and is to go out at the other.
struct Chunk {
  std::string bytes;
  Clock::time_point due;
};

struct Pipe {
  std::deque<Chunk> chunks;
  std::size_t pending_bytes = 0;
  bool ended = false;       // the reading end has seen end of file
  bool ended_sent = false;  // and the writing end has been told
};

struct Link {
  Fd client, server;
  Pipe to_server, to_client;
  bool stalled = false;
  bool dead = false;
};

}  // namespace

class CutProxy::Impl {
 public:
  Impl(const std::string& dir, int port) : server_path_(dir + "/.s.PGSQL." + std::to_string(port)) {
    listener_ = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listener_) fail("could not create a socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(listener_.get(), generic, size) != 0 || listen(listener_.get(), 64) != 0 ||
        getsockname(listener_.get(), generic, &size) != 0) {
      fail("could not listen");
    }
    port_ = ntohs(address.sin_port);
    wake_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) fail("could not create an eventfd");
    thread_ = std::thread([this] { loop(); });
  }

  ~Impl() {
    change([this] { stop_ = true; });
    thread_.join();
  }

  // Changes what the thread works by, and wakes it.
  template <typename Change>
  void change(Change&& what) {
    {
      const std::lock_guard lock(mutex_);
      what();
    }
    const std::uint64_t one = 1;
    const ssize_t written = write(wake_.get(), &one, sizeof one);
    static_cast<void>(written);  // full means it will wake anyway
  }

  template <typename Answer>
  auto ask(Answer&& what) const {
    const std::lock_guard lock(mutex_);
    return what();
  }

  void strike(Link& link, Fault fault) {
    switch (fault) {
      case Fault::Stall:
        link.stalled = true;
        return;
      case Fault::Reset: {
        const linger abort{1, 0};
        setsockopt(link.client.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
        break;
      }
      case Fault::Close:
        shutdown(link.client.get(), SHUT_RDWR);
        break;
    }
    link.dead = true;
  }

  struct Armed {
    Direction direction;
    std::uint64_t left;
    Fault fault;
  };

  int port_ = 0;
  std::optional<Armed> armed_;
  bool fired_ = false;
  bool hold_ = false;
  bool stop_ = false;
  std::chrono::milliseconds delay_{0};
  std::uint64_t forwarded_[2] = {0, 0};
  std::uint64_t connections_ = 0;
  std::list<Link> links_;
  std::function<void(std::string_view)> onlooker_;

 private:
  void loop() {
    std::vector<pollfd> watched;
    for (;;) {
      watched.clear();
      int timeout_ms = -1;
      {
        const std::lock_guard lock(mutex_);
        if (stop_) return;
        links_.remove_if([](const Link& link) { return link.dead; });
        watched.push_back({wake_.get(), POLLIN, 0});
        watched.push_back({listener_.get(), POLLIN, 0});
        for (Link& link : links_) {
          watched.push_back({link.client.get(), events(link, link.to_server, link.to_client), 0});
          watched.push_back({link.server.get(), events(link, link.to_client, link.to_server), 0});
          timeout_ms = sooner(timeout_ms, link);
        }
      }
      // Ends that want nothing are not watched at all: POLLHUP would be reported forever.
      for (pollfd& entry : watched) {
        if (entry.events == 0) entry.fd = -1;
      }
      poll(watched.data(), watched.size(), timeout_ms);
      const std::lock_guard lock(mutex_);
      if (watched[0].revents != 0) {
        std::uint64_t drained;
        const ssize_t n = read(wake_.get(), &drained, sizeof drained);
        static_cast<void>(n);
      }
      for (Link& link : links_) move(link);
      if (watched[1].revents != 0) accept_one();
    }
  }

  short events(const Link& link, const Pipe& reads, const Pipe& writes) const {
    if (link.stalled || hold_ || link.dead) return 0;
    short wanted = 0;
    if (!reads.ended && reads.pending_bytes < kMostPendingBytes) wanted |= POLLIN;
    if (!writes.chunks.empty() && writes.chunks.front().due <= Clock::now()) wanted |= POLLOUT;
    return wanted;
  }

  int sooner(int timeout_ms, const Link& link) const {
    if (link.stalled || hold_) return timeout_ms;
    for (const Pipe* pipe : {&link.to_server, &link.to_client}) {
      if (pipe->chunks.empty()) continue;
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(pipe->chunks.front().due - Clock::now());
      const int ms = std::max(0, static_cast<int>(left.count()));
      if (ms > 0 && (timeout_ms < 0 || ms < timeout_ms)) timeout_ms = ms;
    }
    return timeout_ms;
  }

  void accept_one() {
    Fd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client) return;
    ++connections_;
    const int yes = 1;
    setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    Fd server(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (server_path_.size() >= sizeof address.sun_path) return;
    std::memcpy(address.sun_path, server_path_.c_str(), server_path_.size() + 1);
    if (connect(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return;
    fcntl(server.get(), F_SETFL, O_NONBLOCK);
    Link& link = links_.emplace_back();
    link.client = std::move(client);
    link.server = std::move(server);
  }

  void move(Link& link) {
    if (link.stalled || hold_ || link.dead) return;
    take(link.client, link.to_server);
    take(link.server, link.to_client);
    give(link, Direction::ToServer);
    if (link.stalled || link.dead) return;
    give(link, Direction::ToClient);
    if (link.to_server.ended_sent && link.to_client.ended_sent) link.dead = true;
  }

  void take(const Fd& from, Pipe& pipe) {
    char buffer[16384];
    while (!pipe.ended && pipe.pending_bytes < kMostPendingBytes) {
      const ssize_t n = recv(from.get(), buffer, sizeof buffer, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
      if (n <= 0) {
        pipe.ended = true;  // an error of one end is the end of it for the other
        return;
      }
      pipe.chunks.push_back({{buffer, static_cast<std::size_t>(n)}, Clock::now() + delay_});
      pipe.pending_bytes += static_cast<std::size_t>(n);
    }
  }

  void give(Link& link, Direction direction) {
    const bool up = direction == Direction::ToServer;
    Pipe& pipe = up ? link.to_server : link.to_client;
    const Fd& to = up ? link.server : link.client;
    while (!pipe.chunks.empty() && pipe.chunks.front().due <= Clock::now()) {
      std::string& bytes = pipe.chunks.front().bytes;
      std::size_t size = bytes.size();
      const bool counts = armed_ && armed_->direction == direction;
      if (counts) size = std::min<std::uint64_t>(size, armed_->left);
      ssize_t n = 0;
      if (size > 0) n = send(to.get(), bytes.data(), size, MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
      if (n < 0) {
        // Its reader is gone: the bytes are lost as they would be in a socket buffer.
        pipe.chunks.clear();
        pipe.pending_bytes = 0;
        pipe.ended = true;
        break;
      }
      forwarded_[up ? 0 : 1] += static_cast<std::uint64_t>(n);
      if (up && onlooker_)
        onlooker_(std::string_view(bytes).substr(0, static_cast<std::size_t>(n)));
      pipe.pending_bytes -= static_cast<std::size_t>(n);
      bytes.erase(0, static_cast<std::size_t>(n));
      if (bytes.empty()) pipe.chunks.pop_front();
      if (counts && (armed_->left -= static_cast<std::uint64_t>(n)) == 0) {
        const Fault fault = armed_->fault;
        armed_.reset();
        fired_ = true;
        strike(link, fault);
        return;
      }
    }
    if (pipe.ended && pipe.chunks.empty() && !pipe.ended_sent) {
      shutdown(to.get(), SHUT_WR);
      pipe.ended_sent = true;
      // A client that closed reads no more: without this a server with much to say would wait.
      if (up && link.to_client.pending_bytes == 0) link.to_client.ended = true;
    }
  }

  const std::string server_path_;
  Fd listener_, wake_;
  mutable std::mutex mutex_;
  std::thread thread_;
};

CutProxy::CutProxy(const std::string& server_socket_dir, int port)
    : impl_(std::make_unique<Impl>(server_socket_dir, port)) {}
CutProxy::~CutProxy() = default;

std::string CutProxy::conninfo() const {
  return "host=127.0.0.1 port=" + std::to_string(impl_->port_) +
         " sslmode=disable gssencmode=disable";
}

void CutProxy::arm(Direction direction, std::uint64_t after_bytes, Fault fault) {
  impl_->change([&] {
    impl_->forwarded_[0] = impl_->forwarded_[1] = 0;
    impl_->fired_ = false;
    impl_->armed_ = Impl::Armed{direction, after_bytes, fault};
  });
}

void CutProxy::disarm() {
  impl_->change([&] {
    impl_->forwarded_[0] = impl_->forwarded_[1] = 0;
    impl_->fired_ = false;
    impl_->armed_.reset();
  });
}

bool CutProxy::fired() const {
  return impl_->ask([&] { return impl_->fired_; });
}

std::uint64_t CutProxy::forwarded(Direction direction) const {
  return impl_->ask([&] { return impl_->forwarded_[direction == Direction::ToServer ? 0 : 1]; });
}

void CutProxy::watch_to_server(std::function<void(std::string_view)> onlooker) {
  impl_->change([&] { impl_->onlooker_ = std::move(onlooker); });
}

std::uint64_t CutProxy::connections() const {
  return impl_->ask([&] { return impl_->connections_; });
}

std::size_t CutProxy::open_connections() const {
  return impl_->ask([&] { return impl_->links_.size(); });
}

void CutProxy::break_all(Fault fault) {
  impl_->change([&] {
    for (Link& link : impl_->links_) impl_->strike(link, fault);
  });
}

void CutProxy::hold(bool on) {
  impl_->change([&] { impl_->hold_ = on; });
}

void CutProxy::delay(std::chrono::milliseconds by) {
  impl_->change([&] { impl_->delay_ = by; });
}

void CutProxy::drop_stalled() {
  impl_->change([&] {
    for (Link& link : impl_->links_) link.dead |= link.stalled;
  });
}

}  // namespace support
