#include "serve/tls.h"

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "daystream/error.h"

namespace daystream::serve {

namespace {

[[noreturn]] void fail(const char* action, const std::string& file) {
  const char* const reason = ERR_reason_error_string(ERR_peek_error());
  const bool is_missing = access(file.c_str(), R_OK) != 0;
  const std::string why = is_missing          ? std::strerror(errno)
                          : reason == nullptr ? "no reason is known"
                                              : reason;
  ERR_clear_error();
  throw ConfigError(fmt::format("could not {} \"{}\": {}", action, file, why),
                    is_missing ? "name a file that this user may read"
                               : "it must be in PEM, and a key must be the certificate's: "
                                 "docs/network.md has the lines of openssl");
}

}  // namespace

Tls::Tls(TlsFiles files) : files_(std::move(files)), context_(load(files_)) {}

void Tls::reload() {
  context_ = load(files_);
}

Tls::Context Tls::load(const TlsFiles& files) {
  struct stat status {};
  if (stat(files.key.c_str(), &status) == 0 && (status.st_mode & 007) != 0) {
    throw ConfigError(fmt::format("private key \"{}\" may be read by everybody", files.key),
                      fmt::format("chmod o= \"{}\"", files.key));
  }
  Context context(SSL_CTX_new(TLS_server_method()));
  if (!context) fail("set up TLS with", files.cert);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.cert.c_str()) != 1) {
    fail("read certificate", files.cert);
  }
  if (SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    fail("read private key", files.key);
  }
  if (SSL_CTX_check_private_key(context.get()) != 1) fail("use private key", files.key);
  if (!files.client_ca.empty()) {
    if (SSL_CTX_load_verify_locations(context.get(), files.client_ca.c_str(), nullptr) != 1) {
      fail("read certificates", files.client_ca);
    }
    SSL_CTX_set_client_CA_list(context.get(), SSL_load_client_CA_file(files.client_ca.c_str()));
    SSL_CTX_set_verify(context.get(),
                       SSL_VERIFY_PEER | (files.need_client ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       nullptr);
    // In a session that is taken up again the peer would not show its certificate.
    const unsigned char id[] = "daystream";
    SSL_CTX_set_session_id_context(context.get(), id, sizeof id - 1);
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  }
  return context;
}

bufferevent* Tls::accept(event_base* loop) const {
  SSL* ssl = SSL_new(context_.get());
  if (ssl == nullptr) return nullptr;
  bufferevent* connection = bufferevent_openssl_socket_new(loop, -1, ssl, BUFFEREVENT_SSL_ACCEPTING,
                                                           BEV_OPT_CLOSE_ON_FREE);
  if (connection == nullptr) {
    SSL_free(ssl);
    return nullptr;
  }
  // Peers that just close are common, and HTTP says where an answer ends.
  bufferevent_openssl_set_allow_dirty_shutdown(connection, 1);
  return connection;
}

std::string Tls::client_name(bufferevent* connection) {
  SSL* ssl = bufferevent_openssl_get_ssl(connection);
  if (ssl == nullptr || SSL_get_verify_result(ssl) != X509_V_OK) return {};
  const std::unique_ptr<X509, void (*)(X509*)> certificate(SSL_get1_peer_certificate(ssl),
                                                           X509_free);
  if (!certificate) return {};
  char name[256] = "";
  const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()),
                                             NID_commonName, name, sizeof name);
  // A name with a zero byte inside is not what it looks like.
  if (size <= 0 || std::string_view(name).size() != static_cast<std::size_t>(size)) return {};
  return name;
}

}  // namespace daystream::serve
