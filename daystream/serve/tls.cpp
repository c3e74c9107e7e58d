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
#include <fstream>
#include <string_view>

#include "daystream/error.h"

namespace daystream::serve {

namespace {

bool holds(const std::string& file, std::string_view words) {
  std::ifstream in(file, std::ios::binary);
  std::string text(64 * 1024, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  return std::string_view(text).find(words) != std::string_view::npos;
}

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
                                 "docs/install.md has the lines of openssl");
}

// OpenSSL's reason for the end of a handshake, in words that name what to look at.
std::string why_it_failed(const SSL* connection, unsigned long error) {
  switch (ERR_GET_REASON(error)) {
    case SSL_R_HTTP_REQUEST:
      return "it spoke http:// to a port that speaks https://";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
      return "it does not speak TLS 1.2 or later";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return "it showed no certificate, and --client-ca wants one";
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
      return fmt::format("its certificate is not good here: {}",
                         X509_verify_cert_error_string(SSL_get_verify_result(connection)));
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
      return "it does not believe the certificate of this server";
    default:
      const char* const reason = ERR_reason_error_string(error);
      return reason == nullptr ? "no reason is known" : reason;
  }
}

}  // namespace

Tls::Tls(TlsFiles files, Failed failed)
    : files_(std::move(files)), failed_(std::move(failed)), context_(load()) {}

void Tls::reload() {
  context_ = load();
}

// libevent ends a connection whose handshake fails before HTTP hears of it: only OpenSSL can say
// so.
void Tls::look_on(const SSL* connection, int where, int result) {
  if (where != SSL_CB_ACCEPT_EXIT || result > 0) return;
  const unsigned long error = ERR_peek_error();
  if (error == 0) return;  // it waits for the peer
  const auto* self = static_cast<Tls*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(connection)));
  self->failed_(SSL_get_fd(connection), why_it_failed(connection, error));
}

Tls::Context Tls::load() {
  const TlsFiles& files = files_;
  if (holds(files.key, "BEGIN CERTIFICATE") && !holds(files.key, "PRIVATE KEY")) {
    throw ConfigError(
        fmt::format("file \"{}\" has a certificate, and no private key", files.key),
        "--tls-cert takes the certificate and --tls-key its key: the two are swapped");
  }
  struct stat status {};
  if (stat(files.key.c_str(), &status) == 0 && (status.st_mode & 007) != 0) {
    throw ConfigError(fmt::format("private key \"{}\" may be read by everybody", files.key),
                      fmt::format("chmod o= \"{}\"", files.key));
  }
  Context context(SSL_CTX_new(TLS_server_method()));
  if (!context) fail("set up TLS with", files.cert);
  SSL_CTX_set_app_data(context.get(), this);
  SSL_CTX_set_info_callback(context.get(), look_on);
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
