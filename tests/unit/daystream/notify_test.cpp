// What a program tells systemd.
#include "program/notify.h"

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "support/notify_socket.h"
#include "support/temp_dir.h"

namespace {

using daystream::program::Notify;
using support::NotifySocket;

TEST_CASE("notify: who runs out of descriptors later on can still say that it lives", "[program]") {
  const support::TempDir dir;
  NotifySocket systemd(dir / "notify");
  setenv("NOTIFY_SOCKET", systemd.path().c_str(), 1);
  Notify notify;
  rlimit limit{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const rlimit none{0, limit.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  notify.ready();
  notify.status("working");
  REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  unsetenv("NOTIFY_SOCKET");
  CHECK(systemd.messages() == std::vector<std::string>{"READY=1", "STATUS=working"});
}

TEST_CASE("notify: a service manager that has started again hears the next message", "[program]") {
  const support::TempDir dir;
  std::optional<NotifySocket> systemd(dir / "notify");
  setenv("NOTIFY_SOCKET", systemd->path().c_str(), 1);
  Notify notify;
  notify.ready();
  systemd.reset();
  std::filesystem::remove(dir / "notify");
  notify.status("nobody hears this");
  systemd.emplace(dir / "notify");
  notify.stopping();
  unsetenv("NOTIFY_SOCKET");
  CHECK(systemd->messages() == std::vector<std::string>{"STOPPING=1"});
}

}  // namespace
