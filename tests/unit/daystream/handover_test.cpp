// How threads hand over values, sleep, and are asked to stop; and how a file is replaced.
#include "program/handover.h"

#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <thread>

#include "daystream/error.h"
#include "daystream/stop.h"
#include "program/program.h"
#include "support/memory_dir.h"
#include "support/temp_dir.h"
#include "waiting.h"

using namespace daystream;
using namespace daystream::program;
using std::chrono::milliseconds;

namespace {

constexpr std::chrono::hours kNever{1};  // whoever waits for it would never end

}  // namespace

TEST_CASE("mailbox: the newest value counts, and is taken once", "[threads]") {
  Mailbox<int> box;
  CHECK_FALSE(box.try_take());
  box.put(1);
  box.put(2);
  CHECK(box.try_take() == 2);
  CHECK_FALSE(box.try_take());
  CHECK_FALSE(box.take(milliseconds{1}));
}

TEST_CASE("mailbox: a value that is there is taken after a request to stop", "[threads]") {
  Mailbox<int> box;
  std::stop_source stop;
  stop.request_stop();
  box.put(1);
  CHECK(box.take(stop.get_token()) == 1);
  CHECK_FALSE(box.take(stop.get_token()));
  CHECK_FALSE(box.take(stop.get_token(), kNever));
}

TEST_CASE("mailbox: who waits is woken by a value, and by a request to stop", "[threads]") {
  Mailbox<int> box;
  Mailbox<int> echo;
  std::jthread thread([&](const std::stop_token& stop) {
    while (const auto value = box.take(stop)) echo.put(*value);
    echo.put(-1);
  });
  box.put(7);
  CHECK(echo.take(kNever) == 7);
  thread.request_stop();
  CHECK(echo.take(kNever) == -1);
}

TEST_CASE("mailbox: its descriptor is quiet once what it told of was taken", "[threads]") {
  for (int round = 0; round < 300; ++round) {
    Mailbox<int> box;
    const WakeFd wake;
    {
      const std::jthread thread([&] { box.put(1, wake); });
      while (!box.try_take())
        std::this_thread::yield();  // not by the descriptor: as early as can be
      wake.clear();
    }
    REQUIRE_FALSE(WaitSet{wake.fd()}.wait(milliseconds{0}));
  }
}

TEST_CASE("queue: values come in order, then the end", "[threads]") {
  BoundedQueue<int> queue(2);
  std::jthread thread([&](const std::stop_token& stop) {
    for (int i = 0; i < 100; ++i) queue.push(stop, i);
    queue.close();
  });
  for (int i = 0; i < 100; ++i) CHECK(queue.pop() == i);
  CHECK_FALSE(queue.pop());
  CHECK(queue.ready(milliseconds{0}));
}

TEST_CASE("queue: the error of the other side comes after its values, once", "[threads]") {
  BoundedQueue<int> queue(2);
  CHECK_FALSE(queue.ready(milliseconds{1}));
  CHECK_FALSE(queue.try_pop());
  queue.push({}, 1);
  queue.close(std::make_exception_ptr(std::runtime_error("half a row")));
  CHECK(queue.try_pop() == 1);
  CHECK_THROWS_WITH(queue.pop(), "half a row");
  CHECK_FALSE(queue.pop());
}

TEST_CASE("queue: who waits for room is woken by a request to stop", "[threads]") {
  BoundedQueue<int> queue(1);
  Mailbox<bool> pushed;
  std::jthread thread([&](const std::stop_token& stop) {
    queue.push(stop, 1);
    pushed.put(queue.push(stop, 2));
  });
  queue.ready(kNever);
  thread.request_stop();
  CHECK(pushed.take(kNever) == false);
}

TEST_CASE("sleep: a request to stop ends it", "[threads]") {
  CHECK(program::sleep({}, milliseconds{1}));
  std::jthread thread(
      [](const std::stop_token& stop) { CHECK_FALSE(program::sleep(stop, kNever)); });
  thread.request_stop();
}

TEST_CASE("waiting: which descriptor is ready, and times that are over", "[threads]") {
  const WakeFd quiet;
  const WakeFd loud;
  loud.wake();
  loud.wake();
  WaitSet news{quiet.fd(), -1, loud.fd()};
  REQUIRE(news.wait(WaitSet::kForEver));
  CHECK(news.ready(loud.fd()));
  CHECK_FALSE(news.ready(quiet.fd()));
  CHECK_FALSE(news.ready(-1));
  loud.clear();
  CHECK_FALSE(news.wait(milliseconds{-5}));
  CHECK_FALSE(news.wait_until(std::chrono::steady_clock::time_point::min()));
  CHECK_FALSE(news.ready(loud.fd()));
}

TEST_CASE("replace file: whichever call fails, one of the two is there whole", "[files]") {
  for (std::uint64_t n = 1;; ++n) {
    CAPTURE(n);
    support::MemoryDir dir("memory");
    replace_file(dir, "name", "the old one");
    dir.fail_call(n, ENOSPC, false);
    bool threw = false;
    try {
      replace_file(dir, "name", "the new one, which is longer");
    } catch (const IoError&) {
      threw = true;
    }
    CHECK(threw == dir.failed());
    std::mt19937_64 random(n);
    for (const auto& after : {dir.after_power_loss(random), dir.after_kill()}) {
      const std::string text = after->bytes("name");
      CHECK((text == "the old one" || text == "the new one, which is longer"));
      if (!threw) CHECK(text == "the new one, which is longer");
    }
    dir.never_fail();
    replace_file(dir, "name", "the third");  // what was left behind is in nobody's way
    CHECK(dir.bytes("name") == "the third");
    if (!dir.failed()) break;
    CHECK(n < 20);
  }
}

TEST_CASE("replace file: a link that somebody has put there is not followed", "[files]") {
  const support::TempDir dir;
  const auto victim = dir / "victim";
  const auto real = real_dir(dir.path());
  replace_file(*real, "victim", "precious");
  REQUIRE(symlink(victim.c_str(), (dir / "name.new").c_str()) == 0);
  replace_file(*real, "name", "text", {.synced = false, .for_everybody = true});
  CHECK(read_whole(*real->open("victim")) == "precious");
  CHECK(read_whole(*real->open("name")) == "text");
  const auto mode = std::filesystem::status(dir / "name").permissions();
  CHECK((mode & std::filesystem::perms::others_read) != std::filesystem::perms::none);
}

// Who does not reload never clears the descriptor of signals: it must not stay readable for who
// waits for the end, which would be a loop that never sleeps.
TEST_CASE("signals: a reload wakes nobody who waits for a stop", "[threads]") {
  Signals signals;
  const Stop stop = signals.stop();
  raise(SIGHUP);
  CHECK_FALSE(WaitSet{stop.fd()}.wait(milliseconds(0)));
  CHECK(WaitSet{signals.fd()}.wait(milliseconds(0)));
  CHECK_FALSE(stop.requested());
  signals.clear();
  CHECK(signals.take_reload());
  CHECK_FALSE(signals.take_reload());

  raise(SIGTERM);
  signals.clear();
  CHECK(stop.requested());
  CHECK(WaitSet{stop.fd()}.wait(milliseconds(0)));
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) signal(number, SIG_DFL);
}

TEST_CASE("stop: asks a token or a condition, and by default nobody", "[threads]") {
  CHECK_FALSE(Stop().requested());
  CHECK(Stop().fd() == -1);
  std::stop_source source;
  const Stop of_token(source.get_token());
  CHECK_FALSE(of_token.requested());
  source.request_stop();
  CHECK(of_token.requested());
  bool asked = false;
  const Stop of_condition([&asked] { return asked; }, 5);
  CHECK_FALSE(of_condition.requested());
  asked = true;
  CHECK(of_condition.requested());
  CHECK(of_condition.fd() == 5);
}
