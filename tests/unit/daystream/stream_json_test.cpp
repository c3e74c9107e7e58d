// What can be asked of a stream, as JSON and back.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "daystream/error.h"
#include "stream_fixture.h"
#include "stream_json.h"
#include "support/catch2_positions.h"

using namespace daystream;
using namespace daystream::test;
using nlohmann::json;

namespace {

// As a client gets it.
template <typename Value>
json sent(const Value& value) {
  return json::parse(to_json(value).dump());
}

}  // namespace

TEST_CASE("stream json: what is known of a stream comes back as it was", "[stream][json]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  const Stream near(stream.directory.path());
  const auto same = [](const StreamInfo& info) {
    return to_json(stream_info_from_json(sent(info), "x")) == to_json(info);
  };
  CHECK(same(near.info()));
  writer.mark(Lsn{0x1000}, {1, 1, {}});
  writer.append(transaction(1));
  writer.flush();
  StreamInfo info = near.info();
  CHECK(info.last->position == near.extent()->last);
  CHECK(info.whole->days.size() == 1);
  CHECK(info.whole->writer);
  CHECK(same(info));
  info.whole.reset();
  CHECK(same(info));
  CHECK_FALSE(sent(info).contains("days"));
  CHECK(extent_from_json(sent(near.extent()))->last == near.extent()->last);
  CHECK(seam_from_json(sent(near.find_seam(1)))->next == 1);
  CHECK_FALSE(seam_from_json(nullptr));
  CHECK(position_from_json("7/8") == Position{7, 8});
}

TEST_CASE("stream json: what is not what it has to be is refused", "[stream][json]") {
  CHECK_THROWS_AS(position_from_json("7"), ConfigError);
  CHECK_THROWS_AS(position_from_json(7), json::exception);
  CHECK_THROWS_AS(extent_from_json({{"first", "1/0"}, {"last", "x"}}), ConfigError);
  CHECK_THROWS_AS(extent_from_json({{"first", "1/0"}}), json::exception);
  CHECK_THROWS_AS(stream_info_from_json(json::object(), "x"), json::exception);
}
