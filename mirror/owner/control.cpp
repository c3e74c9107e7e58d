#include "owner/control.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <iterator>
#include <nlohmann/json.hpp>

#include "src/json_text.h"
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

// An owner's failure, as it answered.
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

}  // namespace

std::string control_path(const std::string& mirror) {
  return beside(mirror, ".sock");
}

ControlServer::ControlServer(const std::string& mirror)
    : sockets_(control_path(mirror), kMostClients) {}

std::optional<ControlRequest> ControlServer::next() {
  const std::lock_guard lock(mutex_);
  while (auto event = sockets_.next(clients_.size())) {
    if (event->opened) {
      clients_.push_back({event->id, std::move(event->opened), {}});
      continue;
    }
    for (Client& client : clients_) {
      if (client.id != event->id) continue;
      const LineBuffer::Read read = client.in.fill(client.fd.get());
      ControlRequest request{.client = client.id, .line = {}};
      const bool whole = client.in.next(request.line);
      if (whole) return request;
      if (read != LineBuffer::Read::Again) close(client.id);
      break;
    }
  }
  return std::nullopt;
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
    const std::string line = daystream::json_line(whole);
    const ssize_t sent = send(client.fd.get(), line.data(), line.size(), MSG_NOSIGNAL);
    // The socket's own buffer holds many answers: a client that has filled it does not read.
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

// An owner that is busy or hangs says nothing: then this says whom it waits for.
constexpr std::chrono::seconds kFirstWord{2};
constexpr std::chrono::seconds kNextWord{60};

// Until there is an answer to read, or its end.
void wait_for_answer(const daystream::UniqueFd& owner, const std::string& mirror,
                     const daystream::program::Signals& signals) {
  daystream::WaitSet news{owner.get(), signals.stop().fd()};
  const auto since = std::chrono::steady_clock::now();
  auto patience = kFirstWord;
  for (;;) {
    if (signals.stop_requested()) {
      throw Error(fmt::format("stopped waiting for the owner of mirror \"{}\"", mirror),
                  "it goes on with what it was asked for; \"deltamirror status\" shows how far");
    }
    if (news.wait(patience)) {
      if (news.ready(owner.get())) return;
      continue;
    }
    if (signals.stop_requested()) continue;
    patience = kNextWord;
    const auto waited = std::chrono::steady_clock::now() - since;
    spdlog::info(
        "waiting for process {}, which owns mirror \"{}\": no word from it for {} s; "
        "HINT: \"deltamirror doctor {}\" shows whether it hangs or waits for its daystream",
        MirrorLock::holder(mirror), mirror,
        std::chrono::duration_cast<std::chrono::seconds>(waited).count(), mirror);
  }
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
  const std::string line = daystream::json_line(whole);
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

namespace {

std::map<std::string, LastError> errors_in(const json& answer, const char* key) {
  std::map<std::string, LastError> out;
  for (const json& source : answer.value("sources", json::array())) {
    if (!source.contains(key)) continue;
    const json& error = source[key];
    out[source.at("source")] = {error.at("at"), error.at("message"), error.at("hint"),
                                static_cast<AfterError>(error.at("after").get<int>())};
  }
  return out;
}

}  // namespace

OwnerSays ask_how_it_is(const std::string& mirror) {
  constexpr int kPatienceMs = 5000;
  daystream::UniqueFd fd;
  try {
    fd = connect_to(control_path(mirror));
  } catch (const IoError&) {
    return {};
  }
  const std::string line = daystream::json_line(json{{"version", kVersion}, {"request", "status"}});
  if (send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL) < 0) return {};
  LineBuffer in;
  std::string text;
  while (!in.next(text)) {
    if (!daystream::WaitSet{fd.get()}.wait(std::chrono::milliseconds(kPatienceMs))) {
      return {.hangs = true};
    }
    if (in.fill(fd.get()) != LineBuffer::Read::Again) return {};  // it ends just now
  }
  try {
    const json answer = json::parse(text);
    return {.unstored = errors_in(answer, "unstored_error"),
            .streams = errors_in(answer, "stream_trouble")};
  } catch (const json::exception&) {
    return {};  // another version's words, say: the mirror's own file tells the rest
  }
}

}  // namespace deltamirror
