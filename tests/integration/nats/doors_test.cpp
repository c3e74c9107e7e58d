// Who a broker lets in: tokens, keys, credentials, TLS.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <iterator>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "broker.h"
#include "keys.h"
#include "remote/nats_address.h"
#include "remote/nats_link.h"
#include "support/fd.h"
#include "support/temp_dir.h"
#include "support/wait.h"

using namespace daystream;
using namespace daystream::test;
using namespace nats_test;

namespace {

void make_certificate(const support::ScratchDir& folder, const std::string& name) {
  support::run_ok({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                   "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=" + name,
                   "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / (name + ".key"),
                   "-out", folder / (name + ".pem")});
}

// Lets in who signs: sends each connection the next of the texts to sign, and then always the last.
class SigningServer {
 public:
  explicit SigningServer(std::vector<std::string> nonces)
      : nonces_(std::move(nonces)), fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(fd_.get(), generic, size) != 0 || listen(fd_.get(), 16) != 0 ||
        getsockname(fd_.get(), generic, &size) != 0) {
      throw std::runtime_error("no port");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  SigningServer(const SigningServer&) = delete;
  SigningServer& operator=(const SigningServer&) = delete;
  ~SigningServer() {
    shutdown(fd_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::string address() const { return fmt::format("nats://127.0.0.1:{}/prod", port_); }
  std::size_t asked() const { return asked_; }
  // What the clients said of themselves, one line each.
  std::string said() const {
    const std::lock_guard lock(mutex_);
    return said_;
  }

 private:
  void serve() {
    for (;;) {
      const support::Fd peer(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!peer) return;
      const std::size_t at = std::min<std::size_t>(asked_++, nonces_.size() - 1);
      put(peer, fmt::format("INFO {{\"server_id\":\"S\",\"version\":\"2.9.10\",\"proto\":1,"
                            "\"auth_required\":true,\"headers\":true,\"max_payload\":1048576,"
                            "\"nonce\":\"{}\"}}\r\n",
                            nonces_.at(at)));
      std::string line;
      for (char c = 0; c != '\n' && recv(peer.get(), &c, 1, 0) == 1;) line += c;
      if (line.empty()) continue;
      {
        const std::lock_guard lock(mutex_);
        said_ += line;
      }
      const bool signs = line.find("\"sig\":") != std::string::npos;
      put(peer, signs ? "PONG\r\n" : "-ERR 'Authorization Violation'\r\n");
      for (char c = 0; signs && recv(peer.get(), &c, 1, 0) == 1;) continue;
    }
  }
  static void put(const support::Fd& peer, const std::string& text) {
    static_cast<void>(send(peer.get(), text.data(), text.size(), MSG_NOSIGNAL));
  }

  const std::vector<std::string> nonces_;
  support::Fd fd_;
  int port_ = 0;
  std::atomic<std::size_t> asked_{0};
  mutable std::mutex mutex_;
  std::string said_;
  std::thread thread_;
};

std::string credentials() {
  return fmt::format(
      "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n"
      "-----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
      kUserJwt, kUserSeed);
}

}  // namespace

TEST_CASE("nats: a token is shown, and only then are we let in", "[nats][doors]") {
  Source source(1);
  Broker broker(1, "authorization { token: s3cret }");
  support::ScratchDir files;
  support::write_file(files / "token", "s3cret\n");
  support::write_file(files / "wrong", "guess\n");
  const auto refused = publish(source, broker);
  CHECK(refused.exit.code == 3);
  CHECK(refused.err.find("does not let us in") != std::string::npos);
  CHECK(publish(source, broker, {"--once", "--token-file", files / "wrong"}).exit.code == 3);
  REQUIRE(publish(source, broker, {"--once", "--token-file", files / "token"}).ok());
  CHECK(cat(broker.address()).exit.code == 3);
  CHECK(cat(broker.address(), {"--token-file", files / "token"}).out == source.cat());
  // Not to another machine in the clear.
  const auto open = cat("nats://192.0.2.1/prod", {"--token-file", files / "token"});
  CHECK(open.exit.code == 3);
  CHECK(open.err.find("not sent without TLS") != std::string::npos);
}

TEST_CASE("nats: a key's seed signs, and never goes anywhere", "[nats][doors]") {
  Source source(1);
  Broker broker(1, fmt::format("authorization {{ users: [ {{ nkey: {} }} ] }}", kUserKey));
  support::ScratchDir files;
  support::write_file(files / "nkey", fmt::format("{}\n{}\n", kUserSeed, kUserKey));
  support::write_file(files / "other", fmt::format("{}\n{}\n", kOtherSeed, kOtherKey));
  support::write_file(files / "half", fmt::format("{}\n", kUserSeed));
  CHECK(publish(source, broker).exit.code == 3);
  CHECK(publish(source, broker, {"--once", "--nkey", files / "other"}).exit.code == 3);
  const auto half = publish(source, broker, {"--once", "--nkey", files / "half"});
  CHECK(half.exit.code == 3);
  CHECK(half.err.find("public key") != std::string::npos);
  CHECK(half.err.find(kUserSeed) == std::string::npos);
  REQUIRE(publish(source, broker, {"--once", "--nkey", files / "nkey"}).ok());
  CHECK(cat(broker.address() + "?nkey=" + (files / "nkey").string()).out == source.cat());
}

TEST_CASE("nats: credentials let us in", "[nats][doors]") {
  Source source(1);
  Broker broker(
      1, fmt::format("operator: {}\nsystem_account: {}\nresolver: MEMORY\n"
                     "resolver_preload {{ {}: {}\n {}: {} }}",
                     kOperatorJwt, kSystemKey, kAccountKey, kAccountJwt, kSystemKey, kSystemJwt));
  support::ScratchDir files;
  support::write_file(files / "u.creds", credentials());
  CHECK(publish(source, broker).exit.code == 3);
  CHECK(publish(source, broker, {"--once", "--creds", files / "none"}).exit.code == 3);
  REQUIRE(publish(source, broker, {"--once", "--creds", files / "u.creds"}).ok());
  CHECK(cat(broker.address() + "?creds=" + (files / "u.creds").string()).out == source.cat());
}

TEST_CASE("nats: a signature that the library leaves out is not shown", "[nats][doors]") {
  support::ScratchDir files;
  support::write_file(files / "nkey", fmt::format("{}\n{}\n", kUserSeed, kUserKey));
  support::write_file(files / "u.creds", credentials());
  for (const char* const who : {"?nkey=nkey", "?creds=u.creds"}) {
    CAPTURE(who);
    std::vector<std::string> nonces(std::begin(kNoncesOfZero), std::end(kNoncesOfZero));
    nonces.emplace_back("nonce-000000001");
    SigningServer server(nonces);
    const std::string key(who);
    const std::size_t file = key.find('=') + 1;
    const std::string address =
        server.address() + key.substr(0, file) + (files / key.substr(file)).string();
    CHECK_NOTHROW(remote::NatsLink(remote::NatsAddress::parse({}, address)));
    CHECK(server.asked() == nonces.size());
    CHECK(server.said().starts_with("CONNECT {"));
    CHECK(server.said().find("\"sig\":\"") != std::string::npos);
    CHECK(server.said().find('\n') == server.said().size() - 1);
  }
}

TEST_CASE("nats: TLS is checked both ways", "[nats][doors]") {
  Source source(1);
  support::ScratchDir files;
  for (const char* const name : {"server", "client", "stranger"}) make_certificate(files, name);
  Broker broker(1, fmt::format("tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", "
                               "verify: true }}",
                               (files / "server.pem").string(), (files / "server.key").string(),
                               (files / "client.pem").string()));
  const auto as = [&](const std::string& who, const std::string& ca) {
    return std::vector<std::string>{"--once",
                                    "--ca",
                                    files / (ca + ".pem"),
                                    "--cert",
                                    files / (who + ".pem"),
                                    "--key",
                                    files / (who + ".key")};
  };
  REQUIRE(publish(source, broker, as("client", "server")).ok());
  const auto said = cat(fmt::format(
      "{}?tls=1&ca={}&cert={}&key={}", broker.address(), (files / "server.pem").string(),
      (files / "client.pem").string(), (files / "client.key").string()));
  CHECK(said.err == "");
  CHECK(said.out == source.cat());
}

TEST_CASE("nats: a handshake that fails is for a person", "[nats][doors]") {
  Source source(1);
  support::ScratchDir files;
  for (const char* const name : {"server", "client", "stranger"}) make_certificate(files, name);
  const auto file = [&](const std::string& name) { return (files / name).string(); };
  Broker broker(1, fmt::format("tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", "
                               "verify: true }}",
                               file("server.pem"), file("server.key"), file("client.pem")));
  const std::vector<std::vector<std::string>> wrong = {
      {},                            // the system's CAs do not know it
      {"--ca", file("server.pem")},  // without a certificate of ours
      {"--ca", file("stranger.pem"), "--cert", file("client.pem"), "--key", file("client.key")},
      {"--ca", file("server.pem"), "--cert", file("stranger.pem"), "--key", file("stranger.key")}};
  for (std::vector<std::string> more : wrong) {
    CAPTURE(more);
    const auto read = cat(broker.address(), more);
    CHECK(read.exit.code == 3);
    CHECK(read.err.find("TLS") != std::string::npos);
    auto published = publish(source, broker, more);  // also where it would go on
    CHECK(published.exit.code == 3);
    more.insert(more.begin(), "--once");
    CHECK(publish(source, broker, more).exit.code == 3);
  }
}

TEST_CASE("nats: what a user may not do is for a person, and said", "[nats][doors]") {
  Source source(1);
  // As docs/jetstream.md#rights says, and one that may do nothing.
  const std::string publisher =
      R"("$JS.API.STREAM.INFO.prod", "$JS.API.STREAM.CREATE.prod", "$JS.API.STREAM.UPDATE.prod",
         "$JS.API.STREAM.PURGE.prod", "$JS.API.STREAM.MSG.GET.prod", "ds.prod.>")";
  const std::string reader =
      R"("$JS.API.STREAM.INFO.prod", "$JS.API.STREAM.MSG.GET.prod", "$JS.API.DIRECT.GET.prod",
         "$JS.API.CONSUMER.CREATE.prod", "$JS.API.CONSUMER.CREATE.prod.>",
         "$JS.API.CONSUMER.DELETE.prod.>", "$JS.FC.>")";
  const auto user = [](const char* key, const std::string& may) {
    return fmt::format(
        "{{ nkey: {}, permissions: {{ publish: {{ allow: [ {} ] }}, "
        "subscribe: {{ allow: \"_INBOX.>\" }} }} }}",
        key, may);
  };
  support::ScratchDir files;
  support::write_file(files / "user", fmt::format("{}\n{}\n", kUserSeed, kUserKey));
  support::write_file(files / "other", fmt::format("{}\n{}\n", kOtherSeed, kOtherKey));
  const std::string as_user = "?nkey=" + (files / "user").string();
  const std::string as_other = "?nkey=" + (files / "other").string();
  Broker broker(1, fmt::format("authorization {{ users: [ {}, {} ] }}", user(kUserKey, publisher),
                               user(kOtherKey, reader)));
  const auto published = [&](const std::string& who) {
    return daystream_command(
        {"publish", source.path(), broker.address() + who, "--once", "--keep-days", "2"});
  };
  const auto refused = published(as_other);
  CHECK(refused.exit.code == 3);
  INFO(refused.err);
  CHECK(refused.err.find("Permissions Violation") != std::string::npos);
  source.add_days(4);
  REQUIRE(published(as_user).ok());
  const auto read = cat(broker.address() + as_other);
  CHECK(read.err == "");
  CHECK(source.cat().ends_with(read.out));
  CHECK(read.out.size() > 100);
  auto follower = daystream_process({"tail", broker.address() + as_other, "--follow"});
  const auto has_last = [&] {
    const std::string row = fmt::format("fox{}\t", source.number_);
    return follower.out().find(row) != std::string::npos || !follower.running();
  };
  CHECK(support::eventually(has_last));
  source.add(3);
  source.flush();
  REQUIRE(published(as_user).ok());
  CHECK(support::eventually(has_last));
  CHECK(follower.running());
  CHECK(follower.err() == "");  // it may do all that it tries
}

TEST_CASE("nats: a server without JetStream is for a person", "[nats][doors]") {
  Source source(1);
  Broker broker(1, "", Broker::JetStream::Off);
  const auto refused = publish(source, broker);
  CHECK(refused.exit.code == 3);
  CHECK(refused.err.find("JetStream") != std::string::npos);
}

TEST_CASE("nats: --once does not wait for a broker that it has never seen", "[nats][doors]") {
  Source source(1);
  Broker broker;
  broker.kill();
  CHECK(publish(source, broker).exit.code == 1);
  support::ScratchDir copies;
  CHECK(daystream_command({"pull", broker.address(), copies / "copy", "--once"}).exit.code == 1);
}

TEST_CASE("nats: TLS that is insisted on is not given up", "[nats][doors]") {
  Source source(1);
  Broker broker;
  REQUIRE(publish(source, broker).ok());
  const auto refused = cat(broker.address() + "?tls=1");
  CHECK(refused.exit.code == 3);
  CHECK(refused.out == "");
}
