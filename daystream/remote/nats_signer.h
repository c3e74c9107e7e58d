// How we show a server of NATS who we are with a key: it sends a text, and we sign that.
#pragma once

#include <nats/nats.h>

#include <string>

#include "remote/http_client.h"

namespace daystream::remote {

// The files are read when it is made. What it was set for must not connect after it is gone.
//
// libnats 3.4.1 takes a signature for text: one that begins with a zero byte, as one of 256
// does, it leaves out, and the server refuses us as if we had no key. We do not send such a one. A
// server sends another text to each connection, so the next one has another signature.
//
// Threads: one.
// Errors:  NeedsPerson where a file has not what it is to have.
class NatsSigner {
 public:
  // By its `creds`, else its `nkey`; without either it does nothing.
  explicit NatsSigner(const Options& who);
  NatsSigner(const NatsSigner&) = delete;
  NatsSigner& operator=(const NatsSigner&) = delete;
  ~NatsSigner();

  natsStatus set(natsOptions* options);
  // Whether a connection since the last call was given up for its signature: make another.
  bool had_unsendable() noexcept;

 private:
  static natsStatus give_jwt(char** jwt, char** problem, void* self) noexcept;
  static natsStatus give_signature(char** problem, unsigned char** signature, int* size,
                                   const char* text, void* self) noexcept;

  std::string seed_;
  std::string public_key_;  // with an nkey
  std::string jwt_;         // with credentials
  bool had_unsendable_ = false;
};

}  // namespace daystream::remote
