// AWS's Signature Version 4, by which a server of the S3 protocol knows who asks. libcurl can sign
// too, but each of its releases orders and encodes differently, and some wrongly.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace daystream::remote {

struct S3Credentials {
  std::string key_id;
  std::string secret;
  std::string token;  // of a session; empty: none
};

// A request as it is signed.
struct S3Signable {
  std::string method;
  std::string path;                                        // as text, not encoded
  std::vector<std::pair<std::string, std::string>> query;  // as text, not encoded
  std::map<std::string, std::string> headers;              // names in lower case; all are signed
  std::string payload_sha256;                              // hexadecimal, or UNSIGNED-PAYLOAD
};

// What to send of them: each character encoded that the signature wants encoded.
std::string s3_encoded_path(std::string_view path);  // "/" stays
std::string s3_encoded_query(const std::vector<std::pair<std::string, std::string>>& query);

// The value of the header "Authorization". `request.headers` has "host" and "x-amz-date".
std::string s3_authorization(const S3Signable& request, const S3Credentials& credentials,
                             const std::string& region);

}  // namespace daystream::remote
