#include "server_process.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "support/wait.h"

namespace serve_test {

namespace {

std::vector<std::string> argv_of(const std::vector<std::string>& streams,
                                 const std::vector<std::string>& more, int port,
                                 const std::vector<std::string>& under) {
  std::vector<std::string> argv = under;
  argv.insert(argv.end(), {support::program("daystream"), "serve"});
  argv.insert(argv.end(), streams.begin(), streams.end());
  argv.insert(argv.end(), {"--listen", fmt::format("127.0.0.1:{}", port)});
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

}  // namespace

ServerProcess::ServerProcess(const std::vector<std::string>& streams,
                             const std::vector<std::string>& more, int port,
                             const std::vector<std::string>& under)
    : process_(argv_of(streams, more, port, under)) {
  const std::string before = "://127.0.0.1:";
  support::eventually(
      [&] { return !process_.running() || process_.err().find(before) != std::string::npos; });
  const std::string said = process_.err();
  const auto at = said.find(before);
  if (at == std::string::npos) throw std::runtime_error("daystream serve: " + said);
  port_ = std::stoi(said.substr(at + before.size()));
}

std::string ServerProcess::url(const std::string& path) const {
  return fmt::format("http://127.0.0.1:{}{}", port_, path);
}

std::string ServerProcess::https_url(const std::string& path) const {
  return fmt::format("https://127.0.0.1:{}{}", port_, path);
}

std::string body_of(const std::string& url) {
  return daystream::remote::request({}, "GET", url).body;
}

std::string outcome_of(const std::string& url, const std::string& method) {
  const auto result =
      support::run({"curl", "-sS", "--path-as-is", "-X", method, "-w", "\n%{http_code}", url});
  const auto newline = result.out.rfind('\n');
  std::string outcome = result.out.substr(newline + 1);
  const std::string key = "\"error\":\"";
  if (const auto code = result.out.find(key); code != std::string::npos) {
    const auto begin = code + key.size();
    outcome += " " + result.out.substr(begin, result.out.find('"', begin) - begin);
  }
  return outcome;
}

std::string slurp_days(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> days;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".tsv") days.push_back(entry.path());
  }
  std::sort(days.begin(), days.end());
  std::string all;
  for (const auto& day : days) {
    std::ifstream file(day, std::ios::binary);
    all.append(std::istreambuf_iterator<char>(file), {});
  }
  return all;
}

RawConnection::RawConnection(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error(fmt::format("connect failed: {}", std::strerror(errno)));
  }
}

void RawConnection::send(const std::string& bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t put = ::send(fd_.get(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (put <= 0) return;  // the peer has closed: what it said is read next
    at += static_cast<std::size_t>(put);
  }
}

std::string RawConnection::read_some(std::size_t size) {
  std::string all;
  const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(support::kPatience);
  while (all.size() < size) {
    pollfd polled{fd_.get(), POLLIN, 0};
    if (poll(&polled, 1, static_cast<int>(patience.count())) <= 0) {
      throw std::runtime_error("the server neither speaks nor closes: " + all);
    }
    char bytes[65536];
    const ssize_t got = recv(fd_.get(), bytes, std::min(sizeof bytes, size - all.size()), 0);
    if (got <= 0) break;
    all.append(bytes, static_cast<std::size_t>(got));
  }
  return all;
}

bool RawConnection::has_bytes() {
  char byte;
  return recv(fd_.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) > 0;
}

bool RawConnection::is_closed() {
  char byte;
  const ssize_t got = recv(fd_.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
}

std::string RawConnection::read_all() {
  return read_some(SIZE_MAX);
}

}  // namespace serve_test
