#include "remote/s3_client.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <ctime>
#include <map>

#include "program/pauses.h"
#include "program/sha256.h"
#include "remote/curl_handles.h"
#include "remote/http_client.h"
#include "remote/s3_answer.h"
#include "src/waiting.h"

namespace daystream::remote {

namespace {

using std::chrono::steady_clock;

constexpr long kConnectSeconds = 10;
constexpr long kSlowBytesPerSecond = 1000;
constexpr const char* kSha256Header = "x-amz-meta-ds-sha256";

std::string digest_md5(std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_md5(), nullptr) != 1) {
    throw Error("could not compute an MD5", "look at the installation of OpenSSL");
  }
  return {reinterpret_cast<const char*>(digest), size};
}

std::string base64_of(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

std::uint64_t number_of(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string amz_time() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &utc)};
}

std::string without_quotes(std::string text) {
  text.erase(std::remove(text.begin(), text.end(), '"'), text.end());
  return text;
}

}  // namespace

std::string md5_of(std::string_view bytes) {
  std::string hex;
  for (const char c : digest_md5(bytes))
    hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return hex;
}

struct S3Client::Request {
  std::string method;
  std::string key;  // empty: the bucket
  std::vector<std::pair<std::string, std::string>> query = {};
  std::map<std::string, std::string> headers = {};
  std::string_view body = {};
  bool of_the_whole_bucket = false;  // not below the prefix: a list
};

struct S3Client::Answer : Response {
  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found != headers.end() ? found->second : "";
  }
};

// One connection, which is used for request after request.
class S3Client::Wire {
 public:
  explicit Wire(const S3Patience& patience) : patience_(patience), easy_(make_easy()) {}

  Answer exchange(const S3Address& address, const Request& request, const std::string& what) {
    curl_easy_reset(easy_.get());
    answer_ = {};
    error_[0] = '\0';
    const S3Credentials credentials = s3_credentials();
    const S3Signable signable = signable_of(address, request, credentials);
    const List headers = headers_of(signable, address, credentials);
    const std::string query = s3_encoded_query(request.query);
    const std::string url =
        address.base_url() + s3_encoded_path(signable.path) + (query.empty() ? "" : "?" + query);
    set_up(url, headers, request);
    const CURLcode code = curl_easy_perform(easy_.get());
    if (code == CURLE_ABORTED_BY_CALLBACK) throw Stopped();
    if (code != CURLE_OK) fail(code, what, address);
    long status = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
    answer_.status = static_cast<int>(status);
    return std::move(answer_);
  }

 private:
  static S3Signable signable_of(const S3Address& address, const Request& request,
                                const S3Credentials& credentials) {
    S3Signable signable{request.method, address.path_of(request.key), request.query,
                        request.headers, program::sha256_of(request.body)};
    if (request.of_the_whole_bucket)
      signable.path = address.virtual_host ? "/" : "/" + address.bucket;
    signable.headers["host"] = address.host();
    signable.headers["x-amz-date"] = amz_time();
    signable.headers["x-amz-content-sha256"] = signable.payload_sha256;
    if (!request.body.empty()) signable.headers["content-type"] = "application/octet-stream";
    if (!credentials.token.empty()) signable.headers["x-amz-security-token"] = credentials.token;
    return signable;
  }

  static List headers_of(const S3Signable& signable, const S3Address& address,
                         const S3Credentials& credentials) {
    List headers;
    for (const auto& [name, value] : signable.headers) {
      append(headers, fmt::format("{}: {}", name, value));
    }
    append(headers, "authorization: " + s3_authorization(signable, credentials, address.region));
    append(headers, "expect:");  // no pause before the body
    if (!signable.headers.contains("content-type")) append(headers, "content-type:");
    return headers;
  }

  template <typename Value>
  void set(CURLoption option, Value value) {
    if (const CURLcode code = curl_easy_setopt(easy_.get(), option, value); code != CURLE_OK) {
      throw Error(fmt::format("libcurl: {}", curl_easy_strerror(code)), "look at the endpoint");
    }
  }

  void set_up(const std::string& url, const List& headers, const Request& request) {
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_PATH_AS_IS, 1L);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    set(CURLOPT_LOW_SPEED_LIMIT, kSlowBytesPerSecond);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(patience_.silence.count()));
    set(CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
    set(CURLOPT_USERAGENT, "daystream/" DELTAFLOOD_VERSION);
    set(CURLOPT_ERRORBUFFER, error_);
    set(CURLOPT_HTTPHEADER, headers.get());
    set(CURLOPT_WRITEFUNCTION, receive);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_HEADERFUNCTION, receive_header);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, look);
    set(CURLOPT_XFERINFODATA, this);
    set(CURLOPT_SOCKOPTFUNCTION, close_in_children);
    if (const char* ca = std::getenv("AWS_CA_BUNDLE"); ca != nullptr && *ca != '\0') {
      set(CURLOPT_CAINFO, ca);
    }
    if (Url::is_local(url)) set(CURLOPT_PROXY, "");
    if (request.method == "HEAD") {
      set(CURLOPT_NOBODY, 1L);
    } else if (request.method != "GET") {
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      set(CURLOPT_POSTFIELDS, request.body.empty() ? "" : request.body.data());
      set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }
  }

  [[noreturn]] void fail(CURLcode code, const std::string& what, const S3Address& address) const {
    const std::string text = fmt::format("{}: {}: {}", what, address.base_url(),
                                         error_[0] != '\0' ? error_ : curl_easy_strerror(code));
    switch (code) {
      case CURLE_PEER_FAILED_VERIFICATION:
      case CURLE_SSL_CACERT_BADFILE:
        throw NeedsPerson(text, "AWS_CA_BUNDLE names a file with who may vouch for the endpoint");
      case CURLE_URL_MALFORMAT:
      case CURLE_UNSUPPORTED_PROTOCOL:
        throw NeedsPerson(text, "look at the endpoint");
      default:
        throw ConnectionLost(text, "look at the endpoint, and at the network in between");
    }
  }

  static int look(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    const auto& stop = static_cast<Wire*>(self)->patience_.stop;
    return stop.requested() ? 1 : 0;
  }
  static int close_in_children(void*, curl_socket_t fd, curlsocktype) {
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return CURL_SOCKOPT_OK;
  }
  static std::size_t receive(char* bytes, std::size_t one, std::size_t size, void* self) {
    static_cast<Wire*>(self)->answer_.body.append(bytes, one * size);
    return one * size;
  }
  static std::size_t receive_header(char* bytes, std::size_t one, std::size_t size, void* self) {
    auto& headers = static_cast<Wire*>(self)->answer_.headers;
    std::string_view line(bytes, one * size);
    if (line.starts_with("HTTP/")) headers.clear();
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return one * size;
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    line.remove_prefix(colon + 1);
    const auto begin = std::min(line.find_first_not_of(" \t"), line.size());
    line.remove_prefix(begin);
    headers[name] = std::string(line.substr(0, line.find_last_not_of("\r\n \t") + 1));
    return one * size;
  }

  const S3Patience& patience_;
  Easy easy_;
  Answer answer_;
  char error_[CURL_ERROR_SIZE] = "";
};

S3Client::S3Client(S3Address address, S3Patience patience)
    : address_(std::move(address)), patience_(std::move(patience)) {}
S3Client::~S3Client() = default;

S3Client::Answer S3Client::send_once(const Request& request) {
  const std::string what = request.key.empty() ? address_.name() : address_.name_of(request.key);
  if (!wire_) wire_ = std::make_unique<Wire>(patience_);
  ++requests_;
  Answer answer = wire_->exchange(address_, request, what);
  const bool is_missing = answer.status == 404 && xml_text(answer.body, "Code") != "NoSuchBucket";
  // Of a part that is put together the server says "200" first and what is wrong later.
  const bool failed_late = answer.status == 200 && answer.body.find("<Error>") != std::string::npos;
  if (failed_late) answer.status = 500;
  if (answer.status / 100 != 2 && answer.status != 416 && !is_missing) {
    throw_s3_refusal(what, address_, answer);
  }
  return answer;
}

S3Client::Answer S3Client::send(const Request& request) {
  const std::lock_guard lock(mutex_);
  program::Pauses pauses;
  std::optional<steady_clock::time_point> give_up_at;
  for (;;) {
    try {
      return send_once(request);
    } catch (const ConnectionLost&) {
      const auto now = steady_clock::now();
      if (!give_up_at) give_up_at = now + patience_.whole;
      const auto pause = pauses.next();
      if (now + pause > *give_up_at) throw;
      if (!sleep(patience_.stop, pause)) throw Stopped();
    }
  }
}

std::optional<std::string> S3Client::get(const std::string& key, std::optional<Range> range) {
  Request request{"GET", key};
  if (range) {
    request.headers["range"] =
        fmt::format("bytes={}-{}", range->begin, range->begin + range->size - 1);
  }
  Answer answer = send(request);
  if (answer.status == 404) return std::nullopt;
  if (answer.status == 416) return "";
  // A server that knows no ranges sends all.
  if (range && answer.status == 200) {
    answer.body.erase(0, std::min<std::uint64_t>(range->begin, answer.body.size()));
    if (answer.body.size() > range->size) answer.body.resize(range->size);
  }
  return std::move(answer.body);
}

std::optional<S3Client::Head> S3Client::head(const std::string& key) {
  const Answer answer = send({"HEAD", key});
  if (answer.status == 404) return std::nullopt;
  return Head{number_of(answer.header("content-length")), answer.header(kSha256Header)};
}

void S3Client::put(const std::string& key, std::string_view body, const std::string& sha256) {
  Request request{"PUT", key};
  request.body = body;
  request.headers[kSha256Header] = sha256;
  request.headers["content-md5"] = base64_of(digest_md5(body));
  send(request);
}

void S3Client::remove(const std::string& key) {
  send({"DELETE", key});
}

std::vector<S3Client::Object> S3Client::list(const std::string& beginning) {
  const std::string before = address_.prefix.empty() ? "" : address_.prefix + "/";
  std::vector<Object> objects;
  for (std::string token;;) {
    Request request{"GET", ""};
    request.of_the_whole_bucket = true;
    request.query = {{"list-type", "2"}, {"max-keys", "1000"}, {"prefix", before + beginning}};
    if (!token.empty()) request.query.emplace_back("continuation-token", token);
    const Answer answer = send(request);
    if (answer.body.find("<ListBucketResult") == std::string::npos) {
      throw ProtocolError(fmt::format("{}: the answer is no list of objects", address_.name()),
                          "look whether the endpoint speaks the S3 protocol");
    }
    // Half of a list is one of fewer objects.
    if (answer.body.find("</ListBucketResult>") == std::string::npos) {
      throw ConnectionLost(fmt::format("{}: the list of objects is cut short", address_.name()),
                           "look at what is between here and the endpoint");
    }
    std::size_t at = 0;
    while (const auto inside = xml_inside(answer.body, "Contents", at)) {
      std::string key = xml_text(*inside, "Key");
      if (!key.starts_with(before)) continue;
      objects.push_back({key.substr(before.size()), number_of(xml_text(*inside, "Size"))});
    }
    token = xml_text(answer.body, "NextContinuationToken");
    if (xml_text(answer.body, "IsTruncated") != "true" || token.empty()) break;
  }
  std::sort(objects.begin(), objects.end(),
            [](const Object& a, const Object& b) { return a.key < b.key; });
  return objects;
}

std::string S3Client::begin_parts(const std::string& key, const std::string& sha256) {
  Request request{"POST", key};
  request.query = {{"uploads", ""}};
  request.headers[kSha256Header] = sha256;
  const Answer answer = send(request);
  std::string upload = xml_text(answer.body, "UploadId");
  if (upload.empty()) {
    throw ProtocolError(fmt::format("{}: the answer names no upload", address_.name_of(key)),
                        "look whether the endpoint speaks the S3 protocol");
  }
  return upload;
}

std::optional<std::string> S3Client::begun_parts(const std::string& key) {
  Request request{"GET", ""};
  request.of_the_whole_bucket = true;
  const std::string path = address_.prefix.empty() ? key : address_.prefix + "/" + key;
  request.query = {{"uploads", ""}, {"prefix", path}};
  std::string newest;
  std::string newest_time;
  try {
    const Answer answer = send(request);
    std::size_t at = 0;
    while (const auto inside = xml_inside(answer.body, "Upload", at)) {
      const std::string time = xml_text(*inside, "Initiated");
      if (xml_text(*inside, "Key") != path || time < newest_time) continue;
      newest = xml_text(*inside, "UploadId");
      newest_time = time;
    }
  } catch (const NeedsPerson&) {
    return std::nullopt;  // it may be forbidden, or unknown: then all of it is sent
  } catch (const ProtocolError&) {
    return std::nullopt;
  }
  if (newest.empty()) return std::nullopt;
  return newest;
}

std::map<int, S3Client::Part> S3Client::parts(const std::string& key, const std::string& upload) {
  std::map<int, Part> found;
  for (std::string marker;;) {
    Request request{"GET", key};
    request.query = {{"uploadId", upload}};
    if (!marker.empty()) request.query.emplace_back("part-number-marker", marker);
    const Answer answer = send(request);
    if (answer.status == 404) return {};
    std::size_t at = 0;
    while (const auto inside = xml_inside(answer.body, "Part", at)) {
      const auto number = static_cast<int>(number_of(xml_text(*inside, "PartNumber")));
      found[number] = {number_of(xml_text(*inside, "Size")),
                       without_quotes(xml_text(*inside, "ETag"))};
    }
    marker = xml_text(answer.body, "NextPartNumberMarker");
    if (xml_text(answer.body, "IsTruncated") != "true" || marker.empty()) return found;
  }
}

S3Client::Part S3Client::put_part(const std::string& key, const std::string& upload, int number,
                                  std::string_view body) {
  Request request{"PUT", key};
  request.query = {{"partNumber", std::to_string(number)}, {"uploadId", upload}};
  request.headers["content-md5"] = base64_of(digest_md5(body));
  request.body = body;
  const Answer answer = send(request);
  if (answer.status == 404) {
    throw ConnectionLost(fmt::format("{}: the upload was ended", address_.name_of(key)),
                         "it begins again; another archive may be at work there");
  }
  return {body.size(), without_quotes(answer.header("etag"))};
}

void S3Client::complete(const std::string& key, const std::string& upload,
                        const std::vector<Part>& parts) {
  std::string xml = "<CompleteMultipartUpload>";
  int number = 0;
  for (const Part& part : parts) {
    xml += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>&quot;{}&quot;</ETag></Part>",
                       ++number, xml_escaped(part.etag));
  }
  xml += "</CompleteMultipartUpload>";
  Request request{"POST", key};
  request.query = {{"uploadId", upload}};
  request.body = xml;
  const Answer answer = send(request);
  // Also of one that was put together, whose answer was lost: who asks looks whether it is there.
  if (answer.status == 404) {
    throw ConnectionLost(fmt::format("{}: the upload was ended", address_.name_of(key)),
                         "it begins again; another archive may be at work there");
  }
}

}  // namespace daystream::remote
