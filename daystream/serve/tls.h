// TLS for the server's connections: 1.2 or later, by OpenSSL.
#pragma once

#include <functional>
#include <memory>
#include <string>

struct bufferevent;
struct event_base;
struct ssl_ctx_st;
struct ssl_st;
extern "C" void SSL_CTX_free(ssl_ctx_st*);

namespace daystream::serve {

struct TlsFiles {
  std::string cert;          // PEM: the server's certificate, and those between it and a known one
  std::string key;           // PEM: its private key; others than owner and group may not read it
  std::string client_ca;     // PEM: authorities for clients; empty: clients show no certificate
  bool need_client = false;  // a client without a certificate is refused in the handshake

  bool wanted() const noexcept { return !cert.empty(); }
};

// Threads: one.
class Tls {
 public:
  // A handshake came to nothing: the peer's descriptor, and why in plain words.
  using Failed = std::function<void(int fd, const std::string& why)>;

  // Throws ConfigError: a file cannot be read, or key and certificate do not belong together.
  Tls(TlsFiles files, Failed failed);
  Tls(const Tls&) = delete;  // its contexts point to it
  Tls& operator=(const Tls&) = delete;

  // Reads the files again, for connections to come. Throws as the constructor; the old stay then.
  void reload();

  // A connection to come, for libevent to give a descriptor to.
  bufferevent* accept(event_base* loop) const;

  // The common name of the certificate that the peer showed and that was verified; empty: none.
  static std::string client_name(bufferevent* connection);

 private:
  struct Deleter {
    void operator()(ssl_ctx_st* context) const noexcept { SSL_CTX_free(context); }
  };
  using Context = std::unique_ptr<ssl_ctx_st, Deleter>;
  Context load();
  static void look_on(const ssl_st* connection, int where, int result);

  TlsFiles files_;
  Failed failed_;
  Context context_;
};

}  // namespace daystream::serve
