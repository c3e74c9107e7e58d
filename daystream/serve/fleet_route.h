// GET /fleet/NAME: what a mirror is to hold by the newest revision, and answers that wait for the
// next one. POST /fleet/NAME/report: how it is, and what it is to do. GET /fleet: how all are.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fleet/fleet.h"
#include "fleet/reports.h"
#include "fleet/rollout.h"
#include "serve/answers.h"
#include "serve/command_desk.h"
#include "serve/held_answers.h"
#include "serve/libevent.h"
#include "serve/report_keeper.h"
#include "serve/request.h"
#include "serve/workers.h"
#include "wake.h"

namespace daystream::serve {

// Threads: the loop's one. Not movable: libevent keeps its address.
class FleetRoute {
 public:
  static constexpr const char* kName = "fleet";  // before the names of mirrors in URLs
  static constexpr std::uint64_t kMostWaitSeconds = 300;

  // `has_tokens`: only who has one may see anything. `stall`: a peer that takes nothing for so long
  // is let go. `workers` are to be gone first. Throws ConfigError where the directory has no
  // revision, NeedsPerson where the newest is damaged.
  FleetRoute(event_base* loop, Answers& answers, Workers& workers,
             const std::filesystem::path& directory, bool has_tokens, std::chrono::seconds stall);
  FleetRoute(const FleetRoute&) = delete;
  FleetRoute& operator=(const FleetRoute&) = delete;

  // Answers, now or later. Throws HttpError where it refuses.
  void route(const Request& request, const Grant& grant);
  bool may_see(const Grant& grant) const noexcept { return !has_tokens_ || !grant.fleet.empty(); }
  // Of all that is known now what `grant` lets one see; nullopt: nothing.
  std::optional<fleet::FleetView> view_for(const Grant& grant) const;
  // Looks whether there is a newer revision, as it does by itself when one is published.
  void look() noexcept;

 private:
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
  void watched() noexcept;
  void look_at_commands() noexcept;
  bool is_due(const MirrorRequest& asked, std::uint64_t known);
  void take(std::uint64_t number);
  void answer(const MirrorRequest& asked);
  Offer& offer_for(const std::string& name);
  void offer(Offer newest);
  void look_at_rollout() noexcept;
  void keep_progress(const fleet::RolloutProgress& before) noexcept;
  // Those whose answer is another one by now.
  void answer_due();

  Answers& answers_;
  const bool has_tokens_;
  const fleet::FleetDirectory directory_;
  Offer newest_;
  std::optional<Offer> former_;            // while the newest is rolled out: what the others get
  std::optional<fleet::Rollout> rollout_;  // the same
  DurableWatch watch_;
  Event watch_event_;
  ReportKeeper reports_;
  CommandDesk commands_;
  HeldAnswers held_;
};

}  // namespace daystream::serve
