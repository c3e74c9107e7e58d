// Where a daystream is on NATS JetStream: `nats://HOST[:PORT][,HOST…]/STREAM`.
#pragma once

#include <string>
#include <vector>

#include "remote/http_client.h"

namespace daystream::remote {

// A message has at most so many bytes of a day file: two of them fit a server's `max_payload` as it
// is by default.
inline constexpr std::size_t kMostMessage = 512 * 1024;

// What the address itself does not say comes from the flags and the environment, as for http://.
// The address may say it, so that it can be stored:
// `nats://a,b,c/STREAM?tls=1&creds=FILE&nkey=FILE&ca=FILE&cert=FILE&key=FILE&domain=D&fallback=A`.
struct NatsAddress {
  std::string text;                  // as it was given
  std::vector<std::string> servers;  // nats://HOST:PORT of each
  std::string stream;
  std::string domain;    // of JetStream, for a leaf node that asks its hub; empty: the server's own
  std::string fallback;  // the address of a copy, for what the broker has lost; empty: none
  bool tls = false;      // to be insisted on: a server may ask for it all the same
  Options who;

  // Without the query: for messages.
  std::string name() const;
  // The subject that a day's messages have, and that of the manifest's.
  std::string subject_of(const std::string& token) const { return "ds." + stream + "." + token; }

  // Throws ConfigError.
  static NatsAddress parse(const Options& options, const std::string& text);
  static bool is_one(const std::string& text) { return text.starts_with("nats://"); }
};

}  // namespace daystream::remote
