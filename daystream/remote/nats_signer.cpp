#include "remote/nats_signer.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>
#include <utility>

#include "daystream/error.h"

namespace daystream::remote {

namespace {

constexpr std::size_t kPublicKeySize = 56;
constexpr std::size_t kSeedSize = 58;

// The first line of `file` that begins so and, unless it is 0, has that size.
std::string line_of(std::ifstream file, std::string_view begin, std::size_t size) {
  for (std::string line; std::getline(file, line);) {
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (line.starts_with(begin) && (size == 0 || line.size() == size)) return line;
  }
  return {};
}

void require_found(const std::string& line, const char* what, const std::string& path,
                   const char* hint) {
  if (!line.empty()) return;
  throw NeedsPerson(fmt::format("could not find a user's {} in file \"{}\"", what, path), hint);
}

}  // namespace

NatsSigner::NatsSigner(const Options& who) {
  if (!who.creds.empty()) {
    // As nsc writes it: a JWT, which is base64 of an object of JSON, and a seed.
    constexpr const char* kHint = "name a file that this user may read: nsc makes it, with .creds";
    if (!std::ifstream(who.creds)) {
      throw NeedsPerson(fmt::format("could not read credentials file \"{}\"", who.creds), kHint);
    }
    jwt_ = line_of(std::ifstream(who.creds), "eyJ", 0);
    require_found(jwt_, "JWT", who.creds, kHint);
    seed_ = line_of(std::ifstream(who.creds), "SU", kSeedSize);
    require_found(seed_, "seed", who.creds, kHint);
  } else if (!who.nkey.empty()) {
    // As `nk -gen user -pubout` prints them.
    constexpr const char* kHint =
        "it has two lines, the seed (SU…) and the public key (U…): nk -gen user -pubout > FILE";
    public_key_ = line_of(std::ifstream(who.nkey), "U", kPublicKeySize);
    require_found(public_key_, "public key", who.nkey, kHint);
    seed_ = line_of(std::ifstream(who.nkey), "SU", kSeedSize);
    require_found(seed_, "seed", who.nkey, kHint);
  }
}

NatsSigner::~NatsSigner() {
  explicit_bzero(seed_.data(), seed_.size());
}

natsStatus NatsSigner::set(natsOptions* options) {
  if (!jwt_.empty()) {
    return natsOptions_SetUserCredentialsCallbacks(options, give_jwt, this, give_signature, this);
  }
  if (public_key_.empty()) return NATS_OK;
  return natsOptions_SetNKey(options, public_key_.c_str(), give_signature, this);
}

bool NatsSigner::had_unsendable() noexcept {
  return std::exchange(had_unsendable_, false);
}

// The library frees what the two give.
natsStatus NatsSigner::give_jwt(char** jwt, char** /*problem*/, void* self) noexcept {
  *jwt = strdup(static_cast<NatsSigner*>(self)->jwt_.c_str());
  return *jwt == nullptr ? NATS_NO_MEMORY : NATS_OK;
}

natsStatus NatsSigner::give_signature(char** problem, unsigned char** signature, int* size,
                                      const char* text, void* self) noexcept {
  auto& signer = *static_cast<NatsSigner*>(self);
  *signature = nullptr;
  *size = 0;
  if (text == nullptr || *text == '\0') return NATS_OK;  // a server that asks nobody who they are
  const natsStatus status = nats_Sign(signer.seed_.c_str(), text, signature, size);
  if (status != NATS_OK || *size == 0 || **signature != 0) return status;
  std::free(std::exchange(*signature, nullptr));
  *problem = strdup("a signature that libnats does not send");
  signer.had_unsendable_ = true;
  return NATS_ERR;
}

}  // namespace daystream::remote
