// GET /fleet/NAME: what a mirror is to hold by the newest revision, and answers that wait for the
// next one.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "serve/fleet.h"
#include "serve/libevent.h"
#include "serve/request.h"
#include "wake.h"

struct evhttp_connection;

namespace daystream::serve {

// An answer that waits costs its connection and a few words, and no work before it is due.
//
// Threads: the loop's one. Not movable: libevent keeps its address.
class FleetRoute {
 public:
  static constexpr std::uint64_t kMostWaitSeconds = 300;

  // `stall`: a peer that takes nothing for so long is let go. Throws ConfigError where the
  // directory has no revision, NeedsPerson where the newest is damaged.
  FleetRoute(event_base* loop, const std::filesystem::path& directory, std::chrono::seconds stall);
  FleetRoute(const FleetRoute&) = delete;
  FleetRoute& operator=(const FleetRoute&) = delete;
  ~FleetRoute();

  // Answers, now or later. `require_room` is called before one is held, and may throw. Throws
  // HttpError.
  void reply(const Request& request, const std::string& name,
             const std::function<void()>& require_room);
  // Looks whether there is a newer revision, as it does by itself when one is published.
  void look() noexcept;

 private:
  struct Held {
    FleetRoute* route;
    Request request;
    std::string name;
    Labels labels;
    std::chrono::steady_clock::time_point until;
    std::list<Held>::iterator self = {};
  };
  // Of the mirrors that the same rules are about.
  struct Composed {
    std::string body;
    std::string problem;  // not empty: it is offered to nobody
  };

  static void closed(evhttp_connection*, void* held);
  void watched() noexcept;
  void tick() noexcept;
  void take(std::uint64_t number);
  void answer(const Request& request, const std::string& name, const Labels& labels);
  void answer_held(Held held) noexcept;
  void hold(const Request& request, const std::string& name, const Labels& labels,
            std::chrono::seconds wait);
  const Composed& composed(const std::vector<std::size_t>& rules);

  const FleetDirectory directory_;
  const std::chrono::seconds stall_;
  Revision revision_;
  std::map<std::vector<std::size_t>, Composed> composed_;
  std::list<Held> held_;
  DurableWatch watch_;
  Event watch_event_;
  Event tick_;
};

}  // namespace daystream::serve
