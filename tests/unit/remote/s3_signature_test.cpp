// AWS's published examples ("Examples: Signature Calculations in AWS Signature Version 4" of the
// manual of S3).
#include "remote/s3_signature.h"

#include <catch2/catch.hpp>

#include "program/sha256.h"

using namespace daystream;
using remote::S3Credentials;
using remote::S3Signable;

namespace {

const S3Credentials kExample{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                             ""};

S3Signable example(const std::string& method, const std::string& path,
                   const std::string& body = "") {
  S3Signable request;
  request.method = method;
  request.path = path;
  request.payload_sha256 = program::sha256_of(body);
  request.headers = {{"host", "examplebucket.s3.amazonaws.com"},
                     {"x-amz-content-sha256", request.payload_sha256},
                     {"x-amz-date", "20130524T000000Z"}};
  return request;
}

std::string authorization(const std::string& headers, const std::string& signature) {
  return "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
         "SignedHeaders=" +
         headers + ", Signature=" + signature;
}

}  // namespace

TEST_CASE("s3 signature: AWS's example of a GET of a range", "[s3]") {
  S3Signable request = example("GET", "/test.txt");
  request.headers["range"] = "bytes=0-9";
  CHECK(remote::s3_authorization(request, kExample, "us-east-1") ==
        authorization("host;range;x-amz-content-sha256;x-amz-date",
                      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"));
}

TEST_CASE("s3 signature: AWS's example of a PUT, with a character to be encoded", "[s3]") {
  S3Signable request = example("PUT", "/test$file.text", "Welcome to Amazon S3.");
  request.headers["date"] = "Fri, 24 May 2013 00:00:00 GMT";
  request.headers["x-amz-storage-class"] = "REDUCED_REDUNDANCY";
  CHECK(remote::s3_authorization(request, kExample, "us-east-1") ==
        authorization("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
                      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"));
}

TEST_CASE("s3 signature: AWS's examples of queries, without a value and with several", "[s3]") {
  S3Signable request = example("GET", "/");
  request.query = {{"lifecycle", ""}};
  CHECK(remote::s3_authorization(request, kExample, "us-east-1") ==
        authorization("host;x-amz-content-sha256;x-amz-date",
                      "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"));
  request.query = {{"prefix", "J"}, {"max-keys", "2"}};
  CHECK(remote::s3_authorization(request, kExample, "us-east-1") ==
        authorization("host;x-amz-content-sha256;x-amz-date",
                      "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
}

TEST_CASE("s3 signature: what is sent is encoded as it is signed", "[s3]") {
  CHECK(remote::s3_encoded_path("/b/a b/ü+~.tsv") == "/b/a%20b/%C3%BC%2B~.tsv");
  CHECK(remote::s3_encoded_path("/") == "/");
  CHECK(remote::s3_encoded_query({{"prefix", "p/2"}, {"a", "1+/="}, {"a-b", ""}, {"a", "0"}}) ==
        "a=0&a=1%2B%2F%3D&a-b=&prefix=p%2F2");
  CHECK(remote::s3_encoded_query({}).empty());
}
