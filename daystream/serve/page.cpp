#include "serve/page.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <string_view>

#include "daystream/error.h"
#include "page_html.h"

namespace daystream::serve {

namespace {

// The text between the first `begin` and the next `end`.
std::string_view between(std::string_view text, std::string_view begin, std::string_view end) {
  const auto from = text.find(begin) + begin.size();
  return text.substr(from, text.find(end, from) - from);
}

// The name by which a policy allows a script or style of the document: 'sha256-BASE64'.
std::string source_of(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  std::array<unsigned char, EVP_MAX_MD_SIZE * 2> base64{};
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) {
    throw Error("could not compute a SHA-256", "look at the installation of OpenSSL");
  }
  const int length = EVP_EncodeBlock(base64.data(), digest.data(), static_cast<int>(size));
  return fmt::format("'sha256-{}'", std::string_view(reinterpret_cast<const char*>(base64.data()),
                                                     static_cast<std::size_t>(length)));
}

}  // namespace

Page::Page()
    : html_(kPageHtml),
      policy_(fmt::format("default-src 'none'; script-src {}; style-src {}; connect-src 'self'; "
                          "img-src data:; base-uri 'none'; form-action 'none'; "
                          "frame-ancestors 'none'",
                          source_of(between(html_, "<script>", "</script>")),
                          source_of(between(html_, "<style>", "</style>")))) {}

}  // namespace daystream::serve
