// A child program of a test: started, fed, signalled, waited for, and never left behind.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/fd.h"
#include "support/wait.h"

namespace support {

using Texts = std::vector<std::string>;

// How a process ended: by exit() with `code`, or by a signal (then `code` is -1).
struct Exit {
  int code = -1;
  int signal = 0;
  bool operator==(const Exit&) const = default;
};

// A user to run as. `caller()` changes nothing; `server()` is who may run PostgreSQL: "postgres"
// (or DELTAFLOOD_TEST_USER) when we are root, else the caller.
struct User {
  std::optional<uid_t> uid;
  gid_t gid = 0;
  static User caller() { return {}; }
  static User named(const std::string& name);
  static User server();
};

// Starts `argv` at once. Standard output and error are gathered in memory-backed files, so a child
// never blocks on a test that does not read, and what it wrote can be read while it runs.
//
// Ownership:  the destructor kills (SIGKILL) and reaps a child that still runs. The kernel kills
//             it too when the thread that started it ends: start children from a thread that lives.
// Threads:    one thread per Process.
class Process {
 public:
  struct Options {
    std::vector<std::pair<std::string, std::string>> env = {};  // added to ours
    std::string input = {};                                     // standard input; then end of file
    bool input_pipe = false;  // instead: write_input() and close_input()
    User user = {};
    std::string folder = {};  // working directory; empty: ours
    int input_fd = -1;        // instead of `input`: an open descriptor, lent
    int output_fd = -1;       // instead of gathering standard output: lent
    int error_fd = -1;        // the same for standard error
    int death_signal = 9;     // what the kernel sends when we die; SIGKILL
    bool own_group = false;   // a process group of its own, so that signal_group() reaches all
  };

  explicit Process(std::vector<std::string> argv) : Process(std::move(argv), Options{}) {}
  Process(std::vector<std::string> argv, const Options&);
  ~Process();
  Process(Process&&) noexcept;
  Process& operator=(Process&&) noexcept;

  pid_t pid() const noexcept { return pid_; }
  bool running();
  void signal(int number);
  void signal_group(int number);  // with own_group
  std::optional<Exit> wait(std::chrono::milliseconds deadline);
  Exit wait();  // throws, with the output so far, when it does not end within kPatience

  void write_input(std::string_view);  // throws when the child has closed its end
  void close_input();

  std::string out() const;  // what it wrote so far
  std::string err() const;

  // Bytes of memory resident now, and the most there ever were. 0: it has ended.
  std::size_t resident_bytes() const;
  std::size_t peak_resident_bytes() const;

 private:
  std::string name_;
  pid_t pid_ = -1;
  std::optional<Exit> exit_;
  Fd pidfd_, input_, out_, err_;
};

struct Result {
  Exit exit;
  std::string out, err;
  bool ok() const { return exit == Exit{0, 0}; }
};

// Runs a program to its end.
Result run(std::vector<std::string> argv, const Process::Options& = {},
           std::chrono::milliseconds deadline = kPatience);
// The same, returning standard output; throws with standard error when it fails.
std::string run_ok(std::vector<std::string> argv, const Process::Options& = {},
                   std::chrono::milliseconds deadline = kPatience);

// The path of one of our programs in this build: deltastream, daystream or deltamirror.
// DELTAFLOOD_BUILD_DIR in the environment names another build.
std::string program(const std::string& name);
std::string build_dir();

}  // namespace support
