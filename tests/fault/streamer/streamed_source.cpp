#include "streamed_source.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>

namespace fault {

namespace fs = std::filesystem;
using support::Cluster;

Source::Source(const Cluster::Options& options) : cluster(options) {
  cluster.execute("CREATE TABLE t (a int PRIMARY KEY)");
  cluster.query("SELECT pg_create_logical_replication_slot('s', 'deltaflood')");
  insert(1);
  stream();
}

void Source::insert(int a) const {
  cluster.execute(fmt::format("INSERT INTO t VALUES ({})", a));
}

std::vector<std::string> Source::command(const Cluster& from, const std::string& end) const {
  std::vector<std::string> argv = {
      support::program("deltastream"), "-d", from.conninfo(), "-S", "s", "-D", dir / "d"};
  if (!end.empty()) argv.insert(argv.end(), {"-E", end});
  return argv;
}

void Source::check_refused(const Cluster& from, const std::string& why,
                           const std::string& database) const {
  const auto before = content_of(dir / "d");
  const support::Result result = support::run(
      {support::program("deltastream"), "-d", from.conninfo(database), "-S", "s", "-D", dir / "d"});
  CHECK(result.exit == support::Exit{3, 0});
  CHECK_THAT(result.err, Catch::Contains(why));
  CHECK_THAT(result.err, Catch::Contains("HINT"));
  CHECK(content_of(dir / "d") == before);
}

std::vector<std::string> Source::streamed() const {
  const support::StreamContent content = support::check_stream(dir / "d");
  CHECK((content.violation ? content.violation->text() : "") == "");
  std::vector<std::string> out;
  for (const auto* commit : content.commits()) {
    for (const std::string& line : commit->lines) {
      if (support::stream_key(line, "_action") == "insert") {
        out.push_back(support::stream_fields(line).back().second);
      }
    }
  }
  return out;
}

std::map<std::string, std::string> content_of(const fs::path& directory) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename();
    if (name == "lock" || name == "status.json") continue;
    out[name] = support::read_file(entry.path());
  }
  return out;
}

void copy_cold(const Cluster& original, const Cluster& copy) {
  const std::string config = support::read_file(copy.data_dir() / "postgresql.conf");
  fs::remove_all(copy.data_dir());
  support::run_ok({"cp", "-a", original.data_dir().string(), copy.data_dir().string()});
  support::write_file(copy.data_dir() / "postgresql.conf", config);
}

void copy_slot(const Cluster& from, const Cluster& to) {
  fs::remove_all(to.data_dir() / "pg_replslot/s");
  support::run_ok({"cp", "-a", (from.data_dir() / "pg_replslot/s").string(),
                   (to.data_dir() / "pg_replslot/").string()});
}

}  // namespace fault
