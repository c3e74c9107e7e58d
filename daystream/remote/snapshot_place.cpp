#include "remote/snapshot_place.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "calendar.h"
#include "program/json.h"
#include "program/snapshot_name.h"
#include "remote/refusal.h"
#include "remote/s3_client.h"

namespace daystream::remote {

namespace {

// It becomes part of a file's name here.
bool is_sha256(const std::string& id) {
  return id.size() == 64 && id.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// PROTOCOL.md, "Snapshots".
class ServerPlace final : public SnapshotPlace {
 public:
  ServerPlace(Options options, const std::string& url)
      : options_(std::move(options)), base_(Url::parse(url).base) {}

  // Throws Behind where the server is still computing which it has.
  std::vector<ListedSnapshot> list() override {
    const std::string where = base_ + "/snapshots";
    const auto body = program::parse_json<nlohmann::json>(request(options_, "GET", where).body);
    try {
      offered_.clear();
      std::vector<ListedSnapshot> listed;
      for (const auto& each : body.at("snapshots")) {
        const auto id = each.at("id").get<std::string>();
        const auto taken = parse_utc_text(each.at("time").get<std::string>());
        if (!is_sha256(id) || !taken) throw not_understood(where);
        offered_[id] = {id, each.at("size_bytes").get<std::uint64_t>(),
                        fmt::format("{}/snapshot?id={}", base_, id)};
        listed.push_back({id, {}, taken->time_since_epoch().count()});
      }
      if (!listed.empty()) return listed;
      if (body.at("preparing").get<std::uint64_t>() > 0) {
        throw Behind(fmt::format("{}: the server is reading its snapshots", where));
      }
    } catch (const nlohmann::json::exception&) {
      throw not_understood(where);
    }
    throw NoSnapshot(fmt::format("{}: the server has no snapshot", where),
                     "put one into the directory of its --snapshots, or seed from PostgreSQL");
  }

  OfferedSnapshot offered(const ListedSnapshot& listed) override { return offered_.at(listed.key); }

  bool receive(const OfferedSnapshot& snapshot, std::uint64_t begin,
               const std::function<void(const std::string&)>& take, const Stop& stop) override {
    constexpr std::chrono::milliseconds kTurn{1000};
    Download download(options_, snapshot.where, begin);
    while (begin < snapshot.size_bytes) {
      if (stop.requested()) return false;
      if (!download.wait(kTurn, stop.fd())) continue;
      begin += download.bytes().size();
      take(download.bytes());
      download.bytes().clear();
    }
    return true;
  }

 private:
  static ProtocolError not_understood(const std::string& where) {
    return ProtocolError(fmt::format("{}: the answer cannot be understood", where));
  }

  const Options options_;
  const std::string base_;
  std::map<std::string, OfferedSnapshot> offered_;  // of the last list
};

// What `deltamirror snapshot MIRROR s3://…` puts there: MIRROR-20261121T101504Z.db.
class StoragePlace final : public SnapshotPlace {
 public:
  StoragePlace(const std::string& address, const Stop& stop)
      : client_(S3Address::parse(address), {.stop = stop}) {}

  std::vector<ListedSnapshot> list() override {
    std::vector<ListedSnapshot> listed;
    for (const S3Client::Object& object : client_.list("")) {
      const auto name = program::parse_snapshot_name(object.key);
      if (name) listed.push_back({object.key, name->stem, name->seconds});
    }
    if (listed.empty()) {
      throw NoSnapshot(fmt::format("{}: there is no snapshot", client_.address().name()),
                       "\"deltamirror snapshot MIRROR s3://…\" puts one there");
    }
    std::stable_sort(listed.begin(), listed.end(),
                     [](const auto& a, const auto& b) { return a.taken > b.taken; });
    return listed;
  }

  OfferedSnapshot offered(const ListedSnapshot& listed) override {
    const auto head = client_.head(listed.key);
    if (head && is_sha256(head->sha256)) {
      return {head->sha256, head->size_bytes, client_.address().name_of(listed.key)};
    }
    throw NeedsPerson(
        fmt::format("{}: its SHA-256 is not beside it", client_.address().name_of(listed.key)),
        "put it there by \"deltamirror snapshot MIRROR s3://…\"");
  }

  bool receive(const OfferedSnapshot& snapshot, std::uint64_t begin,
               const std::function<void(const std::string&)>& take, const Stop& stop) override {
    constexpr std::uint64_t kPiece = std::uint64_t{8} * 1024 * 1024;
    const std::string key = snapshot.where.substr(client_.address().name_of("").size());
    while (begin < snapshot.size_bytes) {
      if (stop.requested()) return false;
      const auto bytes =
          client_.get(key, S3Client::Range{begin, std::min(kPiece, snapshot.size_bytes - begin)});
      if (!bytes || bytes->empty()) {
        throw ConnectionLost(fmt::format("{} is not there any more", snapshot.where),
                             "a newer one is looked for");
      }
      begin += bytes->size();
      take(*bytes);
    }
    return true;
  }

 private:
  S3Client client_;
};

}  // namespace

std::unique_ptr<SnapshotPlace> snapshot_place(const Options& options, const std::string& address,
                                              const Stop& stop) {
  if (address.starts_with("http://") || address.starts_with("https://"))
    return std::make_unique<ServerPlace>(options, address);
  if (S3Address::is_one(address)) return std::make_unique<StoragePlace>(address, stop);
  throw ConfigError(fmt::format("cannot fetch a snapshot from \"{}\"", address),
                    "they come from the URL of a stream, https://HOST:PORT/NAME, or from "
                    "s3://BUCKET/PREFIX");
}

}  // namespace daystream::remote
