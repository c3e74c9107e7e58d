#include "object_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include "support/free_port.h"
#include "support/temp_dir.h"
#include "support/wait.h"

namespace archive_test {

namespace {

std::filesystem::path s3rver_script() {
  const char* said = std::getenv("DELTAFLOOD_S3RVER");
  const std::filesystem::path folder = said != nullptr ? said : support::build_dir() + "/s3rver";
  return folder / "node_modules/s3rver/bin/s3rver.js";
}

std::optional<support::Process> started(std::vector<std::string> argv, int port) {
  std::optional<support::Process> process(std::in_place, std::move(argv));
  if (!support::eventually([&] { return !process->running() || support::listens(port); }) ||
      !process->running()) {
    throw std::runtime_error("a server of object storage: " + process->err());
  }
  return process;
}

std::string script(const std::string& name) {
  return std::string(SOURCE_ROOT) + "/tests/support/" + name;
}

}  // namespace

std::vector<Store> stores() {
  if (std::filesystem::exists(s3rver_script())) return {Store::Ours, Store::S3rver};
  return {Store::Ours};
}

ObjectStore::ObjectStore(Store kind, int page)
    : port_(support::free_port()), proxy_port_(support::free_port()) {
  std::filesystem::create_directories(folder_ / "b");
  const std::string port = std::to_string(port_);
  if (kind == Store::Ours) {
    server_ = started({script("s3_server.py"), port, folder_.path(), std::to_string(page)}, port_);
  } else {
    server_ =
        started({"node", "--openssl-legacy-provider", s3rver_script(), "--address", "127.0.0.1",
                 "--port", port, "--directory", folder_.path(), "--configure-bucket", "b"},
                port_);
  }
  proxy_ =
      started({script("faulty_proxy.py"), std::to_string(proxy_port_), port, folder_ / "faults"},
              proxy_port_);
  setenv("AWS_ACCESS_KEY_ID", "S3RVER", 1);
  setenv("AWS_SECRET_ACCESS_KEY", "S3RVER", 1);
  setenv("AWS_ENDPOINT_URL", fmt::format("http://127.0.0.1:{}", proxy_port_).c_str(), 1);
  setenv("AWS_REGION", "us-east-1", 1);
}

ObjectStore::~ObjectStore() {
  for (const char* const name :
       {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION"}) {
    unsetenv(name);
  }
}

std::string ObjectStore::address(const std::string& prefix) const {
  return "s3://b/" + prefix;
}

void ObjectStore::meet(const std::string& faults) {
  support::write_file(folder_ / "faults", faults);
}

std::string ObjectStore::faults_left() const {
  return support::read_file(folder_ / "faults");
}

int ObjectStore::requests() const {
  const std::string lines = log();
  return static_cast<int>(std::count(lines.begin(), lines.end(), '\n'));
}

std::filesystem::path ObjectStore::object(const std::string& key) const {
  return folder_.path() / "b" / (key + ".object");
}

void ObjectStore::kill() {
  server_->signal(SIGKILL);
  server_->wait();
}

}  // namespace archive_test
