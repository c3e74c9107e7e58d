// What --require-copies makes of the file that `daystream serve --record-copies` writes.
#include "write/required_copies.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>

#include "daystream/error.h"
#include "support/scratch_dir.h"

using daystream::Lsn;
using deltastream::RequiredCopies;

namespace {

struct Copies {
  void write(const std::string& text) const {
    std::ofstream(directory / "copies.json.new") << text;
    std::rename((directory / "copies.json.new").c_str(), (directory / "copies.json").c_str());
  }
  void tell(std::initializer_list<const char*> lsns) const {
    std::string text;
    for (const char* lsn : lsns) {
      text += std::string(text.empty() ? "" : ",") + R"({"copy":"x","lsn":")" + lsn + "\"}";
    }
    write(R"({"copies":[)" + text + "]}");
  }
  support::ScratchDir directory;
};

}  // namespace

TEST_CASE("copies: the Nth largest counts, and never less than before", "[copies]") {
  const Copies file;
  RequiredCopies copies(file.directory.path(), 2);
  CHECK(copies.reached() == Lsn{});
  const auto after = [&](std::initializer_list<const char*> lsns) {
    file.tell(lsns);
    copies.refresh();
    return copies.reached();
  };
  CHECK(after({"0/500"}) == Lsn{});
  CHECK(after({"0/500", "0/100", "0/300"}) == Lsn{0x300});
  CHECK(after({"0/500", "0/400", "0/300"}) == Lsn{0x400});
  CHECK(after({"0/500", "0/200"}) == Lsn{0x400});
  CHECK(after({}) == Lsn{0x400});
  CHECK(after({"1/0", "0/600"}) == Lsn{0x600});
}

TEST_CASE("copies: a file that cannot be understood says nothing", "[copies]") {
  const Copies file;
  file.tell({"0/500"});
  RequiredCopies copies(file.directory.path(), 1);
  CHECK(copies.reached() == Lsn{0x500});
  for (const char* text : {"", "{", "[]", "{}", R"({"copies":7})", R"({"copies":[7]})",
                           R"({"copies":[{"lsn":7}]})", R"({"copies":[{"lsn":"much"}]})"}) {
    CAPTURE(text);
    file.write(text);
    copies.refresh();
    CHECK(copies.reached() == Lsn{0x500});
  }
  const std::string pipe = (file.directory / "pipe").string();
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  std::rename(pipe.c_str(), (file.directory / "copies.json").c_str());
  copies.refresh();
  CHECK(copies.reached() == Lsn{0x500});
  file.tell({"0/600"});
  copies.refresh();
  CHECK(copies.reached() == Lsn{0x600});
}

TEST_CASE("copies: what PostgreSQL was told before is not taken back", "[copies]") {
  const Copies file;
  RequiredCopies copies(file.directory.path(), 1);
  copies.told_before(Lsn{0x700});
  CHECK(copies.reached() == Lsn{0x700});
  file.tell({"0/600"});
  copies.refresh();
  CHECK(copies.reached() == Lsn{0x700});
  CHECK(copies.waiting_for(Lsn{0x700}).empty());
  CHECK(copies.waiting_for(Lsn{0x701}) ==
        "1 copy required: 1 known, LSN 0/700 is on the disks of enough of them; 0/701 is not "
        "confirmed");
}

TEST_CASE("copies: without --require-copies nothing is watched or waited for", "[copies]") {
  RequiredCopies copies("/nonexistent", 0);
  CHECK(copies.fd() == -1);
  copies.refresh();
  CHECK_FALSE(copies.reached());
  CHECK(copies.waiting_for(Lsn{1}).empty());
  CHECK_THROWS_AS(RequiredCopies("/nonexistent", 1), daystream::IoError);
}
