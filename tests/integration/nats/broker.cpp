#include "broker.h"

#include <fmt/format.h>

#include <csignal>
#include <stdexcept>

#include "support/free_port.h"
#include "support/temp_dir.h"
#include "support/wait.h"

namespace nats_test {

namespace {

// A file that is written grows by blocks, of which the end is not written yet.
std::string written(const std::filesystem::path& file) {
  std::string bytes = support::read_file(file);
  bytes.erase(bytes.find_last_not_of('\0') + 1);
  return bytes;
}

}  // namespace

Broker::Broker(int servers, std::string more, JetStream jetstream)
    : more_(std::move(more)), jetstream_(jetstream) {
  for (int i = 0; i < servers; ++i) {
    ports_.push_back(support::free_port());
    routes_.push_back(support::free_port());
  }
  processes_.resize(static_cast<std::size_t>(servers));
  for (int i = 0; i < servers; ++i) {
    write_config(i);
    start(i);
  }
}

std::filesystem::path Broker::store(int server) const {
  return folder_.path() / std::to_string(server);
}

void Broker::write_config(int server) const {
  const auto at = static_cast<std::size_t>(server);
  std::string text =
      fmt::format("listen: 127.0.0.1:{}\nserver_name: n{}\n{}\n", ports_.at(at), server, more_);
  if (jetstream_ == JetStream::On) {
    text += fmt::format("jetstream {{ store_dir: \"{}\", max_mem: 64MB, max_file: 4GB }}\n",
                        store(server).string());
  }
  if (ports_.size() > 1) {
    std::string routes;
    for (const int port : routes_) routes += fmt::format("nats://127.0.0.1:{}\n", port);
    text += fmt::format("cluster {{ name: c, listen: 127.0.0.1:{}, routes: [\n{}] }}\n",
                        routes_.at(at), routes);
  }
  support::write_file(folder_ / fmt::format("{}.conf", server), text);
}

void Broker::start(int server) {
  const auto at = static_cast<std::size_t>(server);
  auto& process = processes_.at(at);
  process.emplace(std::vector<std::string>{NATS_SERVER, "-c",
                                           (folder_ / fmt::format("{}.conf", server)).string()});
  const auto ready = [&] { return !process->running() || support::listens(ports_.at(at)); };
  if (!support::eventually(ready) || !process->running()) {
    throw std::runtime_error("nats-server: " + process->err());
  }
}

void Broker::kill(int server) {
  signal(SIGKILL, server);
  processes_.at(static_cast<std::size_t>(server))->wait();
}

void Broker::signal(int number, int server) {
  processes_.at(static_cast<std::size_t>(server))->signal(number);
}

std::string Broker::log(int server) const {
  return processes_.at(static_cast<std::size_t>(server))->err();
}

std::string Broker::address(const std::string& stream) const {
  std::string hosts;
  for (const int port : ports_) {
    hosts += fmt::format("{}127.0.0.1:{}", hosts.empty() ? "" : ",", port);
  }
  return fmt::format("nats://{}/{}", hosts, stream);
}

std::string Broker::address_of(int server, const std::string& stream) const {
  return fmt::format("nats://127.0.0.1:{}/{}", port(server), stream);
}

std::optional<int> Broker::leader_of(const std::string& stream) const {
  try {
    const auto info = link_to(address(stream)).api("STREAM.INFO." + stream, nullptr);
    const std::string name = info->at("cluster").at("leader");
    return std::stoi(name.substr(1));
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

Random seeded(const std::string& test) {
  static const std::uint64_t seed = [] {
    const char* const given = std::getenv("DELTAFLOOD_FAULT_SEED");
    const std::uint64_t value = given != nullptr ? std::stoull(given) : std::random_device{}();
    std::fprintf(stderr, "seed: DELTAFLOOD_FAULT_SEED=%llu repeats this run\n",
                 static_cast<unsigned long long>(value));
    return value;
  }();
  std::seed_seq sequence{seed, std::uint64_t{std::hash<std::string>{}(test)}};
  return Random(sequence);
}

int rounds(int usual, int many) {
  if (const char* const given = std::getenv("DELTAFLOOD_FAULT_ROUNDS")) return std::atoi(given);
  return std::getenv("DELTAFLOOD_FAULT_LONG") != nullptr ? many : usual;
}

std::filesystem::path copy_of(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
  return to;
}

void put_back(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::filesystem::remove_all(to);
  copy_of(from, to);
}

std::vector<std::filesystem::path> block_files(const std::filesystem::path& store) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(store)) {
    if (entry.path().extension() == ".blk") files.push_back(entry.path());
  }
  return files;
}

void flip_a_bit(const std::filesystem::path& file, Random& random) {
  std::string bytes = support::read_file(file);
  if (bytes.empty()) return;
  bytes[random() % bytes.size()] ^= static_cast<char>(1 << (random() % 8));
  support::write_file(file, bytes);
}

std::string difference(const std::filesystem::path& one, const std::filesystem::path& other) {
  std::string out;
  const auto compare = [&](const std::filesystem::path& from, const std::filesystem::path& to) {
    for (const auto& entry : std::filesystem::directory_iterator(from)) {
      const auto name = entry.path().filename();
      if (name.extension() != ".tsv") continue;
      if (!std::filesystem::exists(to / name)) {
        out += fmt::format("{} is not in {}; ", name.string(), to.string());
      } else if (written(entry.path()) != written(to / name)) {
        out += fmt::format("{} differs; ", name.string());
      }
    }
  };
  compare(one, other);
  compare(other, one);
  return out;
}

}  // namespace nats_test
