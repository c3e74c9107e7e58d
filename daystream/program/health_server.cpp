#include "program/health_server.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <string_view>
#include <utility>

#include "program/listen.h"

namespace daystream::program {

using std::chrono::steady_clock;

namespace {

// With the two that are ours, as many as a WaitSet takes.
constexpr std::size_t kMostClients = WaitSet::kMost - 2;
constexpr std::size_t kMostHeardBytes = 4096;
constexpr std::chrono::seconds kPatienceWithClient{5};

std::string response(const char* status, std::string text, bool with_body) {
  text += '\n';
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n"
      "Cache-Control: no-store\r\nConnection: close\r\n\r\n{}",
      status, text.size(), with_body ? text : "");
}

}  // namespace

HealthServer::HealthServer(const std::string& address, std::function<Fitness()> fitness)
    : fitness_(std::move(fitness)) {
  if (address.empty()) return;
  ListenAddress at = ListenAddress::parse(address);
  listening_ = listen_on(at);
  spdlog::info("answering GET /healthz on {}", at.text());
  thread_ = std::jthread([this](const std::stop_token& stop) {
    try {
      work(stop);
    } catch (const std::exception& e) {
      // Silence takes the host out, which is right for one that is so short of everything.
      spdlog::error("no longer answering GET /healthz: {}", e.what());
    }
  });
}

HealthServer::~HealthServer() {
  thread_.request_stop();
  stopped_.wake();
}

void HealthServer::work(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    WaitSet news{stopped_.fd(), listening_.get()};
    auto until = steady_clock::now() + kPatienceWithClient;
    for (const Client& client : clients_) {
      news.add(client.fd.get());
      until = std::min(until, client.until);
    }
    news.wait_until(until);
    const auto now = steady_clock::now();
    std::erase_if(clients_, [&](Client& client) {
      return now >= client.until || (news.ready(client.fd.get()) && is_done(client));
    });
    if (news.ready(listening_.get())) accept_one();
  }
}

void HealthServer::accept_one() {
  if (clients_.size() == kMostClients) clients_.pop_front();
  UniqueFd fd(accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  // One that has gone by now is nothing; without descriptors the next try is not at once.
  if (!fd && (errno == EMFILE || errno == ENFILE)) {
    WaitSet{stopped_.fd()}.wait(std::chrono::seconds(1));
  }
  if (fd) clients_.push_back({std::move(fd), {}, steady_clock::now() + kPatienceWithClient});
}

// An answer fits what the kernel buffers: nobody waits for who does not read it.
bool HealthServer::is_done(Client& client) {
  char bytes[1024];
  const ssize_t got = recv(client.fd.get(), bytes, sizeof bytes, 0);
  if (got < 0) return errno != EAGAIN && errno != EINTR;
  if (got == 0) return true;
  client.heard.append(bytes, static_cast<std::size_t>(got));
  const bool whole = client.heard.find("\r\n\r\n") != std::string::npos;
  if (!whole && client.heard.size() < kMostHeardBytes) return false;
  const std::string text =
      whole ? answer(client.heard)
            : response("431 Request Header Fields Too Large", "the request is too long", true);
  send(client.fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
  return true;
}

std::string HealthServer::answer(const std::string& request) const {
  std::string_view line(request);
  line = line.substr(0, line.find("\r\n"));
  const std::string_view method = line.substr(0, line.find(' '));
  line.remove_prefix(std::min(line.size(), method.size() + 1));
  const std::string_view path = line.substr(0, line.find_first_of(" ?"));
  const bool with_body = method != "HEAD";
  if (method != "GET" && method != "HEAD") {
    return response("405 Method Not Allowed", "only GET and HEAD", true);
  }
  if (path != "/healthz") return response("404 Not Found", "there is /healthz alone", with_body);
  Fitness fitness;
  try {
    fitness = fitness_();
  } catch (const std::exception&) {
    fitness.text = "cannot tell: the log of the process says why";
  }
  return response(fitness.is_fit ? "200 OK" : "503 Service Unavailable", fitness.text, with_body);
}

}  // namespace daystream::program
