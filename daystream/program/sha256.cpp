#include "program/sha256.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "daystream/error.h"
#include "daystream/unique_fd.h"

namespace daystream::program {

namespace {

constexpr std::size_t kPiece = 1024 * 1024;

}  // namespace

class Sha256::Digest {
 public:
  Digest() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) fail();
  }
  void add(const void* bytes, std::size_t size) {
    if (EVP_DigestUpdate(context_.get(), bytes, size) != 1) fail();
  }
  std::string text() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    if (EVP_DigestFinal_ex(context_.get(), digest.data(), &size) != 1) fail();
    std::string hex;
    for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
    return hex;
  }

 private:
  [[noreturn]] static void fail() {
    throw Error("could not compute a SHA-256", "look at the installation of OpenSSL");
  }

  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

Sha256::Sha256() : digest_(std::make_unique<Digest>()) {}
Sha256::~Sha256() = default;
void Sha256::add(std::string_view bytes) {
  digest_->add(bytes.data(), bytes.size());
}
std::string Sha256::text() {
  return digest_->text();
}

std::string sha256_of(std::string_view text) {
  Sha256 digest;
  digest.add(text);
  return digest.text();
}

std::string sha256_of_file(const std::filesystem::path& path, const Stop& stop) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw IoError(fmt::format("could not open file \"{}\"", path.string()), errno);
  Sha256 digest;
  std::vector<char> piece(kPiece);
  for (;;) {
    if (stop.requested()) return {};
    const ssize_t got = read(fd.get(), piece.data(), piece.size());
    if (got == 0) return digest.text();
    if (got > 0) {
      digest.add({piece.data(), static_cast<std::size_t>(got)});
    } else if (errno != EINTR) {
      throw IoError(fmt::format("could not read file \"{}\"", path.string()), errno);
    }
  }
}

}  // namespace daystream::program
