#include "world/part.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <thread>

namespace fault {

namespace {

const std::vector<std::string>& calls() {
  static const std::vector<std::string> all = {
      "write",  "pwrite", "read",   "pread", "fsync", "fdatasync",         "open",
      "rename", "mmap",   "unlink", "link",  "mkdir", "inotify_add_watch", "ftruncate"};
  return all;
}

}  // namespace

Part::Part(std::string name, std::vector<std::string> argv, const Setting& setting)
    : name_(std::move(name)),
      argv_(std::move(argv)),
      faults_({.calls = calls(),
               .path_prefix = setting.below.string() + "/",
               .except = {"/" + setting.except},
               .log_syncs = true,
               .keep_synced = setting.keep_synced,
               .open_for_write_only = false}),
      clock_(setting.clock) {}

void Part::start() {
  if (process_) words_ += process_->err();
  auto env = faults_.env();
  if (clock_ != nullptr) {
    for (auto& [name, value] : clock_->env()) {
      const auto same = std::find_if(env.begin(), env.end(), [&named = name](const auto& other) {
        return other.first == named;
      });
      if (same == env.end()) {
        env.emplace_back(name, value);
      } else {
        same->second += ":" + value;  // LD_PRELOAD
      }
    }
  }
  process_.emplace(argv_, support::Process::Options{.env = std::move(env)});
}

void Part::kill() {
  process_->signal(SIGKILL);
  process_->wait();
}

std::string Part::arm(Random& random) {
  static constexpr int kErrors[] = {EIO, ENOSPC, EMFILE, ENOMEM};
  const support::FaultPreload::Strike strike{.in = 1 + random.below(40),
                                             .sticky = random.one_in(3),
                                             .short_write = random.one_in(4),
                                             .error = kErrors[random.below(4)]};
  faults_.arm(strike);
  return fmt::format("{}: {}{} in {} calls", name_, strike.short_write ? "a short write, " : "",
                     std::strerror(strike.error), strike.in) +
         (strike.sticky ? " and from then on" : "");
}

void Part::stop_for(std::chrono::milliseconds length) {
  process_->signal(SIGSTOP);
  std::this_thread::sleep_for(length);
  process_->signal(SIGCONT);
}

void Part::starve(std::size_t more_bytes, std::chrono::milliseconds length) {
  std::ifstream statm("/proc/" + std::to_string(process_->pid()) + "/statm");
  std::size_t pages = 0;
  statm >> pages;
  const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
  const rlimit little{pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) + more_bytes,
                      RLIM_INFINITY};
  prlimit(process_->pid(), RLIMIT_AS, &little, nullptr);
  std::this_thread::sleep_for(length);
  prlimit(process_->pid(), RLIMIT_AS, &none, nullptr);
}

std::string Part::tend() {
  if (process_->running()) return "";
  const support::Exit exit = process_->wait();
  const std::string said = process_->err();
  ++ends_;
  start();
  if (exit == support::Exit{1, 0}) return "";
  return fmt::format("{} ended with {} (signal {}): {}", name_, exit.code, exit.signal, said);
}

}  // namespace fault
