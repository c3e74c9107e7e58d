#include "support/temp_dir.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <vector>

namespace support {

namespace {

// `read` returns at end of file: when every holder of the pipe's other end, which is this process
// alone, is gone. SIGQUIT is PostgreSQL's immediate shutdown.
constexpr const char* kReaper = R"(
read -r word
[ "$word" = done ] && exit 0
pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ]; then
  kill -QUIT "$pid" 2>/dev/null
  tries=0
  while kill -0 "$pid" 2>/dev/null && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
fi
[ "$word" = keep ] || rm -rf "$0"
)";

[[noreturn]] void failed_to(const std::string& action) {
  throw std::system_error(errno, std::generic_category(), action);
}

std::string keep() {
  const char* value = std::getenv("DELTAFLOOD_TEST_KEEP");
  return value == nullptr ? "" : value;
}

std::mutex live_mutex;
std::vector<TempDir*> live;

}  // namespace

TempDir::TempDir() {
  const char* base = std::getenv("TMPDIR");
  // A socket's path is at most 107 bytes, so a long TMPDIR is of no use.
  const bool usable = base != nullptr && base[0] == '/' && std::strlen(base) <= 60;
  std::string name = std::string(usable ? base : "/tmp") + "/deltaflood-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) failed_to("could not create folder \"" + name + "\"");
  path_ = name;
  if (chmod(name.c_str(), 0711) != 0) failed_to("could not open folder \"" + name + "\" to others");
  if (!keep().empty() && keep() != "0" && keep() != "failed") return;

  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) failed_to("could not create a pipe");
  const Fd waiting(ends[0]);
  alive_ = Fd(ends[1]);
  reaper_ = fork();
  if (reaper_ < 0) failed_to("could not start the reaper");
  if (reaper_ == 0) {
    setsid();  // a Ctrl-C at the terminal is for the test, not for who cleans up after it
    dup2(waiting.get(), STDIN_FILENO);
    const int null = open("/dev/null", O_RDWR);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    execl("/bin/sh", "sh", "-c", kReaper, path_.c_str(), nullptr);
    _exit(127);
  }
  const std::lock_guard lock(live_mutex);
  live.push_back(this);
}

TempDir::~TempDir() {
  if (reaper_ < 0) return;
  {
    const std::lock_guard lock(live_mutex);
    live.erase(std::find(live.begin(), live.end(), this));
  }
  std::error_code ignored;
  if (!kept_) std::filesystem::remove_all(path_, ignored);
  if (!ignored) {
    const ssize_t written = write(alive_.get(), kept_ ? "keep\n" : "done\n", 5);
    static_cast<void>(written);  // it then tries once more to remove what is left
  }
  alive_.reset();
  waitpid(reaper_, nullptr, 0);
}

void TempDir::keep_all() {
  if (keep() != "failed") return;
  const std::lock_guard lock(live_mutex);
  for (TempDir* dir : live) {
    if (!dir->kept_) std::fprintf(stderr, "kept: %s\n", dir->path_.c_str());
    dir->kept_ = true;
  }
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("could not read file \"" + path.string() + "\"");
  std::ostringstream out;
  out << in.rdbuf();
  return std::move(out).str();
}

namespace {

void put(const std::filesystem::path& path, std::string_view content, std::ios::openmode mode) {
  std::ofstream out(path, std::ios::binary | mode);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.close();
  if (!out) throw std::runtime_error("could not write file \"" + path.string() + "\"");
}

}  // namespace

void write_file(const std::filesystem::path& path, std::string_view content) {
  put(path, content, std::ios::trunc);
}

void append_file(const std::filesystem::path& path, std::string_view content) {
  put(path, content, std::ios::app);
}

}  // namespace support
