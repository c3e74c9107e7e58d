// The streams that are served: found by name, looked after, and sampled.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "program/repeats.h"
#include "serve/access.h"
#include "serve/answers.h"
#include "serve/libevent.h"
#include "serve/served.h"
#include "serve/workers.h"

namespace daystream::serve {

// Threads: the loop's one. Not movable: libevent keeps its address.
class Streams {
 public:
  // How the consumer groups in a stream's directory are, given how they were. Any thread calls
  // it, and it says itself what goes wrong. Empty: no group is shown.
  using GroupStatuses = std::vector<sharing::GroupStatus>;
  using Groups =
      std::function<GroupStatuses(const std::filesystem::path& directory, const GroupStatuses&)>;

  Streams(event_base* loop, Workers& workers, Groups groups);
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;

  // `argument`: DIR, or NAME=DIR. Throws ConfigError, IoError.
  void add(const std::string& argument);
  // DIR, of the only stream, or NAME=DIR. Throws ConfigError.
  void add_snapshots(const std::string& argument);
  // Once all are there: begins to sample them, and to let go of followers whose hosts are gone.
  void start();

  const ServedStreams& all() const noexcept { return all_; }
  // One that may not be seen is as if it were not there. Throws HttpError: 404, or 503 while its
  // directory is not where it was.
  Served& find(const std::string& name, const Grant& grant);

  // `reply`, once what is known of the streams that `grant` may see is not older than a second.
  void answer_sampled(Answers& answers, const Request& request, const Grant& grant,
                      Answers::Reply reply);

  // A directory that is not there as it was is served to nobody: followers would wait forever, or
  // get another stream's lines. False: none is left.
  bool look_at_places() noexcept;
  // What is lost, and what to do; empty as long as one is there.
  std::string all_lost() const;
  static const char* lost_hint() noexcept;

  // To be called by a follower or a download that has ended: it goes once that has returned.
  void bury_soon() { bury_.start(std::chrono::microseconds(0)); }

 private:
  // What is known of a stream and takes long to find out.
  struct Known {
    StreamSample stream;
    GroupStatuses groups;
  };
  using Samples = std::map<std::string, Known>;
  static Known known(const Served& served);
  void find_out(const std::string& name, Known& known) const;  // any thread
  static void put(Served& served, Known known);
  void sample(bool is_step) noexcept;
  void drop_dead() noexcept;
  void bury_ended();

  event_base* loop_;
  Workers& workers_;
  Groups groups_;
  Event bury_;
  Event sample_;
  Event dead_;
  bool sampling_ = false;
  program::Repeats sample_troubles_;  // of who takes samples
  ServedStreams all_;                 // the last: followers that go say so to bury_
};

}  // namespace daystream::serve
