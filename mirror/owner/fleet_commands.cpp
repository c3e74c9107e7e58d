#include "owner/fleet_commands.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "config/fleet_config.h"
#include "daystream/error.h"
#include "daystream/unique_fd.h"
#include "owner/own_program.h"
#include "program/harmless.h"
#include "program/hint.h"
#include "program/host_command.h"
#include "src/calendar.h"
#include "src/write_all.h"

namespace deltamirror {

using daystream::program::CommandOutcome;
using daystream::program::HostCommand;
using nlohmann::json;
using nlohmann::ordered_json;
using std::chrono::sys_seconds;

namespace {

constexpr std::size_t kMostTold = 8;  // of those that are over
constexpr std::size_t kMostToldAgain = 16;
constexpr std::size_t kMostOutput = 8192;  // of a child: the last of it counts
// One whose disk or server hangs hears no signal. None of them leaves anything half.
constexpr std::chrono::seconds kGrace{5};
constexpr const char* kEnded = "\"deltamirror run\" ended meanwhile; it is not begun again";
constexpr const char* kAskAgain = "look whether it was done, and ask again where it was not";

sys_seconds now() {
  return daystream::at_second(std::time(nullptr));
}

std::string words_of(const HostCommand& command) {
  return daystream::program::command_words(command.kind, command.arguments);
}

// What a child writes, as far as it is needed.
class Output {
 public:
  Output() {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) throw daystream::IoError("could not make a pipe", errno);
    reads_ = daystream::UniqueFd(fds[0]);
    writes_ = daystream::UniqueFd(fds[1]);
    fcntl(reads_.get(), F_SETFL, O_NONBLOCK);
  }
  int for_child() const noexcept { return writes_.get(); }
  void begun() noexcept { writes_.reset(); }
  int fd() const noexcept { return reads_.get(); }  // -1: it has ended
  void take() {
    std::array<char, 4096> part{};
    for (;;) {
      const ssize_t size = read(reads_.get(), part.data(), part.size());
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return;
      if (size == 0) return reads_.reset();
      text_.append(part.data(), static_cast<std::size_t>(size));
      if (text_.size() > kMostOutput) text_.erase(0, text_.size() - kMostOutput);
    }
  }
  // The last line that says what has become of it, without our name before it, and with the hint
  // behind it. Whoever reads it cannot ask this program for more of its help.
  std::string last_words() const {
    constexpr std::string_view kHint = "HINT: ";
    std::string last;
    std::string hint;
    for (std::size_t at = 0; at < text_.size();) {
      const std::size_t end = std::min(text_.find('\n', at), text_.size());
      const std::string line = text_.substr(at, end - at);
      at = end + 1;
      if (line.empty() || line.starts_with("Try \"")) continue;
      const bool is_hint = line.starts_with(kHint);
      (is_hint ? hint : last) = is_hint ? line.substr(kHint.size()) : line;
      if (!is_hint) hint.clear();
    }
    constexpr std::string_view kName = "deltamirror: ";
    if (last.starts_with(kName)) last.erase(0, kName.size());
    // One is not to be cut off for a reason that is too long.
    const std::size_t room = daystream::program::kMostResultBytes * 2 / 3;
    return daystream::program::with_hint(std::string(daystream::program::beginning_of(last, room)),
                                         hint);
  }

 private:
  daystream::UniqueFd reads_;
  daystream::UniqueFd writes_;
  std::string text_;
};

void end_child(daystream::program::Child& child) {
  child.signal(SIGTERM);
  const auto patience = std::chrono::steady_clock::now() + kGrace;
  while (!child.end() && std::chrono::steady_clock::now() < patience) {
    daystream::WaitSet{child.fd()}.wait_until(patience);
  }
  child.signal(SIGKILL);
  child.wait();
}

// A configuration as a file that is nowhere: it may have what others are not to read.
daystream::UniqueFd file_of_config(const std::string& text) {
  daystream::UniqueFd fd = file_in_memory();
  if (!daystream::write_all(fd.get(), text)) {
    throw daystream::IoError("could not write a file in memory", errno);
  }
  return fd;
}

}  // namespace

std::vector<std::string> FleetCommands::parse_kinds(const std::string& list) {
  std::vector<std::string> kinds;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t end = std::min(list.find(',', at), list.size());
    const std::string kind = list.substr(at, end - at);
    at = end + 1;
    if (!daystream::program::is_command_kind(kind)) {
      throw daystream::ConfigError(
          fmt::format("\"{}\" is no command that a host can accept", kind),
          fmt::format("there are {}", fmt::join(daystream::program::command_kinds(), ", ")));
    }
    kinds.push_back(kind);
  }
  return kinds;
}

FleetCommands::FleetCommands(std::string mirror, std::vector<std::string> kinds,
                             const FleetConfig& config, std::optional<std::string> conninfo,
                             daystream::program::Signals& signals)
    : mirror_(std::move(mirror)),
      kinds_(std::move(kinds)),
      config_(config),
      conninfo_(std::move(conninfo)),
      signals_(signals) {}

// A damaged record is no reason to keep readers waiting: but nothing is begun then.
void FleetCommands::begin() {
  const std::lock_guard lock(mutex_);
  try {
    record_ = CommandRecord::load(mirror_);
  } catch (const daystream::Error& e) {
    spdlog::error("no commands are taken: {}", daystream::program::with_hint(e.what(), e.hint()));
    return;
  }
  bool any = false;
  for (const CommandRecord::Entry& entry : record_.entries()) {
    if (entry.outcome.is_final()) continue;
    any = true;
    CommandOutcome& outcome = record_.find(entry.outcome.id)->outcome;
    const bool restarted = entry.kind == "restart";
    outcome.state = restarted ? "done" : "interrupted";
    outcome.result = restarted ? "started again" : daystream::program::with_hint(kEnded, kAskAgain);
    outcome.at = now();
    spdlog::info("command {} ({}): {}", outcome.id, entry.kind, outcome.result);
  }
  if (any) save();
  paused_ = record_.paused.has_value();
  is_owned_ = true;
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void FleetCommands::end() noexcept {
  {
    const std::lock_guard lock(mutex_);
    is_owned_ = false;
    waiting_.clear();
  }
  thread_ = std::jthread();
}

void FleetCommands::hear(const json& answer) {
  const auto list = [&](const char* key) {
    const auto found = answer.is_object() ? answer.find(key) : answer.end();
    return answer.is_object() && found != answer.end() && found->is_array() ? *found
                                                                            : json::array();
  };
  const std::lock_guard lock(mutex_);
  if (!is_owned_) return;
  asked_again_.clear();
  for (const json& each : list("commands")) {
    const auto command = daystream::program::parse_command(each);
    if (!command) {
      spdlog::warn("the server gives a command that this version does not know");
      continue;
    }
    if (record_.knows(*command)) {
      asked_again_.insert(command->id);
      continue;
    }
    const bool waits = std::any_of(waiting_.begin(), waiting_.end(),
                                   [&](const auto& other) { return other->id == command->id; });
    if (!waits) waiting_.push_back(std::make_shared<const HostCommand>(*command));
  }
  for (const json& id : list("withdrawn")) {
    if (id.is_string()) withdrawn_.insert(id.get<std::string>());
  }
  news_.notify_all();
  nudge_.wake();
}

void FleetCommands::tell(ordered_json& report) {
  const std::lock_guard lock(mutex_);
  report["accept_commands"] = kinds_;
  ordered_json told = ordered_json::array();
  const auto& entries = record_.entries();
  std::size_t over = 0;
  std::size_t again = 0;
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    const bool is_asked = asked_again_.contains(entry->outcome.id) && again++ < kMostToldAgain;
    if (entry->outcome.is_final() && !is_asked && ++over > kMostTold) continue;
    told.push_back(to_json(entry->outcome));
  }
  report["commands"] = std::move(told);
}

std::shared_ptr<const HostCommand> FleetCommands::next(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (!news_.wait(lock, stop, [this] { return !waiting_.empty(); })) return nullptr;
  auto command = std::move(waiting_.front());
  waiting_.pop_front();
  return command;
}

void FleetCommands::run(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] { nudge_.wake(); });
  while (!stop.stop_requested() && !restarts_) {
    try {
      if (const auto command = next(stop)) carry_out(*command, stop);
    } catch (const std::exception& e) {
      spdlog::error("commands: {}", e.what());
    }
  }
}

// Empty: it may be carried out. The host's own list decides, whatever the server has made of it.
std::string FleetCommands::refusal_of(const HostCommand& command) const {
  if (std::find(kinds_.begin(), kinds_.end(), command.kind) == kinds_.end()) {
    return daystream::program::with_hint(
        fmt::format("this host accepts no \"{}\": --accept-commands has {}", command.kind,
                    fmt::join(kinds_, ",")),
        "start its \"deltamirror run\" with that, too, and ask again");
  }
  return {};
}

// True: on disk. Where it cannot be it is not begun, and is given again.
bool FleetCommands::write_down(const HostCommand& command) {
  const std::lock_guard lock(mutex_);
  record_.add(command, now());
  try {
    record_.save(mirror_);
    return true;
  } catch (const daystream::Error& e) {
    record_.drop(command.id);
    spdlog::error("could not begin command {}: {}", command.id,
                  daystream::program::with_hint(e.what(), e.hint()));
    return false;
  }
}

void FleetCommands::carry_out(const HostCommand& command, const std::stop_token& stop) {
  if (!write_down(command)) return;
  spdlog::info("command {} by {}: {}", command.id,
               daystream::program::harmless_words(command.author, 100), words_of(command));
  std::optional<Paused> paused;
  Done done;
  if (now() >= command.expires) {
    done = {"expired", daystream::program::with_hint(
                           fmt::format("it expired at {}", daystream::utc_text(command.expires)),
                           "look at the host's clock, and ask again with a later --expires")};
  } else if (std::string refusal = refusal_of(command); !refusal.empty()) {
    done = {"refused", std::move(refusal)};
  } else {
    if (command.kind == "pause") paused = Paused{command.id, command.author, now()};
    done = act(command, stop);
  }
  if (done.state == "running") return;  // to restart: the next start says that it is done
  finish(command, done, paused);
}

// What it changes of the mirror's standing is written with it.
void FleetCommands::finish(const HostCommand& command, const Done& done,
                           const std::optional<Paused>& paused) {
  spdlog::info("command {} ({}) {}{}{}", command.id, command.kind, done.state,
               done.result.empty() ? "" : ": ", done.result);
  const std::lock_guard lock(mutex_);
  if (CommandRecord::Entry* const entry = record_.find(command.id)) {
    entry->outcome = {
        command.id, done.state,
        daystream::program::harmless_words(done.result, daystream::program::kMostResultBytes),
        now()};
  }
  if (done.state == "done" && command.kind == "pause" && !record_.paused) record_.paused = paused;
  if (done.state == "done" && command.kind == "continue") record_.paused.reset();
  save();
  withdrawn_.erase(command.id);
  if (paused_.exchange(record_.paused.has_value()) != record_.paused.has_value()) changed_.wake();
}

FleetCommands::Done FleetCommands::act(const HostCommand& command, const std::stop_token& stop) {
  if (command.kind == "pause") {
    return {"done", paused_ ? "it stood still already" : "the mirror stands still at a commit"};
  }
  if (command.kind == "continue") {
    return {"done", paused_ ? "the mirror goes on" : "it did not stand still"};
  }
  if (command.kind == "restart") {
    restarts_ = true;
    signals_.request_stop();
    return {"running", ""};
  }
  // The owner takes it up once it goes on: nobody could tell it to, as one comes after the other.
  if (command.kind == "reseed" && paused_) {
    return {"failed",
            daystream::program::with_hint("the mirror is paused", "ask it to continue first")};
  }
  try {
    return run_child(command, stop);
  } catch (const daystream::Error& e) {
    return {"failed", daystream::program::with_hint(e.what(), e.hint())};
  }
}

// Each value is an argument of its own, behind the option that it belongs to.
std::vector<std::string> FleetCommands::arguments_of(const HostCommand& command) const {
  const json& given = command.arguments;
  const std::string verb = command.kind == "sample" ? "verify" : command.kind;
  std::vector<std::string> argv = {own_path(), verb, mirror_};
  if (verb == "snapshot") {
    const auto folder = std::filesystem::absolute(mirror_).parent_path() / "snapshots";
    std::filesystem::create_directories(folder);
    argv.push_back(folder.string());
    if (given.contains("keep")) argv.push_back("--keep=" + given["keep"].get<std::string>());
    return argv;
  }
  if (verb == "reseed") {
    for (const json& table : given["tables"]) argv.push_back("--table=" + table.get<std::string>());
    if (given.contains("source")) argv.push_back("--source=" + given["source"].get<std::string>());
    if (given.value("whole", false)) argv.emplace_back("--whole");
    return argv;  // the owner knows how its sources are reached
  }
  if (given.contains("size")) argv.push_back("--sample=" + given["size"].get<std::string>());
  if (conninfo_) argv.push_back("--dbname=" + *conninfo_);
  argv.emplace_back("--config=/dev/fd/3");
  return argv;
}

bool FleetCommands::is_withdrawn(const std::string& id) {
  const std::lock_guard lock(mutex_);
  return withdrawn_.contains(id);
}

FleetCommands::Done FleetCommands::run_child(const HostCommand& command,
                                             const std::stop_token& stop) {
  Output out;
  Output err;
  const daystream::UniqueFd config = file_of_config(config_.text_in_force());
  const auto child =
      start_own(arguments_of(command),
                {.out = out.for_child(), .err = err.for_child(), .config = config.get()});
  out.begun();
  err.begun();
  while (!child->end()) {
    daystream::WaitSet{out.fd(), err.fd(), child->fd(), nudge_.fd()}.wait(
        std::chrono::milliseconds(1000));
    nudge_.clear();
    for (Output* const each : {&out, &err}) {
      if (each->fd() >= 0) each->take();
    }
    const bool withdrawn = is_withdrawn(command.id);
    if (!withdrawn && !stop.stop_requested()) continue;
    end_child(*child);
    if (!withdrawn) return {"interrupted", daystream::program::with_hint(kEnded, kAskAgain)};
    return {"withdrawn", command.kind == "reseed" ? "the tables are copied all the same" : ""};
  }
  for (Output* const each : {&out, &err}) {
    if (each->fd() >= 0) each->take();
  }
  if (child->wait().is_good()) return {"done", out.last_words()};
  const std::string said = err.last_words();
  if (!said.empty()) return {"failed", said};
  return {"failed",
          daystream::program::with_hint(fmt::format("its process ended {}", child->wait().text()),
                                        "look at the log of the host, and ask again")};
}

void FleetCommands::save() noexcept {
  try {
    record_.save(mirror_);
  } catch (const std::exception& e) {
    spdlog::error("{}", e.what());
  }
}

void start_again() {
  std::ifstream own("/proc/self/cmdline", std::ios::binary);
  const std::string line((std::istreambuf_iterator<char>(own)), std::istreambuf_iterator<char>());
  std::vector<std::string> words;
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t end = std::min(line.find('\0', at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string path = own_path();
  spdlog::info("starting \"{}\" again", path);
  execv(path.c_str(), argv.data());
  throw daystream::IoError(fmt::format("could not start \"{}\" again", path), errno);
}

}  // namespace deltamirror
