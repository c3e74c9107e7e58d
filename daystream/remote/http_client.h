// HTTP as a client of `daystream serve` needs it: small answers whole, and one long response that
// is read as it comes. libcurl does the work, on the caller's thread and inside the calls below.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "daystream/stop.h"

namespace daystream::remote {

// How to reach a server, and who we are to it. Files are read again for each connection, so that a
// new token or certificate needs no restart.
struct Options {
  std::string ca;    // PEM: who may vouch for the server; empty: the system's
  std::string cert;  // PEM: our certificate; with `key`
  std::string key;
  std::string token_file;  // a bearer token; empty: $DAYSTREAM_TOKEN, or none
  // Also to another machine without TLS, where others on the way can read it. Else that is refused
  // before anything is sent.
  bool token_in_the_clear = false;
  std::string creds;     // of NATS: a file with a user's JWT and the seed of its key
  std::string nkey;      // of NATS: a file with the seed of a user's key and its public key
  std::string fallback;  // of NATS: the address of a copy, for what the broker has lost
  // An answer that is read whole.
  std::chrono::seconds answer_within{30};
};

// As the environment says: $DAYSTREAM_CA, $DAYSTREAM_CERT, $DAYSTREAM_KEY, $DAYSTREAM_TOKEN_FILE,
// $DAYSTREAM_TOKEN_IN_THE_CLEAR, $DAYSTREAM_CREDS, $DAYSTREAM_NKEY, $DAYSTREAM_FALLBACK.
Options options_from_environment();

// The token that we are to show; empty: none. Throws ConfigError where its file cannot be read, and
// NeedsPerson where it may not go to `server` without TLS.
std::string token_for(const Options& options, const std::string& server, bool secure);

// A server as `http://host[:port]/name` names it.
struct Url {
  std::string base;  // without the last slash
  std::string name;  // of the stream

  bool is_secure() const { return base.starts_with("https://"); }
  // It is on this machine: an address of the loopback interface, or `localhost`.
  static bool is_local(std::string_view text);
  // Throws ConfigError: neither http:// nor https://, no name, a user in it (a password is no
  // argument), a query.
  static Url parse(const std::string& text);
};

struct Response {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// Throws what a status that is no success stands for (PROTOCOL.md): PositionGone, WrongSource,
// NeedsPerson, Behind, ConnectionLost…
void throw_refusal(const std::string& url, const Response& response);

// One request and its whole answer, which is a small one. Throws ConnectionLost, ProtocolError
// where it is larger than kMostAnswer, and what throw_refusal() does.
inline constexpr std::size_t kMostAnswer = 64 * 1024 * 1024;
Response request(const Options& options, const std::string& method, const std::string& url);

// The same of an answer that the server holds back, for at most `most`. nullopt: asked to stop.
std::optional<Response> long_request(const Options& options, const std::string& url,
                                     std::chrono::seconds most, const Stop& stop);

// Sends a small JSON and reads the whole answer. nullopt: asked to stop.
std::optional<Response> post_json(const Options& options, const std::string& url,
                                  const std::string& body, const Stop& stop);

// A long response. Ended by its destructor.
// Threads: one.
class Download {
 public:
  // What is received waits here up to this; then the socket is not read any more.
  static constexpr std::size_t kMostWaiting = 1024 * 1024;
  // So much of a refusal is read; the rest, and what comes later than kWholeSeconds, is left.
  static constexpr std::size_t kMostRefusal = 64 * 1024;

  // `from`: the first byte wanted; not 0: a server that sends all the same is an error.
  Download(const Options& options, const std::string& url, std::uint64_t from = 0);
  Download(const Download&) = delete;
  Download& operator=(const Download&) = delete;
  ~Download();

  // Sleeps until bytes wait, the response has ended, `wake_fd` (-1: none) is readable or the time
  // is over. True: bytes wait. Throws ConnectionLost when it broke, ended or brought nothing for
  // kSilence; what throw_refusal() does when it was refused.
  bool wait(std::chrono::milliseconds timeout, int wake_fd);
  // The bytes that wait. The caller takes them out of it, all or some.
  std::string& bytes() noexcept;
  // A header of the response; empty before wait() was true, or where there is none.
  std::string header(const std::string& name) const;

  // A server that has nothing to say beats every kBeat: one that has missed two of them is gone.
  static constexpr std::chrono::seconds kBeat{4};
  static constexpr std::chrono::seconds kSilence{10};

  class Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

// Small requests that nobody waits for, one at a time.
class Notices {
 public:
  explicit Notices(Options options);
  ~Notices();

  bool busy() const noexcept;
  // Sends a POST, unless busy().
  void post(const std::string& url);
  // Lets it go on. To be called every now and then while busy().
  void turn();
  // The answer to the last one, once: nullopt where there was none, or a refusal.
  std::optional<Response> take_answer();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

std::string own_host();  // what we call ourselves

}  // namespace daystream::remote
