// GET /fleet/NAME: what a mirror is to hold by the newest revision, and answers that wait for the
// next one. POST /fleet/NAME/report: how it is. GET /fleet: how all are.
#pragma once

#include <chrono>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fleet/fleet.h"
#include "fleet/report_store.h"
#include "fleet/reports.h"
#include "fleet/rollout.h"
#include "program/repeats.h"
#include "serve/answers.h"
#include "serve/libevent.h"
#include "serve/request.h"
#include "serve/workers.h"
#include "wake.h"

struct evhttp_connection;

namespace daystream::serve {

// An answer that waits costs its connection and a few words, and no work before it is due.
//
// Threads: the loop's one. Not movable: libevent keeps its address.
class FleetRoute {
 public:
  static constexpr const char* kName = "fleet";  // before the names of mirrors in URLs
  static constexpr std::uint64_t kMostWaitSeconds = 300;

  // `stall`: a peer that takes nothing for so long is let go. `workers` write what is reported, and
  // are to be gone first. Throws ConfigError where the directory has no revision, NeedsPerson where
  // the newest is damaged.
  // `has_tokens`: only by one may anything be seen.
  FleetRoute(event_base* loop, Answers& answers, Workers& workers,
             const std::filesystem::path& directory, bool has_tokens, std::chrono::seconds stall);
  FleetRoute(const FleetRoute&) = delete;
  FleetRoute& operator=(const FleetRoute&) = delete;
  ~FleetRoute();

  // Answers, now or later. Throws HttpError where it refuses.
  void route(const Request& request, const Grant& grant);
  bool may_see(const Grant& grant) const noexcept { return !has_tokens_ || !grant.fleet.empty(); }
  // Of all that is known now what `grant` lets one see; nullopt: nothing.
  std::optional<fleet::FleetView> view_for(const Grant& grant) const;
  // Looks whether there is a newer revision, as it does by itself when one is published.
  void look() noexcept;

 private:
  struct Held {
    FleetRoute* route;
    Request request;
    std::string name;
    program::Labels labels;
    std::uint64_t after;
    std::chrono::steady_clock::time_point until;
    std::list<Held>::iterator self = {};
  };
  // Of the mirrors that the same rules are about.
  struct Composed {
    std::string body;
    std::string problem;  // not empty: it is offered to nobody
  };
  struct Offer {
    fleet::Revision revision;
    std::map<std::vector<std::size_t>, Composed> composed = {};

    const Composed& of(const std::vector<std::size_t>& rules);
  };

  void reply_config(const Request& request, const std::string& name);
  void reply_events(const Request& request, const std::string& name, const Grant& grant);
  void reply_all(const Request& request, const Grant& grant);
  void take_report(const Request& request, const std::string& name);
  void require_right(const Grant& grant, const std::string& name) const;
  fleet::FleetView view() const;
  static void closed(evhttp_connection*, void* held);
  void watched() noexcept;
  void tick() noexcept;
  fleet::MirrorReports open_store() noexcept;
  void save() noexcept;
  void take(std::uint64_t number);
  void answer(const Request& request, const std::string& name, const program::Labels& labels);
  void answer_held(Held held) noexcept;
  void hold(const Request& request, const std::string& name, const program::Labels& labels,
            std::uint64_t after, std::chrono::seconds wait);
  Offer& offer_for(const std::string& name);
  void offer(Offer newest);
  void look_at_rollout() noexcept;
  void keep_progress(const fleet::RolloutProgress& before) noexcept;
  // Those whose answer is another one by now.
  void answer_due();

  Answers& answers_;
  const bool has_tokens_;
  const fleet::FleetDirectory directory_;
  const std::chrono::seconds stall_;
  Offer newest_;
  std::optional<Offer> former_;            // while the newest is rolled out: what the others get
  std::optional<fleet::Rollout> rollout_;  // the same
  std::list<Held> held_;
  DurableWatch watch_;
  Event watch_event_;
  Event tick_;
  Workers& workers_;
  const std::shared_ptr<fleet::ReportStore> store_;
  fleet::FleetReports reports_;
  program::Repeats store_troubles_;
  std::optional<fleet::RolloutProgress> unsaved_progress_;
  bool saving_ = false;
  Event save_;
};

}  // namespace daystream::serve
