// How a request is answered: at once, or after work on a thread; and what a refusal or a failure on
// the way becomes.
#pragma once

#include <functional>
#include <string>

#include "program/repeats.h"
#include "serve/access.h"
#include "serve/connection_limits.h"
#include "serve/request.h"
#include "serve/status.h"
#include "serve/workers.h"

namespace daystream::serve {

// Ownership: borrows what it is made of, all of which must be there when it is used, not before.
// Threads: the loop's one.
class Answers {
 public:
  using Reply = std::function<void(const Request&)>;

  Answers(Workers& workers, ConnectionLimits& limits);

  // To be called for each request that is complete.
  void count(evhttp_request* request);
  // Answers the request, or with the refusal that `reply` throws.
  void now(const Request& request, const std::function<void()>& reply);
  // What an answer needs is found out by `work` on a thread, which touches nothing of the loop's
  // but what says that it may be. What that returns then answers, on the loop. Either may throw a
  // refusal.
  void later(const Request& request, const Grant& grant, std::function<Reply()> work);
  // Before the first header of an answer that takes as long as the peer likes. Throws HttpError.
  void require_room_to_stay(const Request& request);
  // Logs that somebody was kept out, once a minute each: one who tries tokens, or has an old one,
  // is not to fill the log.
  void tell_stranger(const std::string& peer, const std::string& why);

  ServerFacts facts() const;

 private:
  Workers& workers_;
  ConnectionLimits& limits_;
  ServerFacts facts_;
  program::Repeats strangers_;
};

}  // namespace daystream::serve
