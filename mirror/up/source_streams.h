// The streams of the sources of one `up`: made, kept written, and changed with the configuration.
#pragma once

#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "owner/stream_keeper.h"
#include "program/handover.h"
#include "up/stream_maker.h"
#include "up/streamers.h"

namespace deltamirror {

// Threads: one of its own makes the streams of a configuration that comes while the mirror is
//          followed, and changes what one holds; what is public is for `up`'s, but stopped(),
//          let_go() and brings_back(), which are for any.
class SourceStreams : public StreamKeeper {
 public:
  SourceStreams(const UpOptions& options, StreamMaker& maker,
                const daystream::program::Signals& signals);
  ~SourceStreams() override { end(); }

  enum class Need {
    All,  // one that is given up ends all
    Any   // all must be
  };
  // Starts the deltastreams, once the maker has prepared them, and waits until each is there, or,
  // where the mirror has its source already, was given up.
  void begin(std::vector<OwnStream> streams, Need need);
  void set_need(Need need);
  // Ends them, and what it makes.
  void end();

  // A signal says so, or none is left that could go on.
  bool stopped() const { return signals_.stop_requested() || streamers_.is_over(); }
  int stop_fd() const noexcept { return streamers_.fd(); }  // readable: is_over()
  // nullptr: it is not over, or a signal has come. Until end().
  std::exception_ptr why_over() const;

  void prepare(std::shared_ptr<const MirrorConfig> config) override;
  int fd() const noexcept override { return news_.fd(); }
  void clear() noexcept override { news_.clear(); }
  std::shared_ptr<const MirrorConfig> prepared() override;
  std::map<std::string, std::exception_ptr> failures() const override {
    return streamers_.failures();
  }
  void settle(Outcome outcome) override;
  void hold(Addition addition) override;
  std::optional<Addition> held() override;
  void let_go(const std::string& source, const std::vector<TableRequest>& tables) override;
  std::string brings_back(const MirroredTable& table) const override;

 private:
  using Streams = std::vector<OwnStream>;
  struct Work {
    // To be prepared; nullptr: what is not in force is to go.
    std::optional<std::shared_ptr<const MirrorConfig>> config = {};
    std::deque<Addition> additions = {};
    bool fit = false;  // to what the mirror has
  };
  // Between the threads.
  struct State {
    std::mutex mutex;
    Streams in_force;
    std::size_t most = 1;                        // that may be given up of them
    std::shared_ptr<const MirrorConfig> asked;   // for last
    std::shared_ptr<const MirrorConfig> config;  // whose streams are there
    Streams streams;                             // these
    std::exception_ptr error;                    // why they cannot be
    Work work;                                   // to be done
    std::deque<Addition> held;                   // done
    std::vector<TableRequest> coming;            // held for copies that have not come to their end
  };

  void run(const std::stop_token& stop);
  void put(const std::function<void(Work&)>& add);
  void extend(Addition addition, const std::stop_token& stop);
  void extend(OwnStream& stream, const Addition& addition, const std::stop_token& stop);
  void fit();
  std::vector<TableRequest> needed(const OwnStream& stream);
  void replace_in_force(const OwnStream& stream);
  void prepare(const std::shared_ptr<const MirrorConfig>& config, const std::stop_token& stop);
  Streams make(const MirrorConfig& config, const Streams& in_force, const daystream::Stop& stop);
  void tidy();
  void count_those_in_force();
  void say_what_left(const Streams& streams);
  Streams in_force();
  void start(const OwnStream& stream);
  void wait_for(const Streams& streams, const daystream::Stop& stop) const;

  const UpOptions& options_;
  StreamMaker& maker_;
  const daystream::program::Signals& signals_;
  State state_;
  daystream::program::Mailbox<bool> has_work_;
  std::set<std::string> told_;  // slots that stay
  const daystream::WakeFd news_;
  Streamers streamers_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace deltamirror
