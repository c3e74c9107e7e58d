// Large days in object storage: in parts, resumed, and read with few requests.
#include <catch2/catch.hpp>

#include "day_file.h"
#include "object_store.h"
#include "remote/archive.h"
#include "remote/archive_dir.h"
#include "remote/archive_stream.h"
#include "stream_fixture.h"
#include "support/temp_dir.h"

using namespace daystream;
using namespace daystream::test;
using archive_test::ObjectStore;
using remote::Archive;
using remote::S3Address;

namespace {

// One closed day of so many MiB that do not compress well, and a current one.
void fill(WrittenStream& stream, int mebibytes) {
  Writer writer = stream.writer();
  writer.mark(Lsn{0x1000}, {1, 1, {}});
  std::uint32_t state = 1;
  for (int i = 1; i <= mebibytes * 4; ++i) {
    std::string value(256 * 1024, '\0');
    for (char& c : value) {
      c = "0123456789abcdef"[(state = state * 1664525 + 1013904223) >> 28];
    }
    stream.now += 1;
    writer.append(row(i) + value + "\n" + commit(i));
  }
  stream.now += 86400;
  writer.append(transaction(mebibytes * 4 + 1));
  writer.flush();
}

}  // namespace

TEST_CASE("archive: a large day is put in parts, and goes on with those that are there",
          "[archive]") {
  WrittenStream stream;
  fill(stream, 6);
  ObjectStore store(archive_test::Store::Ours, 2);
  remote::ArchiveRules rules;
  rules.part_bytes = 400'000;
  const S3Address address = S3Address::parse(store.address());
  bool stop = false;
  {
    Archive archive(stream.directory.path(), address, rules, [&] { return stop; });
    archive.progress = [&](const std::string&, std::uint64_t done, std::uint64_t size) {
      stop = done > size / 2;
    };
    CHECK_THROWS_AS(archive.step(), remote::Stopped);
  }
  CHECK_THROWS_AS(remote::archive_stream(store.address()).extent(), NeedsPerson);
  Archive archive(stream.directory.path(), address, rules, [] { return false; });
  const auto step = archive.step();
  REQUIRE(step);
  CHECK(step->stored_bytes > 3'000'000);
  CHECK(step->sent_bytes < step->stored_bytes / 2 + 800'000);
  CHECK(step->sent_bytes > 0);
  CHECK_FALSE(archive.step());
  Reader local = stream.reader();
  Reader far(remote::archive_stream(store.address()), {});
  int count = 0;
  while (Transaction* got = far.next()) {
    Transaction* expected = local.next();
    REQUIRE(expected != nullptr);
    REQUIRE(text_of(*got) == text_of(*expected));
    ++count;
  }
  CHECK(count == 25);
}

TEST_CASE("archive: a place in a day costs two requests, and reading on few", "[archive]") {
  WrittenStream stream;
  fill(stream, 24);
  ObjectStore store;
  const S3Address address = S3Address::parse(store.address());
  Archive archive(stream.directory.path(), address, {}, [] { return false; });
  REQUIRE(archive.step());
  const std::string before = store.log();
  Reader far(remote::archive_stream(store.address()), {Position{kNoon + 60, 0}, std::nullopt});
  REQUIRE(far.next() != nullptr);
  const std::string log = store.log().substr(before.size());
  CAPTURE(log);
  // archive.json, daystream.json; the day's index, and frames around the place.
  CHECK(std::count(log.begin(), log.end(), '\n') <= 6);
  CHECK(log.find("/b/prod/archive.json - 200") != std::string::npos);
  while (far.next() != nullptr) {
  }
  const std::string all = store.log().substr(before.size());
  CHECK(std::count(all.begin(), all.end(), '\n') <= 14);
}

TEST_CASE("archive: who reads a day that is deleted meanwhile hears that it is no longer kept",
          "[archive]") {
  WrittenStream stream;
  fill(stream, 1);
  {
    Writer writer = stream.writer(lsn_of(5));
    stream.now += 86400;
    writer.append(transaction(6));
    writer.flush();
  }
  ObjectStore store;
  const S3Address address = S3Address::parse(store.address());
  Archive archive(stream.directory.path(), address, {}, [] { return false; });
  while (archive.step()) {
  }
  remote::ArchiveDir dir(address);
  const auto day = list_days(dir).front();
  const auto file = open_day_file(dir, day).file;
  remote::ArchiveRules rules;
  rules.keep_days = 1;
  Archive again(stream.directory.path(), address, rules, [] { return false; });
  REQUIRE(again.step()->kind == Archive::Step::Kind::Deleted);
  char byte[1];
  CHECK_THROWS_AS(file->read_at(byte, 0), PositionGone);
}
