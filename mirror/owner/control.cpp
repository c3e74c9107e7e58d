#include "owner/control.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>
#include <nlohmann/json.hpp>

#include "src/waiting.h"
#include "store/mirror_file.h"
#include "store/mirror_lock.h"

namespace deltamirror {

using daystream::Error;
using daystream::IoError;
using nlohmann::json;

namespace {

constexpr int kVersion = 1;
constexpr std::size_t kMostClients = 64;

// An owner's failure, as it was told.
class Told : public Error {
 public:
  Told(const std::string& message, const std::string& hint, int code)
      : Error(message, hint), code_(code) {}
  daystream::ExitCode exit_code() const noexcept override {
    return static_cast<daystream::ExitCode>(code_);
  }

 private:
  int code_;
};

// Names in messages may hold any bytes: what is not UTF-8 is replaced.
std::string line_of(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string control_path(const std::string& mirror) {
  return beside(mirror, ".sock");
}

ControlServer::ControlServer(const std::string& mirror)
    : path_(control_path(mirror)), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) throw IoError("could not wait for requests", errno);
  listener_ = listen_at(path_);
  socket_ = daystream::identity_of(path_);
  epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener_.get(), &event) != 0) {
    throw IoError("could not wait for requests", errno);
  }
}

ControlServer::~ControlServer() {
  try {
    if (socket_ && daystream::identity_of(path_) == socket_) unlink(path_.c_str());
  } catch (const IoError&) {
    // A folder that may not be entered any more: nothing can be removed from it.
  }
}

void ControlServer::accept_all() {
  for (;;) {
    daystream::UniqueFd fd(
        accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    if (clients_.size() >= kMostClients) continue;  // closed at once
    const std::uint64_t id = ++last_id_;
    epoll_event event{.events = EPOLLIN, .data = {.u64 = id}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) continue;
    clients_.push_back({id, std::move(fd), {}});
  }
}

std::optional<ControlRequest> ControlServer::next() {
  const std::lock_guard lock(mutex_);
  for (;;) {
    epoll_event event{};
    if (epoll_wait(epoll_.get(), &event, 1, 0) != 1) return std::nullopt;
    if (event.data.u64 == 0) {
      accept_all();
      continue;
    }
    for (Client& client : clients_) {
      if (client.id != event.data.u64) continue;
      const LineBuffer::Read read = client.in.fill(client.fd.get());
      ControlRequest request{.client = client.id, .line = {}};
      const bool whole = client.in.next(request.line);
      if (whole) return request;
      if (read != LineBuffer::Read::Again) close(client.id);
      break;
    }
  }
}

void ControlServer::close(std::uint64_t id) {
  clients_.remove_if([&](const Client& client) { return client.id == id; });
}

void ControlServer::tell(std::uint64_t id, const json& answer) {
  const std::lock_guard lock(mutex_);
  send_to(id, answer);
}

void ControlServer::send_to(std::uint64_t id, const json& answer) {
  for (const Client& client : clients_) {
    if (client.id != id) continue;
    json whole = answer;
    whole["version"] = kVersion;
    const std::string line = line_of(whole);
    const ssize_t sent = send(client.fd.get(), line.data(), line.size(), MSG_NOSIGNAL);
    // The socket's own buffer holds many answers: whoever has filled it does not read.
    if (sent != static_cast<ssize_t>(line.size())) close(id);
    return;
  }
}

void ControlServer::done(std::uint64_t id, json answer) {
  answer["state"] = "done";
  const std::lock_guard lock(mutex_);
  send_to(id, answer);
  close(id);
}

void ControlServer::failed(std::uint64_t id, const Error& error) {
  const std::lock_guard lock(mutex_);
  send_to(id, {{"state", "failed"},
               {"error", error.what()},
               {"hint", error.hint()},
               {"exit_code", static_cast<int>(error.exit_code())}});
  close(id);
}

namespace {

// Until there is an answer to read, or its end.
void wait_for_answer(const daystream::UniqueFd& owner, const std::string& mirror,
                     const daystream::program::Signals& signals) {
  daystream::WaitSet news{owner.get(), signals.fd()};
  do {
    if (signals.stop_requested()) {
      throw Error(fmt::format("stopped waiting for the owner of mirror \"{}\"", mirror),
                  "it goes on with what it was asked for; \"deltamirror status\" shows how far");
    }
  } while (!news.wait(daystream::WaitSet::kForEver) || !news.ready(owner.get()));
}

}  // namespace

std::optional<json> ask_owner(const std::string& mirror, const json& request,
                              const daystream::program::Signals& signals,
                              const std::function<void(const json&)>& running) {
  if (MirrorLock::holder(mirror) == 0) return std::nullopt;
  daystream::UniqueFd fd;
  try {
    fd = connect_to(control_path(mirror));
  } catch (const IoError& e) {
    // A seed or repair owns a mirror without listening; a killed owner's socket stays.
    if (e.error_number() != ENOENT && e.error_number() != ECONNREFUSED) throw;
    return std::nullopt;
  }
  json whole = request;
  whole["version"] = kVersion;
  const std::string line = line_of(whole);
  if (send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size())) {
    throw IoError(fmt::format("could not ask the owner of mirror \"{}\"", mirror), errno);
  }
  LineBuffer in;
  for (;;) {
    std::string text;
    if (!in.next(text)) {
      wait_for_answer(fd, mirror, signals);
      if (in.fill(fd.get()) == LineBuffer::Read::Again) continue;
      throw Error(fmt::format("the owner of mirror \"{}\" ended before it was done", mirror),
                  "start it again, and ask again");
    }
    const json answer = json::parse(text);
    const std::string state = answer.at("state");
    if (state == "done") return answer;
    if (state == "failed") {
      throw Told(answer.at("error"), answer.value("hint", ""), answer.value("exit_code", 1));
    }
    running(answer);
  }
}

bool owner_hangs(const std::string& mirror) {
  constexpr int kPatienceMs = 5000;
  daystream::UniqueFd fd;
  try {
    fd = connect_to(control_path(mirror));
  } catch (const IoError&) {
    return false;
  }
  const std::string line = line_of({{"version", kVersion}, {"request", "status"}});
  if (send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL) < 0) return false;
  return !daystream::WaitSet{fd.get()}.wait(std::chrono::milliseconds(kPatienceMs));
}

}  // namespace deltamirror
