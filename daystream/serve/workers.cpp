#include "serve/workers.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "daystream/error.h"

namespace daystream::serve {

Workers::Workers(event_base* loop)
    : wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      done_(loop, wake_.get(), true, [this] { finish_all(); }) {
  if (!wake_) throw IoError("could not create an event descriptor", errno);
  done_.start();
  for (std::size_t i = 0; i < kThreads; ++i) threads_.emplace_back([this] { work(); });
}

Workers::~Workers() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wanted_.notify_all();
  for (std::thread& thread : threads_) thread.join();
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
  std::unique_lock lock(mutex_);
  for (;;) {
    auto asker = askers_.end();
    wanted_.wait(lock, [&] { return stopping_ || (asker = next_asker()) != askers_.end(); });
    if (stopping_) return;
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
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto put = write(wake_.get(), &one, sizeof one);  // full is readable too
    wanted_.notify_one();
  }
}

void Workers::finish_all() noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = read(wake_.get(), &count, sizeof count);
  std::vector<Finish> finished;
  {
    const std::lock_guard lock(mutex_);
    finished.swap(finished_);
  }
  for (const Finish& finish : finished) finish();
}

}  // namespace daystream::serve
