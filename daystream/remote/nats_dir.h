// A daystream on JetStream as a directory that can be read.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "daystream/stream.h"
#include "remote/nats_address.h"
#include "src/read_only_dir.h"

namespace daystream::remote {

class NatsStore;

// It has daystream.json, the days that the publisher keeps there, and a `durable` that says through
// where it was published when it was last looked at. Calls that change throw Error.
//
// The broker is not believed: a message counts only with its sum, only where it continues what is
// before it, and always with the same bytes; whoever reads the lines checks their chain. What is
// missing or damaged is read from the fallback, where there is one.
//
// A place costs a few small requests and the messages that are looked into. Who reads on gets them
// from a consumer, some MiB ahead.
//
// Threads: any, as a Dir; wait() and release() those of one Reader.
// Errors:  ConnectionLost; NeedsPerson where there is no such stream, or nothing of ours in it;
//          Corruption where bytes are missing or damaged; WrongSource where the stream was made
//          again for another daystream.
class NatsDir final : public ReadOnlyDir {
 public:
  // `kinds`: what opens the fallback.
  NatsDir(const NatsAddress& address, const StreamKinds& kinds);
  ~NatsDir() override;

  std::unique_ptr<File> open(const std::string& name) override;
  std::vector<std::string> list() override;

  // As Reader::wait(). A broker that is away is waited for.
  bool wait(std::chrono::milliseconds timeout, int wake_fd);
  // Takes in what came since, without waiting.
  void take_news();
  // What is before `offset` of `day` will not be asked for again.
  void release(std::int64_t day, std::uint64_t offset);
  // Whether the chain in `durable` is known.
  bool has_chain();
  // Throws ConnectionLost where the fallback is away, so that nobody knows which days it has.
  void require_fallback();

 private:
  Error refusal(const std::string& name) const override;

  std::shared_ptr<NatsStore> store_;  // files that are open have it too
};

}  // namespace daystream::remote
