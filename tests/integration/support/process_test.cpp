#include "support/process.h"

#include <catch2/catch.hpp>
#include <csignal>

#include "support/temp_dir.h"

using namespace support;
using namespace std::chrono_literals;

TEST_CASE("process: output, error, input and exit code arrive", "[support][process]") {
  const Result result = run({"sh", "-c", "cat; echo wrong >&2; exit 3"}, {.input = "hello"});
  CHECK(result.exit == Exit{3, 0});
  CHECK(result.out == "hello");
  CHECK(result.err == "wrong\n");
}

TEST_CASE("process: a signal ends it and is told", "[support][process]") {
  Process process({"cat"}, {.input_pipe = true});
  CHECK(process.running());
  CHECK_FALSE(process.wait(0ms));
  process.write_input("so far");
  CHECK(eventually([&] { return process.out() == "so far"; }));
  CHECK(process.resident_bytes() > 0);
  process.signal(SIGKILL);
  CHECK(process.wait() == Exit{-1, SIGKILL});
  CHECK(process.out() == "so far");
}

TEST_CASE("process: a signal right after the start ends the child, not in the test's handler",
          "[support][process]") {
  for (int i = 0; i < 50; ++i) {
    Process process({"sleep", "60"});
    process.signal(SIGINT);
    REQUIRE(process.wait() == Exit{-1, SIGINT});
    REQUIRE(process.err().empty());
    REQUIRE(process.out().empty());
  }
}

TEST_CASE("process: a failing command throws with its words", "[support][process]") {
  CHECK_THROWS_WITH(run_ok({"sh", "-c", "echo why >&2; exit 1"}), Catch::Contains("why"));
}

TEST_CASE("temp dir: it is gone afterwards, also when its owner is killed", "[support][temp_dir]") {
  std::filesystem::path path;
  {
    const TempDir dir;
    path = dir.path();
    write_file(dir / "file", "content");
    CHECK(read_file(dir / "file") == "content");
  }
  CHECK_FALSE(std::filesystem::exists(path));

  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const TempDir dir;
    const std::string name = dir.path().string() + "\n";
    if (write(ends[1], name.data(), name.size()) < 0) _exit(1);
    kill(getpid(), SIGKILL);
  }
  close(ends[1]);
  char name[256] = {};
  const ssize_t size = read(ends[0], name, sizeof name - 1);
  close(ends[0]);
  REQUIRE(size > 1);
  name[size - 1] = '\0';
  CHECK(eventually([&] { return !std::filesystem::exists(name); }));
}
