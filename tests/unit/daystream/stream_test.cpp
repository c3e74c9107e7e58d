// Writer and Reader together: what goes in comes out, and only once it is durable.
#include <catch2/catch.hpp>

#include "daystream/durable.h"
#include "daystream/error.h"
#include "stream_fixture.h"
#include "support/catch2_positions.h"

using namespace daystream;
using namespace daystream::test;

TEST_CASE("stream: what was appended and flushed is read in order", "[stream]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  CHECK(writer.empty());
  writer.mark(Lsn{0x1000}, {});
  writer.append(transaction(1, 3));
  stream.now += 1;
  writer.append(transaction(2));
  writer.append(row(3, 0));
  writer.append(row(3, 1) + "\n" + commit(3));
  writer.flush();
  CHECK(writer.flushed() == lsn_of(3));
  CHECK_FALSE(writer.dirty());

  Reader reader = stream.reader();
  Transaction* mark = reader.next();
  REQUIRE(mark != nullptr);
  CHECK(mark->kind() == Transaction::Kind::Mark);
  CHECK(transactions_of(reader) ==
        std::vector<std::string>{transaction(1, 3), transaction(2), transaction(3, 2)});
  CHECK(reader.position() == writer.position());
  CHECK(reader.lsn() == lsn_of(3));
  CHECK(reader.backlog_bytes() == 0);
}

TEST_CASE("stream: nothing is read before it is durable", "[stream]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.append(transaction(1));
  writer.write_out();
  CHECK(writer.dirty());
  Reader reader = stream.reader();
  CHECK(reader.next() == nullptr);
  Writer::Flush flush = writer.begin_flush();
  CHECK(reader.next() == nullptr);
  flush.run();
  CHECK(transactions_of(reader) == std::vector<std::string>{transaction(1)});
  CHECK(writer.flushed() == Lsn{});
  writer.finish_flush(flush);
  CHECK(writer.flushed() == lsn_of(1));
  // Nor where the file has more than what is durable.
  writer.append(transaction(2));
  writer.write_out();
  CHECK(reader.next() == nullptr);
  Reader other = stream.reader();
  CHECK(transactions_of(other) == std::vector<std::string>{transaction(1)});
  writer.flush();
  CHECK(transactions_of(reader) == std::vector<std::string>{transaction(2)});
}

TEST_CASE("stream: a transaction larger than all buffers comes through", "[stream]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  const int rows = 60'000;
  const std::string large = transaction(1, rows);
  std::size_t at = 0;
  Reader reader = stream.reader();
  std::size_t chunk = 0;
  while (at < large.size()) {  // it arrives in pieces, and is on disk as it does
    const std::size_t end = std::min(large.size(), large.find('\n', at + 300'000));
    writer.append(std::string_view(large).substr(at, end - at));
    at = end + 1;
    if (++chunk % 4 == 0) {
      writer.flush();
      if (at < large.size()) CHECK(transactions_of(reader).empty());
    }
  }
  writer.append(transaction(2));
  writer.flush();
  const auto read = transactions_of(reader);
  REQUIRE(read.size() == 2);
  CHECK((read[0] == large));
  CHECK(read[1] == transaction(2));
}

TEST_CASE("stream: a follower crosses days and goes on from any commit", "[stream]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  Reader follower = stream.reader();
  std::vector<std::string> written;
  std::vector<std::pair<Position, Lsn>> checkpoints;
  for (int number = 1; number <= 40; ++number) {
    stream.now += 12'345;  // a new day every seventh
    written.push_back(transaction(number, number % 5 + 1));
    writer.append(written.back());
    checkpoints.emplace_back(writer.position(), writer.last_lsn());
    if (number % 3 == 0) writer.flush();
  }
  writer.flush();
  CHECK(transactions_of(follower) == written);
  for (std::size_t i = 0; i < checkpoints.size(); ++i) {
    CAPTURE(i);
    const std::vector<std::string> rest(written.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                        written.end());
    Reader by_position = stream.reader({checkpoints[i].first, std::nullopt});
    CHECK(by_position.position() == checkpoints[i].first);
    CHECK(transactions_of(by_position) == rest);
    Reader by_both = stream.reader({checkpoints[i].first, checkpoints[i].second});
    CHECK(transactions_of(by_both) == rest);
    // The position is another stream's: only the LSN counts.
    Reader by_lsn = stream.reader({Position{1, 1}, checkpoints[i].second});
    CHECK(transactions_of(by_lsn) == rest);
  }
}

TEST_CASE("stream: where a checkpoint's line has another LSN, the LSN says where to go on",
          "[stream]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  std::vector<Position> ends;
  for (int number = 1; number <= 3; ++number) {
    writer.append(transaction(number));
    ends.push_back(writer.position());
  }
  writer.flush();
  const std::vector<std::string> last_two = {transaction(2), transaction(3)};
  Reader as_it_was = stream.reader({ends[0], lsn_of(1)});
  CHECK(transactions_of(as_it_was) == last_two);
  Reader elsewhere = stream.reader({ends[2], lsn_of(1)});
  CHECK(transactions_of(elsewhere) == last_two);
}

TEST_CASE("stream: a second start goes on after the first", "[stream][recovery]") {
  WrittenStream stream;
  {
    Writer writer = stream.writer();
    writer.append(transaction(1));
    writer.flush();
    writer.append(transaction(2));  // never flushed, never written
  }
  Writer writer = stream.writer();
  CHECK(writer.last_lsn() == lsn_of(1));
  CHECK_FALSE(writer.recovery().aborted_xid);
  writer.append(transaction(1));  // the server sends it again
  writer.append(transaction(2));
  writer.flush();
  Reader reader = stream.reader();
  CHECK(transactions_of(reader) == std::vector<std::string>{transaction(1), transaction(2)});
  CHECK(reader.position().c == kNoon + 1);
}

TEST_CASE("stream: a half written transaction is aborted by the next start", "[stream][recovery]") {
  WrittenStream stream;
  const std::string large = transaction(1, 60'000);
  const std::size_t half = large.find('\n', large.size() * 3 / 4);
  {
    Writer writer = stream.writer();
    writer.append(std::string_view(large).substr(0, half));
    writer.flush();
    CHECK(writer.in_transaction());
  }
  const std::string before = slurp(stream.day_path());
  Writer writer = stream.writer();
  CHECK(writer.recovery().aborted_xid == 1);
  const std::string after = slurp(stream.day_path());
  CHECK(after.starts_with(before));
  CHECK(after.find("_action\tabort\n") != std::string::npos);
  writer.append(large);
  writer.flush();
  Reader reader = stream.reader();
  const auto read = transactions_of(reader);
  REQUIRE(read.size() == 1);
  CHECK((read[0] == large));
}

TEST_CASE("stream: what has been here before leaves no trace", "[stream]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.append(transaction(1));
  writer.flush();
  const std::string before = slurp(stream.day_path());
  writer.append(transaction(1));
  writer.flush();
  CHECK(slurp(stream.day_path()) == before);
  // Unless it was too large to wait in memory: then it is aborted.
  writer.mark(lsn_of(5), {});
  writer.append(transaction(2, 60'000));
  writer.append(transaction(6));
  writer.flush();
  Reader reader = stream.reader();
  CHECK(transactions_of(reader) == std::vector<std::string>{transaction(1), transaction(6)});
}

TEST_CASE("stream: the seam is the last line that is old enough", "[stream][seam]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  CHECK_FALSE(Stream(stream.directory.path()).find_seam(1000));
  MarkFacts facts;
  facts.next = 2;
  writer.mark(lsn_of(0), facts);
  std::vector<Position> positions{writer.position()};
  for (int number = 2; number <= 60; ++number) {
    stream.now += 7'000;
    writer.append(transaction(number, number % 4 + 1));
    positions.push_back(writer.position());
  }
  writer.flush();
  CHECK_FALSE(Stream(stream.directory.path()).find_seam(1));
  for (std::uint64_t xmin = 2; xmin <= 60; ++xmin) {
    const auto seam = Stream(stream.directory.path()).find_seam(xmin);
    REQUIRE(seam);
    CHECK(seam->next <= xmin);
  }
}

TEST_CASE("stream: one writer at a time, and the refusal says who", "[stream][lock]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  try {
    stream.writer();
    FAIL("a second writer got in");
  } catch (const Error& e) {
    const std::string text = e.what();
    CHECK(text.starts_with("daystream \"" + stream.directory.path().string() + "\" is in use by "));
    CHECK(text.find("(pid ") != std::string::npos);
    CHECK(e.exit_code() == ExitCode::Failed);
  }
}

TEST_CASE("stream: an address is opened as the kind of its scheme", "[stream]") {
  StreamKinds kinds;
  CHECK(kinds.open("some/where").directory() == "some/where");
  CHECK(kinds.open("some/where").address() == "some/where");
  CHECK(kinds.open("here").absolute_address() ==
        (std::filesystem::current_path() / "here").string());
  CHECK_THROWS_WITH(kinds.open("nats://host/prod"),
                    "cannot read \"nats://host/prod\": this program reads directories only");
  kinds.add("test", [](const std::string& address) {
    return Stream(std::filesystem::path(address.substr(7)));
  });
  CHECK(kinds.open("test://there").directory() == "there");
  CHECK_THROWS_WITH(
      kinds.open("nats://host/prod"),
      "cannot read \"nats://host/prod\": this program reads directories and test:// only");
}

TEST_CASE("stream: what is spelt as an address is never taken for a directory", "[stream]") {
  CHECK_THROWS_AS(Stream("https://host/prod"), ConfigError);
  CHECK_FALSE(Stream());
}
