#include "remote/s3_address.h"

#include <catch2/catch.hpp>
#include <cstdlib>

#include "daystream/error.h"
#include "remote/s3_answer.h"
#include "support/temp_dir.h"

using namespace daystream;
using remote::S3Address;

namespace {

using Said = std::vector<std::pair<std::string, std::string>>;

// The environment without a word of object storage, and with these; as it was at the end.
class Environment {
 public:
  explicit Environment(const Said& said) {
    for (const char* const name : kNames) {
      if (const char* value = std::getenv(name)) before_.emplace_back(name, value);
      unsetenv(name);
    }
    for (const auto& [name, value] : said) setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() {
    for (const char* const name : kNames) unsetenv(name);
    for (const auto& [name, value] : before_) setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  static constexpr const char* kNames[] = {
      "AWS_ACCESS_KEY_ID",   "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
      "AWS_REGION",          "AWS_DEFAULT_REGION",    "AWS_ENDPOINT_URL",
      "AWS_ENDPOINT_URL_S3", "AWS_PROFILE",           "AWS_SHARED_CREDENTIALS_FILE"};
  std::vector<std::pair<std::string, std::string>> before_;
};

}  // namespace

TEST_CASE("s3 address: at AWS the bucket is part of the host's name", "[s3]") {
  const Environment environment(Said{{"AWS_REGION", "eu-central-1"}});
  const S3Address address = S3Address::parse("s3://our-streams/prod/a/");
  CHECK(address.bucket == "our-streams");
  CHECK(address.prefix == "prod/a");
  CHECK(address.name() == "s3://our-streams/prod/a");
  CHECK(address.base_url() == "https://our-streams.s3.eu-central-1.amazonaws.com");
  CHECK(address.host() == "our-streams.s3.eu-central-1.amazonaws.com");
  CHECK(address.path_of("x.json") == "/prod/a/x.json");
  CHECK(S3Address::parse("s3://our.streams").path_of("x.json") == "/our.streams/x.json");
}

TEST_CASE("s3 address: an endpoint has the bucket in the path, unless it is told", "[s3]") {
  const Environment environment(Said{{"AWS_ENDPOINT_URL", "http://minio1:9000/"}});
  const S3Address address = S3Address::parse("s3://b/p");
  CHECK(address.base_url() == "http://minio1:9000");
  CHECK(address.path_of("k") == "/b/p/k");
  CHECK(address.region == "us-east-1");
  const S3Address said =
      S3Address::parse("s3://b?endpoint=https://s3.example:443&region=x-1&style=virtual");
  CHECK(said.base_url() == "https://b.s3.example:443");
  CHECK(said.host() == "b.s3.example");
  CHECK(said.path_of("k") == "/k");
  CHECK(said.region == "x-1");
  CHECK(said.name() == "s3://b");
}

TEST_CASE("s3 address: what cannot be one is refused", "[s3]") {
  const Environment environment(Said{});
  for (const char* const text :
       {"s3://", "s3:///p", "http://b/p", "s3://user:secret@b/p", "s3://b/p?key=x", "s3://b/a//c",
        "s3://b/../c", "s3://b?style=host", "s3://b?endpoint=minio1:9000",
        "s3://b?endpoint=http://h/path", "s3://b?endpoint=http://"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(S3Address::parse(text), ConfigError);
  }
}

TEST_CASE("s3 credentials: the environment counts, then the file's profile", "[s3]") {
  const support::TempDir place;
  const std::string file = place / "credentials";
  {
    const Environment environment(Said{{"AWS_SHARED_CREDENTIALS_FILE", file}});
    CHECK_THROWS_AS(remote::s3_credentials(), NeedsPerson);
  }
  support::write_file(file,
                      "[other]\naws_access_key_id = no\n"
                      "[default]\naws_access_key_id = id1\naws_secret_access_key=se/cret+ \n"
                      "[next]\naws_access_key_id=id2\naws_secret_access_key=s2\n"
                      "aws_session_token=t2\n");
  {
    const Environment environment(Said{{"AWS_SHARED_CREDENTIALS_FILE", file}});
    CHECK(remote::s3_credentials().key_id == "id1");
    CHECK(remote::s3_credentials().secret == "se/cret+");
    CHECK(remote::s3_credentials().token.empty());
  }
  {
    const Environment environment(
        Said{{"AWS_SHARED_CREDENTIALS_FILE", file}, {"AWS_PROFILE", "next"}});
    CHECK(remote::s3_credentials().token == "t2");
  }
  const Environment environment(Said{{"AWS_SHARED_CREDENTIALS_FILE", file},
                                     {"AWS_ACCESS_KEY_ID", "id3"},
                                     {"AWS_SECRET_ACCESS_KEY", "s3"}});
  CHECK(remote::s3_credentials().key_id == "id3");
}

TEST_CASE("s3 answer: elements are found, and their text read", "[s3]") {
  const std::string xml = "<L><C><Key>a&amp;b&lt;</Key></C><C><Key>c</Key></C><Key></L>";
  std::size_t at = 0;
  CHECK(remote::xml_text(*remote::xml_inside(xml, "C", at), "Key") == "a&b<");
  CHECK(remote::xml_text(*remote::xml_inside(xml, "C", at), "Key") == "c");
  CHECK_FALSE(remote::xml_inside(xml, "C", at));
  CHECK(remote::xml_text("<Key>a", "Key").empty());
  CHECK(remote::xml_escaped("a<b>&\"'") == "a&lt;b&gt;&amp;&quot;&apos;");
}
