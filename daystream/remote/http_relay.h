// `daystream pull` of a stream that a server sends.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "remote/beats.h"
#include "remote/http_client.h"
#include "remote/relay.h"

namespace daystream::remote {

struct RelayOptions {
  Options http;
  Url url;
  std::filesystem::path directory;
  std::string copy;   // what the server calls this copy
  bool once = false;  // end when everything that is there has been pulled
};

// Throws NeedsPerson where our token is good for some tables only: then there is no whole copy, and
// ConnectionLost where the server is away. Changes nothing.
void require_whole(const RelayOptions& options);

class HttpRelay final : public Relay {
 public:
  explicit HttpRelay(RelayOptions options);
  ~HttpRelay() override;

 private:
  std::string manifest_text() override;
  void require_whole_stream() override { require_whole(options_); }
  void begin() override;
  bool receive(const Stop& stop) override;
  bool at_tail() const override { return beats_.at_tail(); }
  void end_turn() override;
  void end() noexcept override { download_.reset(); }

  const RelayOptions options_;
  Notices notices_;
  std::optional<Download> download_;
  Beats beats_;
  std::string lines_;
  std::string reported_;
  std::chrono::steady_clock::time_point reported_at_;
};

}  // namespace daystream::remote
