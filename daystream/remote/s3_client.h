// Objects below an `s3://` address: put, looked at, read in pieces, listed, removed. libcurl does
// the work, on the caller's thread and inside the calls.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daystream/error.h"
#include "daystream/stop.h"
#include "remote/s3_address.h"
#include "remote/stopped.h"

namespace daystream::remote {

// How long one call tries again what may pass by itself: a cut or silent connection, an answer that
// is cut short, statuses 408, 429, 500, 502, 503 and 504. Then it throws ConnectionLost.
struct S3Patience {
  std::chrono::milliseconds whole{20'000};  // counted from the first failure
  std::chrono::seconds silence{20};         // less than 1 kB/s for so long is a cut connection
  Stop stop = {};  // asked now and then: once requested, the call ends with Stopped
};

// Keys are relative to the prefix of the address.
//
// Threads: any number; one request at a time.
// Errors:  ConnectionLost (above), Stopped, NeedsPerson for what is refused.
class S3Client {
 public:
  explicit S3Client(S3Address address, S3Patience patience = {});
  ~S3Client();

  const S3Address& address() const noexcept { return address_; }

  struct Range {
    std::uint64_t begin = 0;
    std::uint64_t size = 0;
  };
  // The whole object, or what there is of a range; nullopt: there is no such object.
  std::optional<std::string> get(const std::string& key, std::optional<Range> range = {});

  struct Head {
    std::uint64_t size_bytes = 0;
    std::string sha256;  // as put() was given it; empty: somebody else put it
  };
  std::optional<Head> head(const std::string& key);

  // Replaces or makes the object whole. The server checks the bytes by their SHA-256 and MD5, and
  // keeps `sha256`, of the whole object, beside them.
  void put(const std::string& key, std::string_view body, const std::string& sha256);
  void remove(const std::string& key);  // it may be absent

  struct Object {
    std::string key;
    std::uint64_t size_bytes = 0;
  };
  // All whose keys begin with `beginning`, sorted, however many.
  std::vector<Object> list(const std::string& beginning);

  // An object in parts, for what is large. Nothing of it is there before complete().
  struct Part {
    std::uint64_t size_bytes = 0;
    std::string etag;
  };
  std::string begin_parts(const std::string& key, const std::string& sha256);
  // The newest that was begun and not ended; nullopt: none, or the server cannot say.
  std::optional<std::string> begun_parts(const std::string& key);
  // What is there of it, by number, which counts from 1; what is missing is left out.
  std::map<int, Part> parts(const std::string& key, const std::string& upload);
  Part put_part(const std::string& key, const std::string& upload, int number,
                std::string_view body);
  void complete(const std::string& key, const std::string& upload, const std::vector<Part>& parts);

  std::uint64_t requests() const noexcept { return requests_; }  // sent so far

 private:
  struct Request;
  struct Answer;
  class Wire;
  Answer send(const Request& request);
  Answer send_once(const Request& request);

  const S3Address address_;
  const S3Patience patience_;
  std::mutex mutex_;  // of what follows
  std::unique_ptr<Wire> wire_;
  std::uint64_t requests_ = 0;
};

// What a server makes the ETag of a part of, mostly: MD5, hexadecimal.
std::string md5_of(std::string_view bytes);

}  // namespace daystream::remote
