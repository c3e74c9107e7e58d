#include "serve/answers.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <ctime>
#include <exception>
#include <utility>

namespace daystream::serve {

Answers::Answers(Workers& workers, ConnectionLimits& limits) : workers_(workers), limits_(limits) {
  facts_.since = std::time(nullptr);
}

ServerFacts Answers::facts() const {
  ServerFacts facts = facts_;
  facts.disconnected = limits_.refused();
  return facts;
}

void Answers::count(evhttp_request* request) {
  limits_.asked(request);
  ++facts_.requests;
}

void Answers::now(const Request& request, const std::function<void()>& reply) {
  try {
    reply();
  } catch (const HttpError& e) {
    ++facts_.refused;
    if (e.status() == 401) tell_stranger(request.peer(), e.what());
    request.reply(e);
  } catch (const std::exception& e) {
    // It may name files, which are no peer's business.
    ++facts_.failed;
    spdlog::error("could not answer {}: {}", request.peer(), e.what());
    request.reply(
        HttpError(500, "failed", "the server could not read its files", "its log says why"));
  }
}

// The request stays libevent's and open: while nothing is read from its connection, nothing ends
// it. What a peer asked for that has gone meanwhile is not begun: asking and closing costs nothing,
// and who has the same address, as all behind a proxy have, would wait for all of it.
void Answers::later(const Request& request, const Grant& grant, std::function<Reply()> work) {
  request.pause_reading();
  const std::string asker =
      grant.name.empty() ? request.peer() : grant.name + "\n" + request.peer();
  const bool taken = workers_.run(asker, [this, request, work = std::move(work),
                                          has_gone = request.peer_watch()]() {
    Reply reply;
    try {
      if (has_gone()) throw HttpError(503, "busy", "the peer has closed the connection");
      reply = work();
    } catch (...) {
      reply = [error = std::current_exception()](const Request&) { std::rethrow_exception(error); };
    }
    return [this, request, reply = std::move(reply)] { now(request, [&] { reply(request); }); };
  });
  if (!taken) throw HttpError(503, "busy", "the server has more to do than it can", "ask again");
}

void Answers::require_room_to_stay(const Request& request) {
  if (limits_.may_stay(request.raw())) return;
  throw HttpError(503, "busy", "the server has as many followers as it can have",
                  "ask again later; --most-connections and --most-per-address say how many");
}

void Answers::tell_stranger(const std::string& peer, const std::string& why) {
  if (const auto text = strangers_.met(fmt::format("refused {}: {}", peer, why))) {
    spdlog::warn("{}", *text);
  }
}

}  // namespace daystream::serve
