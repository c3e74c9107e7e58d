#include "remote/http_client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <optional>

#include "daystream/error.h"
#include "remote/curl_handles.h"
#include "remote/refusal.h"

namespace daystream::remote {

namespace {

using std::chrono::steady_clock;

constexpr long kConnectSeconds = 10;
constexpr long kProbeSeconds = 5;
constexpr long kWholeSeconds = 30;              // for a refusal, and the answer to a notice
constexpr std::size_t kMostNotice = 64 * 1024;  // of the answer to a notice

std::string trimmed(std::string text) {
  const char* const spaces = " \t\r\n";
  text.erase(0, text.find_first_not_of(spaces));
  const auto last = text.find_last_not_of(spaces);
  text.resize(last == std::string::npos ? 0 : last + 1);
  return text;
}

std::string read_token(const Options& options) {
  if (options.token_file.empty()) {
    const char* token = std::getenv("DAYSTREAM_TOKEN");
    return token != nullptr ? trimmed(token) : "";
  }
  std::ifstream file(options.token_file);
  std::string token;
  if (!std::getline(file, token)) {
    throw ConfigError(fmt::format("could not read token file \"{}\"", options.token_file),
                      "name a file that this user may read, with the token as its first line");
  }
  return trimmed(token);
}

// A host that is gone without a word is noticed also while our bytes are under way.
int prepare_socket(void*, curl_socket_t fd, curlsocktype) {
  const int most_ms = 30000;
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &most_ms, sizeof most_ms);
  fcntl(fd, F_SETFD, FD_CLOEXEC);  // no program that we start talks with our server
  return CURL_SOCKOPT_OK;
}

// One transfer: what curl calls back into, and how it was set up.
struct Transfer {
  Easy easy;
  List headers;
  Response response;
  std::string url;
  std::string ca;
  std::string cert;
  std::string key;
  std::size_t most_waiting = SIZE_MAX;    // of a good response: then it is paused
  std::size_t most_answer = kMostAnswer;  // of one that is read whole: then it is broken off
  std::size_t most_refusal = Download::kMostRefusal;
  bool paused = false;
  bool cut = false;  // it was broken off
  char error[CURL_ERROR_SIZE] = "";

  Transfer(const Options& options, std::string target)
      : url(std::move(target)), ca(options.ca), cert(options.cert), key(options.key) {
    easy = make_easy();
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_TCP_KEEPIDLE, 10L);
    set(CURLOPT_TCP_KEEPINTVL, 5L);
    set(CURLOPT_SOCKOPTFUNCTION, prepare_socket);
    set(CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
    set(CURLOPT_USERAGENT, "daystream/" DELTAFLOOD_VERSION);
    set(CURLOPT_ERRORBUFFER, error);
    set(CURLOPT_WRITEFUNCTION, receive);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_HEADERFUNCTION, receive_header);
    set(CURLOPT_HEADERDATA, this);
    if (!options.ca.empty()) set(CURLOPT_CAINFO, options.ca.c_str());
    if (!options.cert.empty()) set(CURLOPT_SSLCERT, options.cert.c_str());
    if (!options.key.empty()) set(CURLOPT_SSLKEY, options.key.c_str());
    add_header("Daystream-Host: " + own_host());
    const bool secure = url.starts_with("https://");
    const bool local = Url::is_local(url);
    // What the environment says of proxies is about other machines.
    if (local) set(CURLOPT_PROXY, "");
    const std::string token = token_for(options, url.substr(0, url.find('?')), secure);
    if (!token.empty()) add_header("Authorization: Bearer " + token);
    set(CURLOPT_HTTPHEADER, headers.get());
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  template <typename Value>
  void set(CURLoption option, Value value) {
    const CURLcode code = curl_easy_setopt(easy.get(), option, value);
    if (code != CURLE_OK)
      throw Error(fmt::format("libcurl: {}", curl_easy_strerror(code)),
                  "look at the URL, and at the files of certificates");
  }

  void add_header(const std::string& line) { append(headers, line); }

  // What OpenSSL says of bytes that are no TLS: of those that plain HTTP answers with.
  bool speaks_no_tls(CURLcode code) const {
    const std::string_view said = error;
    return code == CURLE_SSL_CONNECT_ERROR &&
           (said.find("wrong version") != said.npos || said.find("packet length") != said.npos ||
            said.find("record layer") != said.npos);
  }
  // What ends a connection without an answer, and is asked in the clear, may wait for TLS: then a
  // handshake comes to its end. No answer to that says nothing.
  bool speaks_tls(CURLcode code) const {
    if (!is_no_answer(code) || url.starts_with("https://")) return false;
    const Easy probe = make_easy();
    const std::string secure = "https" + url.substr(std::string_view("http").size());
    const auto set_up = [&](CURLoption option, auto value) {
      curl_easy_setopt(probe.get(), option, value);
    };
    set_up(CURLOPT_URL, secure.c_str());
    set_up(CURLOPT_CONNECT_ONLY, 1L);
    set_up(CURLOPT_NOSIGNAL, 1L);
    set_up(CURLOPT_TIMEOUT, kProbeSeconds);
    set_up(CURLOPT_SOCKOPTFUNCTION, prepare_socket);
    set_up(CURLOPT_SSL_VERIFYPEER, 0L);  // nothing is sent there
    set_up(CURLOPT_SSL_VERIFYHOST, 0L);
    if (Url::is_local(url)) set_up(CURLOPT_PROXY, "");
    return curl_easy_perform(probe.get()) == CURLE_OK;
  }
  bool is_no_answer(CURLcode code) const {
    return code == CURLE_GOT_NOTHING || code == CURLE_WEIRD_SERVER_REPLY ||
           (code == CURLE_RECV_ERROR && response.headers.empty());
  }
  // The certificate is good, but of somebody else: in curl's words, as it has no code for it.
  bool names_another_host() const {
    const std::string_view said = error;
    return said.find("no alternative certificate") != said.npos ||
           said.find("does not match target host") != said.npos;
  }
  std::string failure(CURLcode code) const {
    std::string words = error[0] != '\0' ? error : curl_easy_strerror(code);
    if (speaks_no_tls(code)) {
      words = "this port does not speak TLS";
    } else if (is_no_answer(code)) {
      words = "the server ended the connection without an answer";
    } else if (code == CURLE_PARTIAL_FILE) {
      words = "the server ended the connection in the middle of its answer";
    } else if (code == CURLE_SSL_CACERT_BADFILE) {
      words = fmt::format("could not read the certificates of \"{}\"", ca);
    } else if (code == CURLE_SSL_CERTPROBLEM) {
      words = fmt::format("could not use --cert \"{}\" with --key \"{}\"", cert, key);
    } else if (words.find("error:") != std::string::npos &&
               words.rfind("::") != std::string::npos) {
      words.erase(0, words.rfind("::") + 2);  // of error:0A00010B:SSL routines::unknown ca
    }
    return fmt::format("{}: {}", url.substr(0, url.find('?')), words);
  }
  std::string hint_of(CURLcode code) const {
    switch (code) {
      case CURLE_GOT_NOTHING:
      case CURLE_RECV_ERROR:
      case CURLE_WEIRD_SERVER_REPLY:
        return "the server's log says why it ended the connection";
      case CURLE_SSL_CONNECT_ERROR:
        return "look at the server's --tls-cert and --client-ca, and at --cert here";
      case CURLE_COULDNT_RESOLVE_HOST:
        return "no such host is known here: look at the URL and at the DNS";
      case CURLE_COULDNT_CONNECT:
        return "look at host and port, whether \"daystream serve\" runs there, and at firewalls";
      default:
        return "look at the URL, at the server's log, and at the network in between";
    }
  }
  [[noreturn]] void fail(CURLcode code) const {
    constexpr auto kRefused = Reason::Refused;
    if (speaks_no_tls(code)) {
      throw ConnectionLost(failure(code),
                           "write http:// if it is to be read in the clear, or look at the port",
                           kRefused);
    }
    if (speaks_tls(code)) {
      throw ConnectionLost(fmt::format("{}: this port speaks TLS", url.substr(0, url.find('?'))),
                           "write https://", kRefused);
    }
    switch (code) {
      case CURLE_SSL_CACERT_BADFILE:
        throw ConfigError(failure(code), "name a file with --ca that is there, in PEM");
      case CURLE_PEER_FAILED_VERIFICATION:
        throw NeedsPerson(failure(code),
                          names_another_host()
                              ? "write the host in the URL as the server's certificate names it"
                              : "see --ca for who may vouch for the server");
      case CURLE_SSL_CERTPROBLEM:
        throw ConfigError(failure(code),
                          "name files that this user may read, in PEM, a certificate and its key: "
                          "openssl x509 -in CERT -noout -subject");
      case CURLE_SSL_CIPHER:
        throw NeedsPerson(failure(code),
                          "look at the server's --tls-cert: its key is of a kind "
                          "that is not taken here");
      default:
        throw ConnectionLost(failure(code), hint_of(code));
    }
  }

  static std::size_t receive(char* bytes, std::size_t one, std::size_t size, void* self) {
    auto* transfer = static_cast<Transfer*>(self);
    std::string& body = transfer->response.body;
    const bool good = transfer->status() / 100 == 2;
    if (good && body.size() >= transfer->most_waiting) {
      transfer->paused = true;
      return CURL_WRITEFUNC_PAUSE;
    }
    const std::size_t most = good ? transfer->most_answer : transfer->most_refusal;
    if (body.size() + one * size > most) {
      transfer->cut = true;
      body.append(bytes, most - std::min(most, body.size()));
      return 0;  // curl ends it
    }
    body.append(bytes, one * size);
    return one * size;
  }

  static std::size_t receive_header(char* bytes, std::size_t one, std::size_t size, void* self) {
    auto& headers = static_cast<Transfer*>(self)->response.headers;
    const std::string line(bytes, one * size);
    if (line.starts_with("HTTP/")) headers.clear();  // after a 100
    const auto colon = line.find(':');
    if (colon != std::string::npos) {
      std::string name = line.substr(0, colon);
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      headers[name] = trimmed(line.substr(colon + 1));
    }
    return one * size;
  }

  int status() const {
    long code = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &code);
    return static_cast<int>(code);
  }
};

}  // namespace

std::string own_host() {
  char host[256] = "";
  return gethostname(host, sizeof host - 1) == 0 ? host : "";
}

Options options_from_environment() {
  const auto environment = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr ? value : "");
  };
  return {.ca = environment("DAYSTREAM_CA"),
          .cert = environment("DAYSTREAM_CERT"),
          .key = environment("DAYSTREAM_KEY"),
          .token_file = environment("DAYSTREAM_TOKEN_FILE"),
          .token_in_the_clear = environment("DAYSTREAM_TOKEN_IN_THE_CLEAR") == "1",
          .creds = environment("DAYSTREAM_CREDS"),
          .nkey = environment("DAYSTREAM_NKEY"),
          .fallback = environment("DAYSTREAM_FALLBACK")};
}

std::string token_for(const Options& options, const std::string& server, bool secure) {
  std::string token = read_token(options);
  if (!token.empty() && !secure && !Url::is_local(server) && !options.token_in_the_clear) {
    throw NeedsPerson(fmt::format("{}: a token is not sent without TLS", server),
                      "use https://, or see --token-in-the-clear for a network that nobody reads "
                      "along on");
  }
  return token;
}

bool Url::is_local(std::string_view text) {
  const auto scheme = text.find("://");
  std::string host(scheme == std::string_view::npos ? text : text.substr(scheme + 3));
  host.resize(std::min(host.size(), host.find_first_of("/?#")));
  if (host.find('@') != std::string::npos) return false;
  if (host.starts_with('[')) {
    host = host.substr(1, host.find(']') - 1);
  } else {
    host.resize(std::min(host.size(), host.find(':')));
  }
  std::transform(host.begin(), host.end(), host.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6) != 0;
  return host == "localhost";
}

Url Url::parse(const std::string& text) {
  const auto bad = [&text](const char* why) {
    return ConfigError(fmt::format("cannot read from \"{}\": {}", text, why),
                       "a daystream of another host is http://HOST:PORT/NAME or https://…");
  };
  Url url;
  url.base = text;
  while (url.base.ends_with('/')) url.base.pop_back();
  if (!text.starts_with("http://") && !text.starts_with("https://")) throw bad("it is no URL");
  const auto host = url.base.find("://") + 3;
  const auto slash = url.base.find('/', host);
  if (slash == std::string::npos) throw bad("it names no stream");
  if (url.base.find_first_of("?#") != std::string::npos) throw bad("it has a query");
  if (url.base.substr(host, slash - host).find('@') != std::string::npos) {
    throw ConfigError("an URL is no place for a user or password", "see --token-file");
  }
  url.name = url.base.substr(url.base.rfind('/') + 1);
  return url;
}

namespace {

Response whole_answer(Transfer& transfer, CURLcode code) {
  transfer.response.status = transfer.status();
  if (transfer.cut && transfer.response.status / 100 == 2) {
    throw ProtocolError(fmt::format("{}: the answer is larger than {} MiB",
                                    transfer.url.substr(0, transfer.url.find('?')),
                                    kMostAnswer / (1024 * 1024)));
  }
  if (code != CURLE_OK && !transfer.cut) transfer.fail(code);
  if (transfer.response.status / 100 != 2) throw_refusal(transfer.url, transfer.response);
  return std::move(transfer.response);
}

}  // namespace

Response request(const Options& options, const std::string& method, const std::string& url) {
  Transfer transfer(options, url);
  transfer.set(CURLOPT_TIMEOUT, static_cast<long>(options.answer_within.count()));
  if (method != "GET") {
    transfer.set(CURLOPT_POSTFIELDS, "");
    transfer.set(CURLOPT_CUSTOMREQUEST, method.c_str());
  }
  return whole_answer(transfer, curl_easy_perform(transfer.easy.get()));
}

namespace {

// nullopt: asked to stop.
std::optional<Response> answer_within(Transfer& transfer, std::chrono::seconds most,
                                      const Stop& stop) {
  constexpr int kBetweenLooksMs = 1000;  // at a stop without a descriptor
  transfer.set(CURLOPT_TIMEOUT, static_cast<long>(most.count()));
  const Multi multi(curl_multi_init());
  curl_multi_add_handle(multi.get(), transfer.easy.get());
  int running = 1;
  while (running != 0 && !stop.requested()) {
    curl_multi_perform(multi.get(), &running);
    if (running == 0) break;
    curl_waitfd extra{stop.fd(), CURL_WAIT_POLLIN, 0};
    curl_multi_poll(multi.get(), &extra, stop.fd() < 0 ? 0 : 1, kBetweenLooksMs, nullptr);
  }
  int left = 0;
  const CURLMsg* const message = running == 0 ? curl_multi_info_read(multi.get(), &left) : nullptr;
  const CURLcode code = message != nullptr ? message->data.result : CURLE_OK;
  curl_multi_remove_handle(multi.get(), transfer.easy.get());
  if (running != 0) return std::nullopt;
  return whole_answer(transfer, code);
}

}  // namespace

std::optional<Response> long_request(const Options& options, const std::string& url,
                                     std::chrono::seconds most, const Stop& stop) {
  Transfer transfer(options, url);
  return answer_within(transfer, most, stop);
}

std::optional<Response> post_json(const Options& options, const std::string& url,
                                  const std::string& body, const Stop& stop) {
  Transfer transfer(options, url);
  transfer.add_header("Content-Type: application/json");
  transfer.add_header("Expect:");  // it is small: nobody need be asked whether it may come
  transfer.set(CURLOPT_HTTPHEADER, transfer.headers.get());
  transfer.set(CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
  transfer.set(CURLOPT_POSTFIELDS, body.c_str());
  return answer_within(transfer, std::chrono::seconds(kWholeSeconds), stop);
}

class Download::Impl {
 public:
  Impl(const Options& options, const std::string& url, std::uint64_t from)
      : multi_(curl_multi_init()), transfer_(options, url), heard_(steady_clock::now()) {
    transfer_.most_waiting = kMostWaiting;
    transfer_.most_answer = SIZE_MAX;
    // Within one machine bytes cost less than compressing them.
    if (!Url::is_local(url)) transfer_.set(CURLOPT_ACCEPT_ENCODING, "zstd");
    if (from > 0) {
      transfer_.set(CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(from));
      transfer_.set(CURLOPT_ACCEPT_ENCODING, static_cast<const char*>(nullptr));
    }
    if (!multi_ || curl_multi_add_handle(multi_.get(), transfer_.easy.get()) != CURLM_OK) {
      throw Error("could not start libcurl", "look at its libraries: ldd");
    }
  }
  ~Impl() { curl_multi_remove_handle(multi_.get(), transfer_.easy.get()); }

  bool wait(std::chrono::milliseconds timeout, int wake_fd) {
    const auto deadline = steady_clock::now() + timeout;
    for (;;) {
      if (turn()) return true;
      const auto now = steady_clock::now();
      if (now >= deadline) return false;
      const auto silent_at = heard_ + kSilence;
      if (now >= silent_at) {
        throw ConnectionLost(
            fmt::format("{}: the server has been silent for {} s", name(), kSilence.count()),
            "it tries again; look whether the server hangs, and at the network in between");
      }
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(std::min(deadline, silent_at) - now);
      curl_waitfd extra{wake_fd, CURL_WAIT_POLLIN, 0};
      curl_multi_poll(multi_.get(), &extra, wake_fd < 0 ? 0 : 1,
                      static_cast<int>(std::min<std::int64_t>(left.count(), 60000)), nullptr);
      if (extra.revents != 0) return turn();
    }
  }

  Transfer& transfer() { return transfer_; }

 private:
  // Lets curl do what can be done now. True: bytes of a good response wait.
  bool turn() {
    std::string& body = transfer_.response.body;
    if (transfer_.paused && body.size() < kMostWaiting / 2) {
      transfer_.paused = false;
      heard_ = steady_clock::now();  // it was we who did not listen
      curl_easy_pause(transfer_.easy.get(), CURLPAUSE_CONT);
    }
    const std::size_t before = body.size();
    int running = 0;
    if (!ended_) curl_multi_perform(multi_.get(), &running);
    if (body.size() != before || transfer_.paused) heard_ = steady_clock::now();
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      ended_ = true;
      code_ = message->data.result;
    }
    const int status = transfer_.status();
    if (status / 100 == 2 && !body.empty()) return true;
    // A refusal is as good as what has come of it by then.
    const bool refused = status >= 300;
    if (refused && !refused_at_) refused_at_ = steady_clock::now();
    const bool enough =
        refused && steady_clock::now() - *refused_at_ > std::chrono::seconds(kWholeSeconds);
    if (!ended_ && !enough) return false;
    if (code_ != CURLE_OK && !transfer_.cut) transfer_.fail(code_);
    transfer_.response.status = status;
    if (status / 100 != 2) throw_refusal(transfer_.url, transfer_.response);
    throw ConnectionLost(fmt::format("{}: the server ended the response", name()),
                         "it tries again; the server's log says why it ended it");
  }

  std::string name() const { return transfer_.url.substr(0, transfer_.url.find('?')); }

  Multi multi_;
  Transfer transfer_;
  steady_clock::time_point heard_;
  std::optional<steady_clock::time_point> refused_at_;
  bool ended_ = false;
  CURLcode code_ = CURLE_OK;
};

class Notices::Impl {
 public:
  explicit Impl(Options options) : options_(std::move(options)), multi_(curl_multi_init()) {}
  ~Impl() { stop(); }

  bool busy() const { return transfer_ != nullptr; }
  void post(const std::string& url) {
    if (busy()) return;
    answer_.reset();
    transfer_ = std::make_unique<Transfer>(options_, url);
    transfer_->most_answer = kMostNotice;
    transfer_->set(CURLOPT_TIMEOUT, kWholeSeconds);
    transfer_->set(CURLOPT_POSTFIELDS, "");
    curl_multi_add_handle(multi_.get(), transfer_->easy.get());
    turn();
  }
  void turn() {
    if (!busy()) return;
    int running = 0;
    curl_multi_perform(multi_.get(), &running);
    if (running != 0) return;
    int left = 0;
    const CURLMsg* const message = curl_multi_info_read(multi_.get(), &left);
    const bool is_whole = message != nullptr && message->data.result == CURLE_OK;
    if (is_whole && transfer_->status() / 100 == 2) {
      transfer_->response.status = transfer_->status();
      answer_ = std::move(transfer_->response);
    }
    stop();
  }
  std::optional<Response> take_answer() { return std::exchange(answer_, std::nullopt); }

 private:
  void stop() {
    if (busy()) curl_multi_remove_handle(multi_.get(), transfer_->easy.get());
    transfer_.reset();
  }

  Options options_;
  Multi multi_;
  std::unique_ptr<Transfer> transfer_;
  std::optional<Response> answer_;
};

Notices::Notices(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Notices::~Notices() = default;
bool Notices::busy() const noexcept {
  return impl_->busy();
}
void Notices::post(const std::string& url) {
  impl_->post(url);
}
void Notices::turn() {
  impl_->turn();
}
std::optional<Response> Notices::take_answer() {
  return impl_->take_answer();
}

Download::Download(const Options& options, const std::string& url, std::uint64_t from)
    : impl_(std::make_unique<Impl>(options, url, from)) {}
Download::~Download() = default;

bool Download::wait(std::chrono::milliseconds timeout, int wake_fd) {
  return impl_->wait(timeout, wake_fd);
}
std::string& Download::bytes() noexcept {
  return impl_->transfer().response.body;
}
std::string Download::header(const std::string& name) const {
  const auto& headers = impl_->transfer().response.headers;
  const auto found = headers.find(name);
  return found != headers.end() ? found->second : "";
}

}  // namespace daystream::remote
