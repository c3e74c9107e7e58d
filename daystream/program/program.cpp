#include "program/program.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <system_error>
#include <utility>

#include "program/harmless.h"
#include "program/hint.h"
#include "program/terminal_output.h"
#include "program/usage.h"

namespace daystream::program {

namespace {

// spdlog's own names are lower case; a person's eye finds WARN and ERROR faster.
class UpperLevel final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    static constexpr std::string_view kNames[] = {"TRACE", "DEBUG", "INFO", "WARN",
                                                  "ERROR", "FATAL", "OFF"};
    const std::string_view name = kNames[message.level];
    out.append(name.data(), name.data() + name.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<UpperLevel>();
  }
};

// The message, on one line that steers no terminal: peers and data have had a say in it.
class PlainText final : public spdlog::custom_flag_formatter {
 public:
  explicit PlainText(std::string begin) : begin_(std::move(begin)) {}
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string text =
        begin_ + harmless(std::string_view(message.payload.data(), message.payload.size()));
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<PlainText>(begin_);
  }

 private:
  const std::string begin_;
};

// The message as the inside of a JSON string.
class JsonText final : public spdlog::custom_flag_formatter {
 public:
  explicit JsonText(std::string begin) : begin_(std::move(begin)) {}
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string text =
        begin_ + harmless(std::string_view(message.payload.data(), message.payload.size()));
    for (const char c : text) {
      if (c == '"' || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonText>(begin_);
  }

 private:
  const std::string begin_;
};

// What the handlers may touch. The descriptors are made before they are installed and never closed.
std::atomic<bool> stop_flag{false};
std::atomic<bool> reload_flag{false};
std::atomic<bool> sent_stop{false};
int wake_fd = -1;
int stop_fd = -1;  // never cleared

extern "C" void on_signal(int number) {
  const int saved = errno;
  if (number == SIGHUP) {
    reload_flag.store(true);
  } else {
    sent_stop.store(true);
    stop_flag.store(true);
  }
  // A full eventfd is already readable, so a failure changes nothing.
  if (number != SIGHUP) eventfd_write(stop_fd, 1);
  eventfd_write(wake_fd, 1);
  errno = saved;
}

// That we were started with.
const mode_t given_umask = [] {
  const mode_t given = umask(0077);
  umask(given);
  return given;
}();
// What we write is all of someone's tables, or says something of them: the group may read, others
// not.
constexpr mode_t kOthersMayNot = 0027;

// Set by start_log(): a program that reads the log as JSON finds there, too, how this one ended.
std::atomic<bool> json_log{false};

// What each line begins with, set before there is a second thread.
std::string& line_begin() {
  static std::string begin;
  return begin;
}
std::string& last_words() {
  static std::string file;
  return file;
}

// It says also elsewhere why this program ends: where it cannot be written, nothing is lost.
void write_last_words(const std::string& text, const std::string& hint) noexcept {
  if (last_words().empty()) return;
  try {
    std::ofstream(last_words()) << harmless(text) << '\n' << harmless(hint) << '\n';
  } catch (...) {
    // No memory: whoever reads it knows the exit code.
  }
}

void report(const std::string& program, const std::string& text, const std::string& hint) noexcept {
  write_last_words(text, hint);
  if (json_log.load()) {
    spdlog::error("{}", with_hint(text, hint));
    return;
  }
  std::fprintf(stderr, "%s: %s%s\n", program.c_str(), line_begin().c_str(),
               harmless(text, Keep::Lines).c_str());
  if (!hint.empty()) std::fprintf(stderr, "HINT: %s\n", harmless(hint, Keep::Lines).c_str());
}

}  // namespace

void start_log(const std::string& program, const LogOptions& options) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  line_begin() =
      options.source.empty() ? "" : fmt::format("source \"{}\": ", harmless(options.source));
  formatter->add_flag<UpperLevel>('*')
      .add_flag<JsonText>('&', line_begin())
      .add_flag<PlainText>('|', line_begin());
  if (options.format == "json") {
    formatter->set_pattern(
        R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%*","program":"%n","message":"%&"})");
  } else {
    formatter->set_pattern("%Y-%m-%d %H:%M:%S.%eZ %* %n: %|");
  }
  auto logger =
      std::make_shared<spdlog::logger>(program, std::make_shared<spdlog::sinks::stderr_sink_mt>());
  json_log.store(options.format == "json");
  logger->set_formatter(std::move(formatter));
  logger->set_level(spdlog::level::from_str(options.level));
  logger->flush_on(spdlog::level::debug);
  spdlog::set_default_logger(std::move(logger));
}

void set_last_words(const std::string& file) {
  last_words() = file;
}

GivenUmask::GivenUmask() noexcept : ours_(umask(given_umask)) {}

GivenUmask::~GivenUmask() {
  umask(ours_);
}

int run(const std::string& program, const std::function<int()>& body) noexcept {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // a write then says EFBIG, which is waited for as a full disk is
  umask(given_umask | kOthersMayNot);
  const HarmlessStdout harmless_stdout;
  try {
    const int code = body();
    std::cout.flush();
    return code;
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) {  // --help and --version carry their text
      std::fputs(e.what(), stdout);
      return 0;
    }
    report(program, e.what(), {});
    const auto* const usage = dynamic_cast<const UsageError*>(&e);
    const std::string command = usage == nullptr || usage->command().empty()
                                    ? program
                                    : fmt::format("{} {}", program, usage->command());
    std::fprintf(stderr, "Try \"%s --help\" for more information.\n", command.c_str());
    return static_cast<int>(ExitCode::Usage);
  } catch (const IoError& e) {
    // The reader of our output has what it wanted (`… | head`).
    if (e.error_number() == EPIPE) return 0;
    report(program, e.what(), e.hint());
    return static_cast<int>(e.exit_code());
  } catch (const Error& e) {
    report(program, e.what(), e.hint());
    return static_cast<int>(e.exit_code());
  } catch (const std::filesystem::filesystem_error& e) {
    const IoError told(fmt::format("could not look at \"{}\"", e.path1().string()),
                       e.code().value());
    report(program, told.what(), told.hint());
    return static_cast<int>(told.exit_code());
  } catch (const std::system_error& e) {
    if (e.code().value() == EPIPE) return 0;  // the same, from fmt::print
    report(program, e.what(), {});
    return static_cast<int>(ExitCode::Failed);
  } catch (const std::exception& e) {
    report(program, e.what(), {});
    return static_cast<int>(ExitCode::Failed);
  }
}

Signals::Signals() {
  stop_flag = false;
  sent_stop = false;
  reload_flag = false;
  wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd < 0 || stop_fd < 0) throw IoError("could not create an event descriptor", errno);
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaction(number, &action, nullptr);
}

bool Signals::stop_requested() const noexcept {
  return stop_flag.load();
}
Stop Signals::stop() const {
  return {[] { return stop_flag.load(); }, stop_fd};
}
void Signals::request_stop() noexcept {
  stop_flag.store(true);
  eventfd_write(stop_fd, 1);
  eventfd_write(wake_fd, 1);
}
bool Signals::was_sent_stop() const noexcept {
  return sent_stop.load();
}
bool Signals::take_reload() noexcept {
  return reload_flag.exchange(false);
}
int Signals::fd() const noexcept {
  return wake_fd;
}

void Signals::clear() noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = read(wake_fd, &count, sizeof count);
}

}  // namespace daystream::program
