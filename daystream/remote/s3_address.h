// Where something is in object storage: `s3://BUCKET/PREFIX`, at AWS or at any endpoint that speaks
// its protocol, and our credentials there.
#pragma once

#include <string>

#include "remote/s3_signature.h"

namespace daystream::remote {

// What the address itself does not say comes from the environment: AWS_ENDPOINT_URL_S3,
// AWS_ENDPOINT_URL, AWS_REGION, AWS_DEFAULT_REGION. The address may say it, so that it can be
// stored: `s3://BUCKET/PREFIX?endpoint=https://minio1:9000&region=eu-1&style=virtual`.
struct S3Address {
  std::string text;  // as it was given
  std::string bucket;
  std::string prefix;    // of keys, without slashes around it; may be empty
  std::string endpoint;  // http(s)://HOST[:PORT], without the bucket
  std::string region;
  bool virtual_host = false;  // the bucket is part of the host's name, else of the path

  // Without the query: for messages.
  std::string name() const;
  std::string name_of(const std::string& key) const { return name() + "/" + key; }
  // Of an object below the prefix, with the bucket where that is part of the path.
  std::string path_of(const std::string& key) const;
  std::string base_url() const;  // to which path_of() is added
  std::string host() const;      // what the header "Host" says

  // Throws ConfigError.
  static S3Address parse(const std::string& text);
  static bool is_one(const std::string& text) { return text.starts_with("s3://"); }
};

// From AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, else from the profile
// $AWS_PROFILE ("default") of $AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials). Read again each
// time, so that new ones need no restart. Throws NeedsPerson where there are none.
S3Credentials s3_credentials();

}  // namespace daystream::remote
