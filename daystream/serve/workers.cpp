#include "serve/workers.h"

#include <utility>

namespace daystream::serve {

Workers::Workers(event_base* loop) : done_(loop, wake_.fd(), true, [this] { finish_all(); }) {
  done_.start();
  for (std::size_t i = 0; i < kThreads; ++i) threads_.emplace_back([this] { work(); });
}

// All at once: one after the other, the rest would begin what is to be forgotten.
Workers::~Workers() {
  stop_.request_stop();
}

bool Workers::run(const std::string& asker, Work work) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_ >= kMostWaiting) return false;
    askers_[asker].waiting.push_back(std::move(work));
    ++waiting_;
  }
  wanted_.notify_one();
  return true;
}

// Who comes after the one that had the last turn, and may have another thread; end(): nobody.
std::map<std::string, Workers::Asker>::iterator Workers::next_asker() {
  auto at = askers_.upper_bound(last_);
  for (std::size_t seen = 0; seen < askers_.size(); ++seen, ++at) {
    if (at == askers_.end()) at = askers_.begin();
    if (!at->second.waiting.empty() && at->second.running < kMostOfOne) return at;
  }
  return askers_.end();
}

void Workers::work() {
  const std::stop_token stop = stop_.get_token();
  std::unique_lock lock(mutex_);
  for (;;) {
    auto asker = askers_.end();
    wanted_.wait(lock, stop, [&] { return (asker = next_asker()) != askers_.end(); });
    if (stop.stop_requested()) return;
    const std::string name = last_ = asker->first;
    const Work work = std::move(asker->second.waiting.front());
    asker->second.waiting.pop_front();
    ++asker->second.running;
    --waiting_;
    lock.unlock();
    Finish finish = work();
    lock.lock();
    finished_.push_back(std::move(finish));
    const auto done = askers_.find(name);
    if (--done->second.running == 0 && done->second.waiting.empty()) askers_.erase(done);
    wake_.wake();
    wanted_.notify_one();
  }
}

void Workers::finish_all() noexcept {
  wake_.clear();
  std::vector<Finish> finished;
  {
    const std::lock_guard lock(mutex_);
    finished.swap(finished_);
  }
  for (const Finish& finish : finished) finish();
}

}  // namespace daystream::serve
