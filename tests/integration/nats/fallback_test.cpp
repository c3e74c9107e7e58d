// What the broker has lost is read from elsewhere, or refused.
#include <catch2/catch.hpp>
#include <csignal>
#include <random>

#include "../serve/server_process.h"
#include "broker.h"
#include "remote/nats_link.h"
#include "support/temp_dir.h"
#include "support/wait.h"

using namespace daystream;
using namespace daystream::test;
using namespace nats_test;
using daystream::remote::NatsAddress;
using daystream::remote::NatsLink;
using serve_test::ServerProcess;

namespace {

// Deletes messages, as a broker that loses them would: from a stream that was made without what
// forbids it.
struct Loser {
  explicit Loser(const Broker& broker) : address(NatsAddress::parse({}, broker.address())) {
    NatsLink(address).api("STREAM.CREATE.prod", {{"name", "prod"}, {"subjects", {"ds.prod.>"}}});
  }
  std::uint64_t last() const {
    return NatsLink(address).api("STREAM.INFO.prod", nullptr)->at("state").at("last_seq");
  }
  void lose(std::uint64_t sequence) const {
    NatsLink(address).api("STREAM.MSG.DELETE.prod", {{"seq", sequence}});
  }
  // All messages of a subject: a day, or the manifest.
  void lose_all(const std::string& token) const {
    NatsLink(address).api("STREAM.PURGE.prod", {{"filter", address.subject_of(token)}});
  }
  // Somebody else's message, which is none of ours.
  void put(const std::string& token, const std::string& text) const {
    CHECK(NatsLink(address).store_behind(last(), address.subject_of(token), {}, text));
  }
  const NatsAddress address;
};

// A daystream that is published to a broker which can lose some of it.
struct Published {
  // Some days, and then so many transactions of several messages each.
  explicit Published(int days, int large = 0) : source(days) {
    add_large(large);
    publish_again();
  }
  void add_large(int count) {
    for (int i = 0; i < count; ++i) source.add(20'000);
    source.flush();
  }
  void publish_again() const { REQUIRE(publish(source, broker).ok()); }

  Source source;
  Broker broker;
  Loser loser{broker};
};

// Reads, without a fallback and with each kind of one: exit 3 and the beginning at most, or all.
void check_refused_or_filled(const Published& published,
                             const std::vector<std::string>& fallbacks) {
  const auto& [source, broker, loser] = published;
  const std::string whole = source.cat();
  const auto refused = cat(broker.address());
  CAPTURE(refused.err);
  CHECK(refused.exit.code == 3);
  CHECK(refused.err.find("--fallback") != std::string::npos);
  CHECK(whole.starts_with(refused.out));
  CHECK(refused.out != whole);
  for (const std::string& fallback : fallbacks) {
    const auto filled = cat(broker.address(), {"--fallback", fallback});
    CAPTURE(fallback, filled.err);
    CHECK(filled.exit.code == 0);
    CHECK(filled.out == whole);
    CHECK(filled.err.find("reading") != std::string::npos);
    support::ScratchDir copies;
    CHECK(daystream_command(
              {"pull", broker.address() + "?fallback=" + fallback, copies / "copy", "--once"})
              .ok());
    CHECK(difference(source.directory.path(), copies / "copy") == "");
  }
}

}  // namespace

TEST_CASE("nats: what is lost is read from the fallback, else refused", "[nats][fallback]") {
  Published prod(2, 6);
  prod.source.add_days(2);
  prod.publish_again();
  ServerProcess server({"prod=" + prod.source.path()});
  const std::uint64_t last = prod.loser.last();
  REQUIRE(last > 10);
  for (const std::uint64_t sequence : {last / 2, last / 2 + 1, std::uint64_t{2}}) {
    CAPTURE(sequence, last);
    prod.loser.lose(sequence);
    check_refused_or_filled(prod, {prod.source.path(), server.url("/prod")});
  }
}

TEST_CASE("nats: a day that is lost whole is not taken for one that is no longer kept",
          "[nats][fallback]") {
  for (const char* const day : {"20171009", "20171010", "20171012"}) {
    CAPTURE(day);
    const Published prod(4);
    ServerProcess server({"prod=" + prod.source.path()});
    prod.loser.lose_all(day);
    check_refused_or_filled(prod, {prod.source.path(), server.url("/prod")});
    // The publisher does not take it for that either.
    prod.publish_again();
    check_refused_or_filled(prod, {prod.source.path()});
  }
}

TEST_CASE("nats: the end of a day, or of all, that is lost is not taken for the end",
          "[nats][fallback][end]") {
  Published prod(2, 4);
  prod.source.add_days(1);
  prod.add_large(1);
  prod.publish_again();
  ServerProcess server({"prod=" + prod.source.path()});
  // The last one of the third day.
  const auto end = NatsLink(prod.loser.address).last_of(prod.loser.address.subject_of("20171011"));
  REQUIRE(end);
  prod.loser.lose(end->sequence);
  check_refused_or_filled(prod, {prod.source.path()});
  prod.loser.lose(prod.loser.last());
  check_refused_or_filled(prod, {prod.source.path(), server.url("/prod")});
}

TEST_CASE("nats: a publisher puts what is lost at the end there again", "[nats][fallback]") {
  const Published prod(2, 4);
  for (int i = 0; i < 3; ++i) prod.loser.lose(prod.loser.last() - static_cast<std::uint64_t>(i));
  CHECK(cat(prod.broker.address()).exit.code == 3);
  const auto again = publish(prod.source, prod.broker);
  CHECK(again.ok());
  CHECK(again.err.find("publishing that again") != std::string::npos);
  CHECK(cat(prod.broker.address()).out == prod.source.cat());
}

TEST_CASE("nats: a manifest that is lost is read from the fallback, else refused",
          "[nats][fallback][end]") {
  Published prod(2);
  Source& source = prod.source;
  ServerProcess server({"prod=" + source.path()});
  const std::uint64_t before = prod.loser.last();
  // It changes in the middle of a day, and a mark says so.
  source.writer_.declare_holding({{}, "fox", {{"exclude-tables", "hare"}}});
  source.writer_.mark(Lsn{0x9000}, {1, 900, {{"tables", "fox"}}});
  source.add(2);
  source.flush();
  prod.publish_again();
  support::ScratchDir copies;
  REQUIRE(daystream_command({"pull", prod.broker.address(), copies / "copy", "--once"}).ok());
  CHECK(slurp(copies / "copy" / "daystream.json") == slurp(source.directory / "daystream.json"));
  prod.loser.lose(before + 1);  // there is the older one still
  check_refused_or_filled(prod, {source.path(), server.url("/prod")});
  prod.loser.lose_all("manifest");
  check_refused_or_filled(prod, {source.path(), server.url("/prod")});
  prod.publish_again();
  CHECK(cat(prod.broker.address()).out == source.cat());
}

TEST_CASE("nats: a message of other bytes than its sum is no message", "[nats][fallback]") {
  const Published prod(2, 4);
  const Loser& loser = prod.loser;
  NatsLink link(loser.address);
  auto last = *link.message(loser.last());
  loser.lose(last.sequence);
  const auto at = last.data.find("fox");
  REQUIRE(at != std::string::npos);
  last.data[at] = 'b';
  REQUIRE(link.store_behind(loser.last(), last.subject, {last.headers.begin(), last.headers.end()},
                            last.data));
  check_refused_or_filled(prod, {prod.source.path()});
  // The publisher puts the right one behind it.
  prod.publish_again();
  CHECK(cat(prod.broker.address()).out == prod.source.cat());
}

TEST_CASE("nats: messages of somebody else in the stream are passed over", "[nats][fallback]") {
  Published prod(2);
  const std::string address = prod.broker.address();
  prod.loser.put("hello", "fox");
  prod.loser.put("20171011", "fox");
  CHECK(cat(address, {"--fallback", prod.source.path()}).out == prod.source.cat());
  prod.source.add(3);
  prod.source.flush();
  prod.loser.put("hello", "fox");
  prod.publish_again();
  CHECK(cat(address).out == prod.source.cat());
  prod.loser.put("hello", "fox");
  CHECK(cat(address).out == prod.source.cat());
}

TEST_CASE("nats: a fallback that is away is missed only where it is needed", "[nats][fallback]") {
  const Published prod(2);
  const std::vector<std::string> away = {"--fallback", "http://127.0.0.1:1/prod"};
  CHECK(cat(prod.broker.address(), away).out == prod.source.cat());
  prod.loser.lose(prod.loser.last());
  const auto needed = cat(prod.broker.address(), away);
  CHECK(needed.exit.code == 1);
  CHECK(prod.source.cat().starts_with(needed.out));
}

TEST_CASE("nats: a fallback that is another stream gives no other bytes", "[nats][fallback]") {
  const Published prod(1, 6);
  Source other(1);
  for (int i = 0; i < 6; ++i) other.add(20'001);
  other.flush();
  prod.loser.lose(prod.loser.last() / 2);
  const auto refused = cat(prod.broker.address(), {"--fallback", other.path()});
  CHECK(refused.exit.code == 3);
  CHECK(prod.source.cat().starts_with(refused.out));
}
