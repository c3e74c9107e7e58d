// Threads for work that grows with a transaction, with the days that are kept or with the followers
// there are: the loop, which everybody shares, does none of it.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "serve/libevent.h"
#include "src/waiting.h"

namespace daystream::serve {

// A peer that asks for much waits for itself: askers take turns, and one of them never occupies
// more than kMostOfOne threads.
//
// Threads: all calls from the loop's. The destructor waits for what runs, and forgets what waits.
class Workers {
 public:
  static constexpr std::size_t kThreads = 4;
  static constexpr std::size_t kMostOfOne = 2;
  static constexpr std::size_t kMostWaiting = 8192;

  using Finish = std::function<void()>;  // runs on the loop; throws nothing
  using Work = std::function<Finish()>;  // runs on a thread; throws nothing

  explicit Workers(event_base* loop);
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  ~Workers();

  // False: kMostWaiting wait already. `asker`: whose turn it takes.
  bool run(const std::string& asker, Work work);

 private:
  struct Asker {
    std::deque<Work> waiting;
    std::size_t running = 0;
  };
  void work();
  std::map<std::string, Asker>::iterator next_asker();
  void finish_all() noexcept;

  std::mutex mutex_;
  std::condition_variable_any wanted_;
  std::map<std::string, Asker> askers_;
  std::string last_;  // the one that had the last turn
  std::size_t waiting_ = 0;
  std::vector<Finish> finished_;
  std::stop_source stop_;
  WakeFd wake_;
  Event done_;
  std::vector<std::jthread> threads_;
};

}  // namespace daystream::serve
