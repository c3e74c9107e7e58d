#include "mirror_programs.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/streaming.h"
#include "support/wait.h"

namespace fault {

namespace {

using Strings = std::vector<std::string>;

}  // namespace

MirrorPrograms::MirrorPrograms(
    const MirrorSetting& setting,
    const std::function<void(support::Cluster&, const StormSource&)>& prepare)
    : setting_(setting) {
  const bool several = setting_.sources > 1;
  for (int i = 0; i < setting_.sources; ++i) {
    const std::string name = several ? std::string(1, static_cast<char>('a' + i)) : "";
    sources_.push_back({.name = name,
                        .database = several ? name : "postgres",
                        .stream = dir_ / ("stream" + name)});
    if (several) cluster_.create_database(name);
    prepare(cluster_, sources_.back());
    streams_.emplace_back();
    start_stream(sources_.size() - 1, true);
    wait_until_streaming(sources_.back().stream, *streams_.back());
  }
  for (const bool connected : {false, true}) {
    support::write_file(dir_ / (connected ? "config.json" : "alone.json"), config(connected));
  }
  oracle_ = std::make_unique<StormOracle>(cluster_, sources_, setting_.called);
  support::run_ok(command("seed", mirror(), true));
  if (setting_.lent) {
    support::run_ok(command("seed", lender(), true));
    lender_ = std::make_unique<support::Process>(command("run", lender(), true));
  }
  start_owner();
}

std::string MirrorPrograms::config(bool connected) const {
  nlohmann::json tables = nlohmann::json::array();
  for (const auto& [table, name] : setting_.called) {
    tables.push_back({{"table", table}});
    if (table != "public." + name) tables.back()["as"] = name;
  }
  nlohmann::json out = {{"tables", tables}};
  if (setting_.sources == 1) return out.dump();
  for (const StormSource& each : sources_) {
    nlohmann::json source = {
        {"name", each.name}, {"daystream", each.stream}, {"source_column", "shard"}};
    if (connected) source["connection"] = cluster_.conninfo(each.database);
    out["sources"].push_back(source);
  }
  return out.dump();
}

Strings MirrorPrograms::command(const std::string& verb, const std::string& file,
                                bool connected) const {
  Strings argv = {support::program("deltamirror"), verb, file, "--config",
                  dir_ / (connected ? "config.json" : "alone.json")};
  if (setting_.sources > 1) return argv;
  argv.insert(argv.end(), {"--daystream", sources_[0].stream});
  if (connected) argv.insert(argv.end(), {"-d", cluster_.conninfo()});
  return argv;
}

void MirrorPrograms::start_stream(std::size_t source, bool first) {
  const StormSource& of = sources_[source];
  Strings argv = {support::program("deltastream"),
                  "-d",
                  cluster_.conninfo(of.database),
                  "-S",
                  "storm" + of.name,
                  "-D",
                  of.stream,
                  "--partition-root"};
  if (!setting_.streamed.empty()) argv.insert(argv.end(), {"--tables", setting_.streamed});
  if (first) argv.push_back("--create-slot");
  streams_[source] = std::make_unique<support::Process>(argv);
}

void MirrorPrograms::start_owner() {
  Strings argv = command("run", mirror(), setting_.connected);
  if (setting_.lent) argv.insert(argv.end(), {"--from", dir_ / "newer.db"});
  owner_ = std::make_unique<support::Process>(argv);
}

std::string MirrorPrograms::ending() {
  const support::Exit how = owner_->wait();
  return "it has ended with exit code " + std::to_string(how.code) + ", signal " +
         std::to_string(how.signal);
}

std::string MirrorPrograms::told() const {
  const std::string err = owner_->err();
  return err.substr(err.size() - std::min<std::size_t>(err.size(), 6000));
}

void MirrorPrograms::stop() {
  wait_until_it_hears();
  owner_->signal(SIGTERM);
  const support::Exit how = owner_->wait();
  INFO("it ended with exit code " << how.code << ", signal " << how.signal << ": " << told());
  CHECK(how == support::Exit{0, 0});
}

// A signal ends a program that does not hear it yet.
void MirrorPrograms::wait_until_it_hears() {
  REQUIRE(support::eventually([&] { return !owner_->err().empty() || !owner_->running(); }));
}

// ---- what happens to them ----------------------------------------------------------------------

void MirrorPrograms::kill_owner() {
  owner_->signal(SIGKILL);
  owner_->wait();
  start_owner();
}

void MirrorPrograms::kill_stream(std::size_t source) {
  streams_[source]->signal(SIGKILL);
  streams_[source]->wait();
  start_stream(source);
}

void MirrorPrograms::kill_server() {
  cluster_.kill9();
  cluster_.start();
}

void MirrorPrograms::shut_server_at_once() {
  cluster_.restart(support::Cluster::Shutdown::Immediate);
}

void MirrorPrograms::cut_connections() {
  cluster_.query("SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
}

void MirrorPrograms::read_configuration() {
  wait_until_it_hears();
  owner_->signal(SIGHUP);
}

void MirrorPrograms::begin_seed() {
  if (seed_) return;
  seed_ = std::make_unique<support::Process>(command("seed", dir_ / "again.db", true));
}

// What has happened since it was made is in the stream. A seed that a storm does not let come to
// its end says so, and leaves nothing.
std::string MirrorPrograms::take_up_seeded() {
  if (!seed_ || seed_->running()) return {};
  const bool made = seed_->wait() == support::Exit{0, 0};
  const std::string said = std::exchange(seed_, nullptr)->err();
  if (!made) {
    if (std::filesystem::exists(dir_ / "again.db")) FAIL("a failed seed leaves a mirror");
    return "-- the seed beside it ended: " + said;
  }
  owner_->signal(SIGKILL);
  owner_->wait();
  for (const char* end : {"-wal", "-shm"}) std::filesystem::remove(mirror().string() + end);
  std::filesystem::rename(dir_ / "again.db", mirror());
  start_owner();
  return "-- the mirror is the one that was seeded beside it\n";
}

// Whatever is missing in the one is to be in the other.
std::string MirrorPrograms::lend() {
  std::string last;
  support::eventually([&] {
    last = oracle_->difference(lender(), true);
    return last.empty() || !lender_->running();
  });
  if (!last.empty()) FAIL("of the mirror that lends: " << last << "\n" << lender_->err());
  support::run_ok({support::program("deltamirror"), "snapshot", lender(), dir_ / "made.db"});
  std::filesystem::rename(dir_ / "made.db", dir_ / "newer.db");
  return "-- there is a newer snapshot\n";
}

std::string MirrorPrograms::do_as_told() {
  if (setting_.lent) return lend();
  std::string out;
  for (const auto& [source, name] : StormOracle::missing(mirror())) {
    const auto of = std::find_if(
        sources_.begin(), sources_.end(),
        [&source = source](const auto& s) { return s.name.empty() || s.name == source; });
    const support::Result result =
        support::run({support::program("deltamirror"), "reseed", mirror(), "--source", source,
                      "--table", name, "-d", cluster_.conninfo(of->database)});
    out += "-- reseed " + source + " " + name + ": " + result.err;
  }
  return out;
}

// ---- what comes of it --------------------------------------------------------------------------

std::string MirrorPrograms::complaint(bool copies) {
  for (const StormSource& source : sources_) {
    // What the server is asked for next is the last thing that it did.
    cluster_.execute("SELECT pg_logical_emit_message(true, 'calm', '')", source.database);
    const std::string lsn = cluster_.scalar("SELECT pg_current_wal_flush_lsn()", source.database);
    Strings argv = {
        support::program("deltamirror"), "wait", mirror(), "--lsn", lsn, "--timeout", "45"};
    if (sources_.size() > 1) argv.insert(argv.end(), {"--source", source.name});
    const support::Result caught = support::run(argv);
    if (!owner_->running()) return ending();
    // It fails, too, where a table is in trouble: what that may be is judged below.
    if (caught.err.find("has not reached") != std::string::npos) {
      return "it does not come to " + lsn + " of " + source.database + ": " + caught.err;
    }
  }
  std::string last;
  support::eventually([&] {
    last = owner_->running() ? oracle_->difference(mirror(), copies) : ending();
    return last.empty() || !owner_->running();
  });
  oracle_->forget();
  return last;
}

}  // namespace fault
