// The client of object storage against servers that check its signatures, over a bad network.
#include "remote/s3_client.h"

#include <catch2/catch.hpp>
#include <cstdlib>

#include "object_store.h"
#include "program/sha256.h"

using namespace daystream;
using archive_test::ObjectStore;
using archive_test::Store;
using remote::S3Address;
using remote::S3Client;

namespace {

std::string some_bytes(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint32_t state = 7;
  for (char& c : bytes) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return bytes;
}

void put(S3Client& client, const std::string& key, const std::string& body) {
  client.put(key, body, program::sha256_of(body));
}

}  // namespace

TEST_CASE("s3 client: what was put is there, whole and in pieces", "[s3]") {
  for (const Store kind : archive_test::stores()) {
    CAPTURE(static_cast<int>(kind));
    ObjectStore store(kind);
    S3Client client(S3Address::parse(store.address("a b/é+")));
    const std::string body = some_bytes(3'000'000);
    CHECK_FALSE(client.get("x"));
    CHECK_FALSE(client.head("x"));
    put(client, "x", body);
    CHECK(client.get("x") == body);
    CHECK(client.get("x", S3Client::Range{1000, 5}) == body.substr(1000, 5));
    CHECK(client.get("x", S3Client::Range{2'999'999, 5}) == body.substr(2'999'999));
    CHECK(client.get("x", S3Client::Range{3'000'000, 5}) == "");
    CHECK(client.head("x")->size_bytes == body.size());
    CHECK(client.head("x")->sha256 == program::sha256_of(body));
    put(client, "x", "");
    CHECK(client.get("x") == "");
    client.remove("x");
    client.remove("x");
    CHECK_FALSE(client.get("x"));
  }
}

TEST_CASE("s3 client: a list has all pages, and only what is below the prefix", "[s3]") {
  for (const Store kind : archive_test::stores()) {
    ObjectStore store(kind, 3);
    const int count = kind == Store::Ours ? 10 : 1003;
    S3Client client(S3Address::parse(store.address("p")));
    S3Client other(S3Address::parse(store.address("pq")));
    put(other, "no", "x");
    for (int i = 0; i < count; ++i) put(client, "k" + std::to_string(10000 + i), "x");
    put(client, "l", "12");
    const auto objects = client.list("k");
    REQUIRE(objects.size() == static_cast<std::size_t>(count));
    CHECK(objects.front().key == "k10000");
    CHECK(objects.back().key == "k" + std::to_string(10000 + count - 1));
    CHECK(client.list("").back().key == "l");
    CHECK(client.list("").back().size_bytes == 2);
    CHECK(client.list("none").empty());
  }
}

TEST_CASE("s3 client: an object in parts is there once it is complete, and goes on after a cut",
          "[s3]") {
  for (const Store kind : archive_test::stores()) {
    ObjectStore store(kind, 1);
    const std::string first = some_bytes(5 * 1024 * 1024);
    const std::string second = some_bytes(1000);
    S3Client client(S3Address::parse(store.address()));
    const std::string upload = client.begin_parts("x", "0123");
    const auto one = client.put_part("x", upload, 1, first);
    CHECK(one.etag == remote::md5_of(first));
    CHECK_FALSE(client.get("x"));
    const auto two = client.put_part("x", upload, 2, second);
    if (kind == Store::Ours) {  // s3rver cannot say
      CHECK(client.begun_parts("x") == upload);
      CHECK_FALSE(client.begun_parts("y"));
      const auto there = client.parts("x", upload);
      REQUIRE(there.size() == 2);
      CHECK(there.at(2).size_bytes == 1000);
      CHECK(there.at(2).etag == two.etag);
    }
    client.complete("x", upload, {one, two});
    CHECK(client.get("x") == first + second);
    CHECK_FALSE(client.begun_parts("x"));
    if (kind == Store::Ours) CHECK_THROWS_AS(client.put_part("x", "other", 1, first), Error);
  }
}

TEST_CASE("s3 client: what passes by itself is tried again", "[s3]") {
  ObjectStore store;
  S3Client client(S3Address::parse(store.address()));
  const std::string body = some_bytes(100'000);
  store.meet("500 503 cut");
  put(client, "x", body);
  for (const std::string fault : {"500", "503", "cut", "lost", "short", "late"}) {
    CAPTURE(fault);
    store.meet(fault);
    CHECK(client.get("x") == body);
    store.meet(fault);
    put(client, "x", body);
    store.meet(fault);
    CHECK(client.list("").size() == 1);
    store.meet(fault);
    CHECK(client.head("x")->size_bytes == body.size());
    CHECK(store.faults_left().empty());
  }
  remote::S3Patience patience;
  patience.silence = std::chrono::seconds(1);
  S3Client impatient(S3Address::parse(store.address()), patience);
  store.meet("silent");
  CHECK(impatient.get("x") == body);
  store.kill();
  patience.whole = std::chrono::milliseconds(500);
  S3Client hasty(S3Address::parse(store.address()), patience);
  CHECK_THROWS_AS(hasty.get("x"), ConnectionLost);
}

TEST_CASE("s3 client: what a person has to mend is said at once, with what to do", "[s3]") {
  ObjectStore store;
  const auto hint_of = [&](const std::string& address) -> std::string {
    S3Client client(S3Address::parse(address));
    try {
      client.get("x");
    } catch (const NeedsPerson& e) {
      CHECK(std::string(e.what()).find("a-secret") == std::string::npos);
      return e.hint();
    }
    return "none";
  };
  CHECK(hint_of("s3://nowhere/p").find("make bucket \"nowhere\"") == 0);
  CHECK(hint_of("s3://b/p?region=eu-1") == "the bucket is in another region: AWS_REGION=us-east-1");
  setenv("AWS_SECRET_ACCESS_KEY", "a-secret", 1);
  CHECK(hint_of(store.address()).find("look at AWS_ACCESS_KEY_ID") == 0);
  CHECK(store.requests() == 3);  // none was tried again
}

TEST_CASE("s3 client: it ends a pause when it is told to stop", "[s3]") {
  ObjectStore store;
  bool stop = false;
  remote::S3Patience patience;
  patience.stop = [&] { return std::exchange(stop, true); };
  S3Client client(S3Address::parse(store.address()), patience);
  store.meet("503 503 503 503 503 503 503");
  CHECK_THROWS_AS(client.get("x"), remote::Stopped);
}
