// At the edge: a leaf node with a mirror of the stream, configured as docs/jetstream.md says.
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "broker.h"
#include "support/free_port.h"
#include "support/temp_dir.h"
#include "support/wait.h"

using namespace daystream;
using namespace daystream::test;
using namespace nats_test;
using support::eventually;

namespace {

// A block of the page that has `mark` in it.
std::string block_of_page(const std::string& mark) {
  const std::string page = slurp(std::string(SOURCE_ROOT) + "/docs/jetstream.md");
  const auto at = page.find(mark);
  REQUIRE(at != std::string::npos);
  const auto begin = page.find('\n', page.rfind("```", at)) + 1;
  return page.substr(begin, page.find("```", at) - begin);
}

// The same with ports and folders of a test in place of those.
std::string with(std::string text,
                 const std::vector<std::pair<std::string, std::string>>& changes) {
  for (const auto& [from, to] : changes) {
    const auto at = text.find(from);
    CAPTURE(text, from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
  }
  return text;
}

struct Edge {
  Edge() {
    support::write_file(folder / "hub.conf",
                        with(block_of_page("# hub.conf"),
                             {{"0.0.0.0:4222", fmt::format("127.0.0.1:{}", hub_port)},
                              {"/var/lib/nats/hub", (folder / "hub").string()},
                              {"0.0.0.0:7422", fmt::format("127.0.0.1:{}", leaf_nodes_port)}}));
    support::write_file(folder / "leaf.conf",
                        with(block_of_page("# leaf.conf"),
                             {{"127.0.0.1:4222", fmt::format("127.0.0.1:{}", leaf_port)},
                              {"/var/lib/nats/leaf", (folder / "leaf").string()},
                              {"hub:7422", fmt::format("127.0.0.1:{}", leaf_nodes_port)}}));
    start("hub");
    start("leaf");
  }
  void start(const std::string& name) {
    auto& process = name == "hub" ? hub : leaf;
    process.emplace(
        std::vector<std::string>{NATS_SERVER, "-c", (folder / (name + ".conf")).string()});
    const std::string address = name == "hub" ? at_hub() : at_leaf();
    REQUIRE(eventually([&] {
      try {
        link_to(address).api("INFO", nullptr);
        return true;
      } catch (const Error&) {
        return false;
      }
    }));
  }
  std::string at_hub() const { return fmt::format("nats://127.0.0.1:{}/prod", hub_port); }
  std::string at_leaf() const { return fmt::format("nats://127.0.0.1:{}/prod", leaf_port); }

  support::ScratchDir folder;
  const int hub_port = support::free_port();
  const int leaf_nodes_port = support::free_port();
  const int leaf_port = support::free_port();
  std::optional<support::Process> hub;
  std::optional<support::Process> leaf;
};

}  // namespace

TEST_CASE("nats: a mirror of the stream at a leaf node reads as the hub's does", "[nats][leaf]") {
  Source source(2);
  Edge edge;
  auto publisher = daystream_process({"publish", source.path(), edge.at_hub()});
  const auto mirror = nlohmann::json::parse(block_of_page("\"mirror\":"));
  link_to(edge.at_leaf()).api("STREAM.CREATE.prod", mirror);
  const auto is_level = [&](const std::string& address) {
    return eventually([&] { return cat(address).out == source.cat(); });
  };
  CHECK(is_level(edge.at_leaf()));
  CHECK(is_level(edge.at_leaf() + "?domain=hub"));
  auto follower = daystream_process({"tail", edge.at_leaf(), "-n", "1000", "--follow"});
  for (int i = 0; i < 3; ++i) {
    source.add(3, i == 1 ? 86400 : 1);
    source.flush();
    const std::string row = fmt::format("fox{}\t", source.number_);
    CHECK(eventually([&] { return follower.out().find(row) != std::string::npos; }));
  }
  {
    INFO("the leaf goes away and comes back, and the hub too");
    edge.leaf.reset();
    source.add(3);
    source.flush();
    edge.start("leaf");
    CHECK(is_level(edge.at_leaf()));
    edge.hub.reset();
    edge.start("hub");
    source.add(3);
    source.flush();
    CHECK(is_level(edge.at_leaf()));
    CHECK(eventually([&] { return follower.out() == source.tail(); }));
  }
  CHECK(publisher.running());
}
