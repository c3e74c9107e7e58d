#include "owner/unix_socket.h"

#include <sys/resource.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "support/scratch_dir.h"

using namespace deltamirror;

namespace {

// As long as it lives, this process cannot open another descriptor.
class NoMoreDescriptors {
 public:
  NoMoreDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const daystream::UniqueFd lowest(dup(STDIN_FILENO));
    rlimit none = before_;
    none.rlim_cur = static_cast<rlim_t>(lowest.get());
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoMoreDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
  NoMoreDescriptors(const NoMoreDescriptors&) = delete;
  NoMoreDescriptors& operator=(const NoMoreDescriptors&) = delete;

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("socket: one that cannot be taken now holds up nobody, and is taken later", "[socket]") {
  const support::ScratchDir folder;
  SocketServer server(folder / "socket", 2);
  const daystream::UniqueFd client = connect_to(folder / "socket");
  {
    const NoMoreDescriptors none;
    CHECK_FALSE(server.next(0));
  }
  const auto event = server.next(0);
  REQUIRE(event);
  CHECK(event->opened);
  CHECK_FALSE(server.next(1));
}

TEST_CASE("socket: those beyond the limit are closed as they come", "[socket]") {
  const support::ScratchDir folder;
  SocketServer server(folder / "socket", 1);
  const daystream::UniqueFd client = connect_to(folder / "socket");
  CHECK_FALSE(server.next(1));
  char byte = 0;
  CHECK(read(client.get(), &byte, 1) == 0);
}
