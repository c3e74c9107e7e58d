#include "world/part.h"

#include <fmt/format.h>

#include <cerrno>
#include <csignal>
#include <cstring>
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

Part::Part(std::string name, std::vector<std::string> argv, const std::filesystem::path& below,
           const std::string& except)
    : name_(std::move(name)),
      argv_(std::move(argv)),
      faults_({.calls = calls(),
               .path_prefix = below.string() + "/",
               .except = {"/" + except},
               .log_syncs = true,
               .open_for_write_only = false}) {}

void Part::start() {
  if (process_) words_ += process_->err();
  process_.emplace(argv_, support::Process::Options{.env = faults_.env()});
}

void Part::kill() {
  process_->signal(SIGKILL);
  process_->wait();
}

std::string Part::arm(Random& random) {
  static constexpr int kErrors[] = {EIO, ENOSPC, EMFILE, ENOMEM, EINTR};
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
