// A server that says whatever a test wants, to whoever connects.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cstddef>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "support/fd.h"

namespace support {

// Answers each connection with `answer`, and goes on with `more` until the peer has enough. Without
// either it ends the connection.
class FalseServer {
 public:
  explicit FalseServer(std::string answer, std::string more = {})
      : answer_(std::move(answer)),
        more_(std::move(more)),
        fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        listen(fd_.get(), 16) != 0 ||
        getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("no port");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~FalseServer() {
    stop_ = true;
    shutdown(fd_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/test"; }
  void set_answer(std::string answer) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
  }
  std::size_t sent() const { return sent_; }
  std::size_t asked() const { return asked_; }

 private:
  void serve() {
    while (!stop_) {
      const Fd peer(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (peer.get() < 0) return;
      ++asked_;
      char request[4096];
      if (recv(peer.get(), request, sizeof request, 0) <= 0) continue;
      if (!put(peer.get(), answer())) continue;
      while (!more_.empty() && !stop_ && put(peer.get(), more_)) continue;
    }
  }
  std::string answer() {
    const std::lock_guard lock(mutex_);
    return answer_;
  }
  bool put(int fd, const std::string& bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t got = send(fd, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (got <= 0) return false;
      at += static_cast<std::size_t>(got);
      sent_ += static_cast<std::size_t>(got);
    }
    return true;
  }

  std::mutex mutex_;  // of answer_
  std::string answer_;
  const std::string more_;
  Fd fd_;
  int port_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<std::size_t> sent_{0};
  std::atomic<std::size_t> asked_{0};
  std::thread thread_;
};

}  // namespace support
