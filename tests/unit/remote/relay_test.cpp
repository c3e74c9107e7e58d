#include "daystream/error.h"
#include "remote/files_relay.h"

#include <catch2/catch.hpp>

#include "stream_fixture.h"

using namespace daystream;

TEST_CASE("relay: one that is to end with the stream is not done when it is stopped", "[relay]") {
  test::WrittenStream stream;
  Writer writer = stream.writer();
  writer.append(test::transaction(1));
  writer.flush();
  const support::ScratchDir copies;
  const Stream source(stream.directory.path());
  const std::filesystem::path copy = copies.path() / "copy";
  bool stopped = true;
  const Stop stop([&stopped] { return stopped; });
  CHECK_THROWS_WITH(remote::FilesRelay(source, copy, true).run(stop),
                    "stopped before all of " + stream.directory.path().string() + " was pulled");
  CHECK_NOTHROW(remote::FilesRelay(source, copy, false).run(stop));
  stopped = false;
  CHECK_NOTHROW(remote::FilesRelay(source, copy, true).run(stop));
}
